//! Compares the text of parameters with a real Python: random JSON texts and random values go
//! through one long-lived `python3`, whose `json.dumps(…, sort_keys=True)` must return the
//! same bytes.
//!
//! If no `python3` can be started, the tests are skipped with a message.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{LazyLock, Mutex},
};

use hotshelf_core::Params;
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::Index,
};
use serde::{Serialize, Serializer};

/// Reads lines of `json` or `eval` and a text in hexadecimal. Answers each with whether the
/// value is false and its canonical text, or with `error`.
const SCRIPT: &str = r#"
import json, struct, sys
for line in sys.stdin:
    kind, _, payload = line.partition(" ")
    text = bytes.fromhex(payload.strip()).decode()
    try:
        value = json.loads(text) if kind == "json" else eval(text)
        print(not value, json.dumps(value, sort_keys=True), flush=True)
    except (ValueError, TypeError, RecursionError):
        print("error", flush=True)
"#;

/// The outcome for a value on either side.
#[derive(Debug, PartialEq)]
enum ParamsOutcome {
    Accepted { falsy: bool, text: String },
    Rejected,
}

fn ours<E>(params: Result<Params, E>) -> ParamsOutcome {
    match params {
        Ok(params) => {
            ParamsOutcome::Accepted { falsy: params.is_empty(), text: params.as_str().to_owned() }
        }
        Err(_) => ParamsOutcome::Rejected,
    }
}

struct Python {
    // Exits when the test process closes the pipe.
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Python {
    fn start() -> Option<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let input = child.stdin.take()?;
        let output = BufReader::new(child.stdout.take()?);
        Some(Self { _child: child, input, output })
    }

    fn ask(&mut self, kind: &str, text: &str) -> ParamsOutcome {
        let mut request = format!("{kind} ");
        for byte in text.bytes() {
            write!(request, "{byte:02x}").expect("writing to a string cannot fail");
        }
        writeln!(self.input, "{request}").expect("python reads its input");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("python answers in UTF-8");
        match answer.trim_end_matches('\n').split_once(' ') {
            Some((falsy, text)) => {
                ParamsOutcome::Accepted { falsy: falsy == "True", text: text.to_owned() }
            }
            None => {
                assert_eq!(answer, "error\n", "python crashed on {text:?}");
                ParamsOutcome::Rejected
            }
        }
    }
}

/// Asks the Python of this process; `None` if it could not be started.
fn python(kind: &str, text: &str) -> Option<ParamsOutcome> {
    static PYTHON: LazyLock<Option<Mutex<Python>>> = LazyLock::new(|| {
        let python = Python::start();
        if python.is_none() {
            report_missing_python();
        }
        python.map(Mutex::new)
    });
    let mut python = PYTHON.as_ref()?.lock().expect("no earlier request has failed");
    Some(python.ask(kind, text))
}

#[expect(clippy::print_stderr, reason = "a skipped test must be visible")]
fn report_missing_python() {
    eprintln!("skipped: no python3 to compare with");
}

/// JSON whitespace, usually empty.
fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 2 => Just(" "), 1 => Just("\n\t"), 1 => Just("\r ")]
}

fn digits(most: usize) -> impl Strategy<Value = String> {
    vec(prop::char::range('0', '9'), 1..most).prop_map(String::from_iter)
}

/// Numbers as written in JSON, and some that it forbids (leading zeros).
fn number_text() -> impl Strategy<Value = String> {
    let float = prop::num::f64::ANY.prop_filter("no JSON", |float| float.is_finite());
    let parts = (digits(25), digits(25), prop::sample::select(vec!["e", "E", "e+", "E-"]), -0..400);
    prop_oneof![
        any::<i64>().prop_map(|integer| integer.to_string()),
        digits(60).prop_map(|digits| digits.trim_start_matches('0').to_owned() + "7"),
        digits(60).prop_map(|digits| format!("-1{digits}")),
        digits(3),
        float.clone().prop_map(|float| format!("{float:?}")),
        float.prop_map(|float| format!("{float:e}")),
        parts
            .prop_map(|(whole, fraction, e, exponent)| format!("1{whole}.{fraction}{e}{exponent}")),
        (0..1000, -400..400).prop_map(|(whole, exponent)| format!("-{whole}e{exponent}")),
        prop::sample::select(vec!["-0", "0", "-0.0", "0e0", "NaN", "Infinity", "-Infinity"])
            .prop_map(str::to_owned),
    ]
}

