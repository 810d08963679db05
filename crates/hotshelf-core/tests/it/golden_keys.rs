//! Keys written by the Python library fastapi-rc, recorded in `tests/data/golden_keys.json`: a
//! Rust program must find the entries of a Python program.

use std::collections::BTreeMap;

use hotshelf_core::{Key, KeyLayout, Namespace, Params};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

const GOLDEN: &str = include_str!("../data/golden_keys.json");
const CANONICAL: &str = include_str!("../data/canonical_texts.json");

/// The outcome in Rust for values for which Python raises an error.
#[derive(Debug, PartialEq)]
enum RustOutcome {
    /// Also an error.
    Rejected,
    /// Accepts the text of the type's own `Serialize`; Python's type has no JSON form.
    Text,
    /// Accepts it as a list.
    List,
}

/// Returns the rows of a section.
fn rows(section: &str) -> Vec<Value> {
    let mut golden: Value = serde_json::from_str(GOLDEN).expect("the golden file is JSON");
    match golden[section].take() {
        Value::Array(rows) => rows,
        other => panic!("section {section} is not a list: {other}"),
    }
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("no text {field} in {row}"))
}

fn wire_key(namespace: &Namespace, key: &Key<'_>) -> String {
    namespace.wire_key(key).expect("golden keys are valid").as_str().to_owned()
}

/// Returns the key of a row's namespace and identifier with these parameters.
fn key_of_row(row: &Value, params: Params) -> String {
    let namespace = Namespace::new(text(row, "namespace").to_owned())
        .layout(KeyLayout::FastapiRc)
        .prefix("cache")
        .version("v1");
    wire_key(&namespace, &Key::new(text(row, "identifier")).params(params))
}

#[test]
fn json_text_hashes_to_golden_key() {
    let rows = rows("params");
    let with_text: Vec<_> = rows.iter().filter(|row| row["params_json_text"].is_string()).collect();
    assert!(with_text.len() > 40, "only {} rows", with_text.len());
    for row in with_text {
        let canonical = text(row, "params_json_text");
        let params = Params::from_json(canonical).unwrap();
        assert_eq!(params.as_str(), canonical, "{}", row["name"]);
        assert_eq!(key_of_row(row, params), text(row, "key"), "{}", row["name"]);
    }
}

#[test]
fn canonical_values_hash_to_golden_keys() {
    let mut table: Value = serde_json::from_str(CANONICAL).expect("the table is JSON");
    let Value::Array(rows) = table["values"].take() else { panic!("the table has no values") };
    assert!(rows.len() > 20, "only {} rows", rows.len());
    for row in rows {
        let params = Params::new(&BTreeMap::from([("it", &row["rust"])])).unwrap();
        assert_eq!(params.as_str(), text(&row, "text"), "{}", row["name"]);
        let namespace =
            Namespace::new("products").layout(KeyLayout::FastapiRc).prefix("cache").version("v1");
        let key = wire_key(&namespace, &Key::new("list").params(params));
        assert_eq!(key, text(&row, "key"), "{}", row["name"]);
    }
}

#[test]
fn falsy_parameters_add_no_hash() {
    let rows = rows("params");
    let is_falsy = |row: &&Value| row["params_json_text"].is_null() && row["error"].is_null();
    let names: Vec<_> = rows.iter().filter(is_falsy).map(|row| text(row, "name")).collect();
    assert_eq!(names, ["none", "empty dict", "params 0 (falsy)"]);
    for (row, falsy) in rows.iter().filter(is_falsy).zip(["null", "{}", "0"]) {
        let params = Params::from_json(falsy).unwrap();
        assert!(params.is_empty());
        assert_eq!(key_of_row(row, params), text(row, "key"));
    }
}

