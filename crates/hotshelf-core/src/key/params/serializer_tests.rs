//! Tests of the serializer, in a file of their own because of their number.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

use super::Params;

fn text<T: Serialize + ?Sized>(value: &T) -> String {
    Params::new(value).unwrap().as_str().to_owned()
}

fn error<T: Serialize + ?Sized>(value: &T) -> String {
    Params::new(value).unwrap_err().to_string()
}

/// A map of any keys, in a given order.
struct Entries<K, V>(Vec<(K, V)>);

impl<K: Serialize, V: Serialize> Serialize for Entries<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum AnyKey {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'static str),
    List(Vec<u8>),
}

#[derive(Serialize)]
enum Shape {
    Unit,
    Newtype(u8),
    Tuple(u8, &'static str),
    Struct { z: u8, a: u8 },
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Newtype<T>(T);

#[derive(Serialize)]
#[serde(rename = "$serde_json::private::Number")]
struct PrivateNumber {
    #[serde(rename = "$serde_json::private::Number")]
    text: &'static str,
}

#[derive(Serialize)]
#[serde(rename = "$serde_json::private::RawValue")]
struct PrivateRawValue {
    #[serde(rename = "$serde_json::private::RawValue")]
    text: String,
}

struct Bytes;

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(b"x")
    }
}

#[test]
fn integers_keep_their_digits() {
    assert_eq!(text(&(i8::MIN, i16::MIN, i32::MIN)), "[-128, -32768, -2147483648]");
    assert_eq!(text(&(i64::MIN, i128::MIN)), format!("[{}, {}]", i64::MIN, i128::MIN));
    assert_eq!(text(&(u8::MAX, u16::MAX, u32::MAX)), "[255, 65535, 4294967295]");
    assert_eq!(text(&(u64::MAX, u128::MAX)), format!("[{}, {}]", u64::MAX, u128::MAX));
}

#[test]
fn f32_is_its_shortest_decimal() {
    assert_eq!(text(&[0.1_f32, -0.0, 16_777_216.0]), "[0.1, -0.0, 16777216.0]");
    assert_eq!(text(&[f32::MAX, 1e-45]), "[3.4028235e+38, 1e-45]");
    assert_eq!(text(&[f32::NAN, f32::INFINITY]), "[NaN, Infinity]");
}