fn string_piece() -> impl Strategy<Value = String> {
    let escapes = vec![r#"\""#, r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t", "\u{7f}"];
    let plain = any::<char>()
        .prop_filter("escaped in JSON", |char| *char >= ' ' && *char != '"' && *char != '\\');
    prop_oneof![
        plain.prop_map(String::from),
        prop::char::range('a', 'c').prop_map(String::from),
        prop::sample::select(escapes).prop_map(str::to_owned),
        any::<u16>().prop_map(|unit| format!("\\u{unit:04x}")),
        (0xd7f0_u16..0xe010).prop_map(|unit| format!("\\u{unit:04X}")),
        (0xd800_u16..0xdc00, 0xdc00_u16..0xe000)
            .prop_map(|(high, low)| format!("\\u{high:04x}\\u{low:04x}")),
    ]
}

fn string_text() -> impl Strategy<Value = String> {
    vec(string_piece(), 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn json_text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned);
    let leaf = prop_oneof![1 => word, 4 => number_text(), 4 => string_text()];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let entry = (string_text(), space(), inner.clone())
            .prop_map(|(key, space, value)| format!("{key}{space}:{space}{value}"));
        prop_oneof![
            (vec(inner, 0..6), space())
                .prop_map(|(items, s)| format!("[{s}{}{s}]", items.join(&format!("{s},{s}")))),
            (vec(entry, 0..6), space()).prop_map(|(entries, s)| format!(
                "{{{s}{}{s}}}",
                entries.join(&format!("{s},{s}"))
            )),
        ]
    })
}

/// A change of a text, after which it may or may not be JSON.
#[derive(Debug, Clone)]
enum Mutation {
    Insert(Index, char),
    Replace(Index, char),
    Remove(Index),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let alphabet: Vec<char> =
        "[]{},:\"\\/-+.eEuU019aAfFnNtI_ \t\n\r\u{0}\u{b}\u{1f}\u{a0}\u{feff}٣é😀".chars().collect();
    let char = prop::sample::select(alphabet);
    let index = any::<Index>();
    prop_oneof![
        3 => (index, char.clone()).prop_map(|(index, char)| Mutation::Insert(index, char)),
        3 => (any::<Index>(), char).prop_map(|(index, char)| Mutation::Replace(index, char)),
        3 => any::<Index>().prop_map(Mutation::Remove),
        1 => any::<Index>().prop_map(Mutation::Cut),
    ]
}

fn mutate(text: &str, mutations: &[Mutation]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for mutation in mutations {
        let length = chars.len();
        match mutation {
            Mutation::Insert(index, char) => chars.insert(index.index(length + 1), *char),
            Mutation::Replace(index, char) if length > 0 => chars[index.index(length)] = *char,
            Mutation::Remove(index) if length > 0 => drop(chars.remove(index.index(length))),
            Mutation::Cut(index) => chars.truncate(index.index(length + 1)),
            Mutation::Replace(..) | Mutation::Remove(_) => {}
        }
    }
    chars.into_iter().collect()
}

/// A value that both sides can build: Rust with `Serialize`, Python with `eval`.
#[derive(Debug, Clone)]
enum Sample {
    Null,
    Bool(bool),
    Int(i128),
    Unsigned(u128),
    Float(f64),
    Text(String),
    List(Vec<Self>),
    Dict(Vec<(Self, Self)>),
}

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Bool(bool) => bool.serialize(serializer),
            Self::Int(integer) => integer.serialize(serializer),
            Self::Unsigned(integer) => integer.serialize(serializer),
            Self::Float(float) => float.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Dict(entries) => serializer.collect_map(entries.iter().map(|(k, v)| (k, v))),
        }
    }
}

impl Sample {
    fn python(&self) -> String {
        match self {
            Self::Null => "None".to_owned(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(integer) => format!("({integer})"),
            Self::Unsigned(integer) => integer.to_string(),
            Self::Float(float) => {
                format!("struct.unpack('>d', bytes.fromhex('{:016x}'))[0]", float.to_bits())
            }
            Self::Text(text) => {
                let points = text.chars().map(|char| format!("\\U{:08x}", u32::from(char)));
                format!("'{}'", points.collect::<String>())
            }
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::python).collect::<Vec<_>>().join(","))
            }
            Self::Dict(entries) => {
                let pairs = entries.iter().map(|(k, v)| format!("({},{})", k.python(), v.python()));
                format!("dict([{}])", pairs.collect::<Vec<_>>().join(","))
            }
        }
    }
}

fn text_sample() -> impl Strategy<Value = Sample> {
    let char = prop_oneof![any::<char>(), prop::char::range('a', 'c')];
    vec(char, 0..6).prop_map(|chars| Sample::Text(chars.into_iter().collect()))
}