#[derive(Serialize)]
struct Search {
    per_page: u8,
    page: u8,
    category: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Letter {
    A,
}

/// A map in the given order, whose keys need not be `Ord`.
struct Entries<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Entries<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

fn one<V: Serialize>(name: &str, value: V) -> Params {
    Params::new(&BTreeMap::from([(name, value)])).expect("the value has a JSON form")
}

fn map<K: Serialize, V: Serialize>(entries: Vec<(K, V)>) -> Params {
    Params::new(&Entries(entries)).expect("the keys have an order")
}

/// Returns the parameters of rows as Rust values, by the row's name.
fn typed_rows() -> Vec<(&'static str, Params)> {
    let simple = json!({"page": 1, "category": "electronics"});
    let search = Search { per_page: 20, page: 1, category: None };
    let nested = json!([{"b": 1, "a": 2}, {"c": 3}]);
    let latin = vec![("é", 1), ("z", 2), ("a", 3), ("Z", 4), ("_", 5)];
    vec![
        ("none", Params::new(&None::<Search>).expect("null has a JSON form")),
        ("empty dict", Params::new(&json!({})).expect("a map has a JSON form")),
        ("params 0 (falsy)", Params::new(&0).expect("an integer has a JSON form")),
        ("simple", Params::new(&simple).expect("a map has a JSON form")),
        ("none value", Params::new(&search).expect("a struct has a JSON form")),
        ("params is list", Params::new(&[1, 2]).expect("a list has a JSON form")),
        ("params is str", Params::new("abc").expect("text has a JSON form")),
        ("bools", map(vec![("b", false), ("a", true)])),
        ("neg int", one("a", -1_i8)),
        ("big int 2**63", one("a", 1_u64 << 63)),
        ("big int 2**64", one("a", 1_u128 << 64)),
        ("unicode latin", one("q", 'é')),
        ("unicode bmp", one("q", "日本語")),
        ("emoji surrogate pair", one("q", "😀")),
        ("control chars", one("q", "\0\u{1}\u{1f}\u{7f}\u{80}")),
        ("escapes", one("q", "\"\\/\u{8}\u{c}\n\r\t")),
        ("unicode key sort", map(latin)),
        ("numeric-string key sort", map(vec![("10", 1), ("9", 2), ("1", 3)])),
        ("list of dict", one("l", nested)),
        ("empty nested dict", one("d", BTreeMap::<u8, u8>::new())),
        ("tuple", one("t", (1, "a", ()))),
        ("int keys", map(vec![(2, 'b'), (1, 'a')])),
        ("float keys", map(vec![(1.5, 'a'), (0.1, 'b')])),
        ("bool keys", map(vec![(true, 'a'), (false, 'b')])),
        ("none key", map(vec![((), 1)])),
        ("str enum value", one("e", Letter::A)),
    ]
}

fn float_rows() -> Vec<(&'static str, f64)> {
    vec![
        ("neg zero float", -0.0),
        ("float .1", 0.1),
        ("float 1.0", 1.0),
        ("float 1e16", 1e16),
        ("float 1e15", 1e15),
        ("float 1e22", 1e22),
        ("float 1e-4", 1e-4),
        ("float 1e-5", 1e-5),
        ("float 1e-7", 1e-7),
        ("float 1.5e300", 1.5e300),
        ("float max", f64::MAX),
        ("float min subnormal", 5e-324),
        ("float 0.1+0.2", 0.1 + 0.2),
        ("float 9999999999999998.0", 9_999_999_999_999_998.0),
        ("nan", f64::NAN),
        ("inf", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
    ]
}

#[test]
fn typed_values_hash_to_golden_keys() {
    let rows = rows("params");
    let floats = float_rows().into_iter().map(|(name, float)| (name, one("a", float)));
    let single = ("float .1", one("a", 0.1_f32));
    for (name, params) in typed_rows().into_iter().chain(floats).chain([single]) {
        let row = rows.iter().find(|row| row["name"] == name);
        let row = row.unwrap_or_else(|| panic!("no row {name}"));
        assert_eq!(key_of_row(row, params), text(row, "key"), "{name}");
    }
}

struct Bytes;

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(b"x")
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnyKey {
    Number(u8),
    Text(&'static str),
}

/// Returns the closest Rust counterpart of each value for which Python raises an error.
fn nearest_to_errors() -> Vec<(&'static str, Result<Params, hotshelf_core::ParamsError>)> {
    let text = |text: &str| Params::new(&BTreeMap::from([("d", text)]));
    let deep = (0..2000)
        .fold(json!({}), |inner, _| Value::Object([("a".to_owned(), inner)].into_iter().collect()));
    vec![
        (
            "mixed int/str keys",
            Params::new(&Entries(vec![(AnyKey::Number(1), 'a'), (AnyKey::Text("b"), 'c')])),
        ),
        ("plain Enum", Params::new(&BTreeMap::from([("e", Letter::A)]))),
        ("datetime", text("2026-01-02T00:00:00")),
        ("date", text("2026-01-02")),
        ("Decimal", text("1.5")),
        ("UUID", text("00000000-0000-0000-0000-000000000001")),
        ("bytes", Params::new(&BTreeMap::from([("b", Bytes)]))),
        ("set", Params::new(&BTreeMap::from([("s", std::collections::BTreeSet::from([1]))]))),
        ("tuple key", Params::new(&BTreeMap::from([((1, 2), 'a')]))),
        ("deep 2000", Params::new(&deep)),
        ("big int 5000 digits", Params::from_json(&"1".repeat(5000))),
    ]
}

#[test]
fn python_errors_have_documented_outcome() {
    let rows = rows("params");
    let errors: Vec<_> = rows.iter().filter(|row| row["error"].is_string()).collect();
    let names: Vec<_> = errors.iter().map(|row| text(row, "name")).collect();
    let outcomes: Vec<_> = nearest_to_errors()
        .into_iter()
        .map(|(name, params)| {
            let outcome = match params {
                Err(_) => RustOutcome::Rejected,
                Ok(params) if params.as_str().contains('[') => RustOutcome::List,
                Ok(_) => RustOutcome::Text,
            };
            (name, outcome)
        })
        .collect();
    let expected = [
        ("mixed int/str keys", RustOutcome::Rejected),
        ("plain Enum", RustOutcome::Text),
        ("datetime", RustOutcome::Text),
        ("date", RustOutcome::Text),
        ("Decimal", RustOutcome::Text),
        ("UUID", RustOutcome::Text),
        ("bytes", RustOutcome::Rejected),
        ("set", RustOutcome::List),
        ("tuple key", RustOutcome::Rejected),
        ("deep 2000", RustOutcome::Rejected),
        ("big int 5000 digits", RustOutcome::Rejected),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(names, expected.map(|(name, _)| name));
}

/// The arguments of a call of Python's `build_cache_key`, with its defaults.
struct Call {
    namespace: Namespace,
    key: Key<'static>,
}

impl Call {
    fn read(row: &Value) -> Self {
        let text =
            |index: usize, default: &str| row["args"][index].as_str().unwrap_or(default).to_owned();
        let namespace =
            Namespace::new(text(0, "")).layout(KeyLayout::FastapiRc).prefix(text(3, "cache"));
        let versioned = row["args"][5].as_bool().unwrap_or(true);
        let params = Params::new(&row["args"][2]).expect("the arguments are JSON");
        Self {
            namespace: if versioned {
                namespace.version(text(4, "v1"))
            } else {
                namespace.without_version()
            },
            key: Key::new(text(1, "")).params(params),
        }
    }
}

#[test]
fn explicit_key_parts_match_golden_keys() {
    let rows = rows("plain");
    // Python raises an error because the prefix is an `int`; in Rust it is always text.
    let (quirk, rows) = rows.split_last().unwrap();
    assert_eq!(text(quirk, "error"), "TypeError");
    for row in rows {
        let call = Call::read(row);
        let key = wire_key(&call.namespace, &call.key);
        if let Some(length) = row["key_len"].as_u64() {
            assert_eq!(key.chars().count() as u64, length);
        }
        if let Some(expected) = row["key"].as_str() {
            assert_eq!(key, expected);
        }
    }
}