#[test]
fn shapes_match_serde_json() {
    let shapes =
        [Shape::Unit, Shape::Newtype(1), Shape::Tuple(1, "b"), Shape::Struct { z: 1, a: 2 }];
    assert_eq!(
        text(&shapes),
        r#"["Unit", {"Newtype": 1}, {"Tuple": [1, "b"]}, {"Struct": {"a": 2, "z": 1}}]"#
    );
    assert_eq!(
        text(&(Unit, (), None::<u8>, Some(1), Newtype(true))),
        "[null, null, null, 1, true]"
    );
    assert_eq!(text(&("é", '😀')), r#"["\u00e9", "\ud83d\ude00"]"#);
}

#[test]
fn keys_sort_as_python_values() {
    assert_eq!(text(&BTreeMap::from([("10", 1), ("9", 2)])), r#"{"10": 1, "9": 2}"#);
    assert_eq!(text(&BTreeMap::from([(10, 1), (9, 2)])), r#"{"9": 2, "10": 1}"#);
    let numbers = vec![
        (AnyKey::Float(1e16), 1),
        (AnyKey::Int(-3), 2),
        (AnyKey::Bool(true), 3),
        (AnyKey::Float(0.5), 4),
        (AnyKey::Int(1), 5),
    ];
    assert_eq!(text(&Entries(numbers)), r#"{"-3": 2, "0.5": 4, "true": 5, "1e+16": 1}"#);
    assert_eq!(text(&Entries(vec![(AnyKey::Null, 1)])), r#"{"null": 1}"#);
}

#[test]
fn unusual_keys_convert_or_fail() {
    assert_eq!(text(&BTreeMap::from([('b', 1), ('a', 2)])), r#"{"a": 2, "b": 1}"#);
    assert_eq!(text(&Entries(vec![(Newtype(Some(2)), 1)])), r#"{"2": 1}"#);
    assert_eq!(text(&Entries(vec![(Shape::Unit, 1)])), r#"{"Unit": 1}"#);
    assert!(error(&Entries(vec![(AnyKey::List(vec![1]), 1)])).contains("keys must be str, int"));
    assert!(error(&Entries(vec![(Shape::Newtype(1), 1)])).contains("keys must be str, int"));
    assert!(error(&Entries(vec![(Bytes, 1)])).contains("hex or base64"));
    let mixed = vec![(AnyKey::Int(1), 1), (AnyKey::Text("b"), 2)];
    assert!(error(&Entries(mixed)).contains("keys of type int and str"));
}

#[test]
fn serde_json_numbers_keep_their_digits() {
    let number = |text| PrivateNumber { text };
    let large = "1".repeat(60);
    assert_eq!(text(&number("1e400")), "Infinity");
    assert_eq!(text(&[number("-0"), number("-0.0"), number("1E16")]), "[0, -0.0, 1e+16]");
    assert_eq!(text(&PrivateRawValue { text: format!("[{large}]") }), format!("[{large}]"));
    assert_eq!(
        text(&Entries(vec![(number("10"), 1), (number("9.5"), 2)])),
        r#"{"9.5": 2, "10": 1}"#
    );
    assert!(error(&[number("1x")]).starts_with("at `[0]`: extra text"));
}

#[test]
fn serde_json_raw_values_are_parsed() {
    let raw = |text: &str| PrivateRawValue { text: text.to_owned() };
    assert_eq!(text(&[raw(r#"{"b":1,"a":"\ud800"}"#)]), r#"[{"a": "\ud800", "b": 1}]"#);
    // The depth of the surrounding value counts, too.
    let nested = |depth| raw(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    assert_eq!(text(&[nested(499)]).len(), 1000);
    assert!(error(&[nested(500)]).contains("nested deeper"));
}

#[test]
fn errors_contain_the_path() {
    let filter = json!({"filter": {"ids": [1, 2]}});
    assert_eq!(text(&filter), r#"{"filter": {"ids": [1, 2]}}"#);
    let bytes = BTreeMap::from([("filter", BTreeMap::from([("ids", (1, Bytes))]))]);
    assert!(error(&bytes).starts_with("at `filter.ids[1]`: bytes have no JSON counterpart"));
    assert!(error(&Entries(vec![(2.5, Newtype(Bytes))])).starts_with("at `2.5`: bytes"));
}

#[test]
fn serialize_error_of_value_is_kept() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("the lock is poisoned"))
        }
    }
    assert_eq!(error(&[Broken]), "at `[0]`: the lock is poisoned");
}

#[test]
fn map_value_without_key_fails() {
    struct Keyless;
    impl Serialize for Keyless {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_value(&1)?;
            map.end()
        }
    }
    assert!(error(&Keyless).contains("before its key"));
}

/// Nests lists. `json!` would copy the inner value at every level, recursively.
fn nested(depth: usize) -> serde_json::Value {
    (1..depth).fold(json!([]), |inner, _| serde_json::Value::Array(vec![inner]))
}

#[test]
fn nesting_depth_is_limited() {
    assert_eq!(text(&nested(500)), format!("{}{}", "[".repeat(500), "]".repeat(500)));
    assert!(error(&nested(501)).contains("nested deeper than 500 levels"));
    assert!(error(&vec![nested(2000)]).contains("nested deeper than 500 levels"));
    let maps = (0..500).fold(json!(1), |inner, _| {
        serde_json::Value::Object([("a".to_owned(), inner)].into_iter().collect())
    });
    assert_eq!(text(&maps).len(), "{\"a\": }".len() * 500 + 1);
}

#[test]
fn invisible_wrappers_are_limited_too() {
    #[derive(Serialize)]
    struct Chain(Option<Box<Self>>);

    #[derive(Serialize)]
    struct Link {
        next: Option<Newtype<Box<Self>>>,
    }

    let chain = (0..2000).fold(Chain(None), |inner, _| Chain(Some(Box::new(inner))));
    assert!(error(&chain).contains("nested deeper"));
    let last = Link { next: None };
    let links = (1..500).fold(last, |link, _| Link { next: Some(Newtype(Box::new(link))) });
    assert_eq!(text(&links).matches("next").count(), 500);
}