/// Numbers close to each other: powers of two and their neighbours, as floats and integers.
fn number_sample() -> impl Strategy<Value = Sample> {
    let near_power =
        (0_u32..127, -2_i128..=2, any::<bool>()).prop_map(|(power, offset, negate)| {
            let magnitude = (1_i128 << power).saturating_add(offset);
            if negate { -magnitude } else { magnitude }
        });
    prop_oneof![
        any::<bool>().prop_map(Sample::Bool),
        (-2_i128..3).prop_map(Sample::Int),
        near_power.clone().prop_map(Sample::Int),
        near_power.prop_map(|integer| Sample::Float(integer as f64)),
        any::<u128>().prop_map(Sample::Unsigned),
        (-8_i8..8).prop_map(|halves| Sample::Float(f64::from(halves) / 2.0)),
        // Python accepts a NaN beside other keys and sorts it anywhere; hotshelf rejects it.
        prop::num::f64::ANY
            .prop_filter("NaN has no order", |float| !float.is_nan())
            .prop_map(Sample::Float),
    ]
}

/// Floats of 16 to 18 decimal digits. Some lie exactly between two candidates for the shortest
/// text, for which Rust's formatting and Python differ.
fn tie_float() -> impl Strategy<Value = f64> {
    (0_u32..27).prop_flat_map(|power| {
        let most = 10_u64.pow(18) / 5_u64.pow(power);
        (most / 1000..=most).prop_map(move |odd| odd as f64 / 2_f64.powi(power as i32))
    })
}

fn key_samples() -> impl Strategy<Value = Vec<Sample>> {
    let any_key = prop_oneof![
        8 => text_sample(),
        8 => number_sample(),
        1 => Just(Sample::Null),
        1 => Just(Sample::List(Vec::new())),
    ];
    prop_oneof![
        4 => vec(text_sample(), 0..6),
        4 => vec(number_sample(), 0..8),
        1 => vec(any_key, 0..3),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    let leaf = prop_oneof![
        1 => Just(Sample::Null),
        2 => text_sample(),
        2 => number_sample(),
        2 => any::<u64>().prop_map(|bits| Sample::Float(f64::from_bits(bits))),
        1 => any::<i128>().prop_map(Sample::Int),
    ];
    // An equal key replaces the value of an earlier one, which Python then ignores but
    // hotshelf checks. So keys are only repeated where all values are valid.
    let pairs = (key_samples(), vec(leaf.clone(), 8));
    let flat =
        pairs.prop_map(|(keys, values)| Sample::Dict(keys.into_iter().zip(values).collect()));
    prop_oneof![leaf, flat].prop_recursive(4, 40, 8, |inner| {
        let names = btree_map("[a-c\u{e9}\u{1f600}]{0,3}", inner.clone(), 0..6);
        prop_oneof![
            vec(inner, 0..6).prop_map(Sample::List),
            names.prop_map(|entries| {
                Sample::Dict(entries.into_iter().map(|(k, v)| (Sample::Text(k), v)).collect())
            }),
        ]
    })
}

/// Disables the file of failures beside the sources: the message contains everything.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn json_text_matches_python(text in json_text()) {
        if let Some(theirs) = python("json", &text) {
            prop_assert_eq!(ours(Params::from_json(&text)), theirs);
        }
    }

    #[test]
    fn mutated_json_text_matches_python(
        text in json_text(),
        mutations in vec(mutation(), 1..4),
    ) {
        let text = mutate(&text, &mutations);
        if let Some(theirs) = python("json", &text) {
            prop_assert_eq!(ours(Params::from_json(&text)), theirs, "{:?}", text);
        }
    }

    #[test]
    fn values_match_python(sample in sample()) {
        if let Some(theirs) = python("eval", &sample.python()) {
            prop_assert_eq!(ours(Params::new(&sample)), theirs);
        }
    }

    #[test]
    fn floats_match_python(
        floats in vec(prop_oneof![any::<u64>().prop_map(f64::from_bits), tie_float()], 50),
    ) {
        let sample = Sample::List(floats.into_iter().map(Sample::Float).collect());
        if let Some(theirs) = python("eval", &sample.python()) {
            prop_assert_eq!(ours(Params::new(&sample)), theirs);
        }
    }

    #[test]
    fn canonical_text_round_trips(text in json_text()) {
        if let Ok(params) = Params::from_json(&text) {
            prop_assert_eq!(Params::from_json(params.as_str()).unwrap(), params);
        }
    }
}

#[test]
fn floats_at_every_power_match_python() {
    let twos = (-1074..1024).map(|power| 2_f64.powi(power));
    let tens = (-324..309).map(|power| format!("1e{power}").parse().unwrap());
    for power in twos.chain(tens) {
        let floats = [power.next_down(), power, power.next_up(), -power].map(Sample::Float);
        let sample = Sample::List(floats.to_vec());
        if let Some(theirs) = python("eval", &sample.python()) {
            assert_eq!(ours(Params::new(&sample)), theirs, "{power:e}");
        }
    }
}

#[test]
fn integer_limit_matches_python() {
    for text in ["4".repeat(4300), "4".repeat(4301), format!("-{}", "4".repeat(4300))] {
        if let Some(theirs) = python("json", &text) {
            assert_eq!(ours(Params::from_json(&text)), theirs, "{} characters", text.len());
        }
    }
}
