//! Entries with a trailer, read by the JSON parsers of plain Redis clients.
//!
//! `scripts/install-tools` installs the Python parsers. Missing parsers are skipped with a
//! message.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hotshelf_core::tag::{MOST_TAGS, TagId, TagStamp};
use hotshelf_core::trailer::{CodecId, Trailer};
use serde_json::{Value, json};

const PYTHON: &str = "
import json, sys
entry = sys.stdin.buffer.read()
readers = {
    'json': lambda: json.loads(entry),
    'orjson': lambda: __import__('orjson').loads(entry),
    'msgspec': lambda: __import__('msgspec').json.decode(entry),
    'pydantic': lambda: __import__('pydantic').TypeAdapter(object).validate_json(entry),
}
print(json.dumps(readers[sys.argv[1]]()))
";

const NODE: &str = "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(0, 'utf8'))))";

/// Returns the project's Python if it was installed.
fn python() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python");
    if installed.exists() { installed } else { "python3".into() }
}

fn entries() -> Vec<(Value, Vec<u8>)> {
    let values = [
        json!({"name": "Lámpara 💡", "price": 59.9, "parts": [1, -2, {"a": null}], "sold": false}),
        json!([]),
        json!("text\n with \u{1f} in it"),
        json!(12),
        json!(null),
    ];
    let tag = |number: u8| TagStamp { id: TagId::new([number; 6]), version: [255 - number; 6] };
    let entry = |(value, tags): (&Value, usize)| {
        let trailer = Trailer {
            codec: CodecId::JSON,
            absent: value.is_null(),
            fill: *b"\x00\x1b\xff f",
            loaded_at: 1_790_000_000_000,
            fresh_for: 300_000,
            lives_for: None,
            late_tags: false,
            load_time: 12,
            tags: (0..tags as u8).map(tag).collect(),
        };
        let mut entry = value.to_string().into_bytes();
        trailer.append_to(&mut entry);
        (value.clone(), entry)
    };
    let without = values.iter().map(|value| (value, 0));
    without.chain(values.iter().map(|value| (value, MOST_TAGS))).map(entry).collect()
}

/// Parses an entry with a reader; `None` if the machine lacks it.
fn read(reader: &mut Command, entry: &[u8]) -> Option<Value> {
    let piped = || Stdio::piped();
    let mut reader = reader.stdin(piped()).stdout(piped()).stderr(piped()).spawn().ok()?;
    reader.stdin.take()?.write_all(entry).ok()?;
    let output = reader.wait_with_output().expect("the reader ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("ModuleNotFoundError") {
        return None;
    }
    assert!(output.status.success(), "{errors}\n{:?}", String::from_utf8_lossy(entry));
    Some(serde_json::from_slice(&output.stdout).expect("the reader prints JSON"))
}

#[expect(clippy::print_stderr, reason = "a skipped reader must be visible")]
fn assert_read_by(name: &str, reader: impl Fn() -> Command) {
    for (value, entry) in entries() {
        match read(&mut reader(), &entry) {
            Some(read) => assert_eq!(read, value, "{name}"),
            None => return eprintln!("skipped: this machine has no {name}"),
        }
    }
}

fn in_python(name: &str) {
    assert_read_by(name, || {
        let mut command = Command::new(python());
        command.args(["-c", PYTHON, name]);
        command
    });
}

#[test]
fn serde_json_reads_entries() {
    for (value, entry) in entries() {
        assert_eq!(serde_json::from_slice::<Value>(&entry).expect("it is JSON"), value);
    }
}

#[test]
fn python_json_reads_entries() {
    in_python("json");
}

#[test]
fn orjson_reads_entries() {
    in_python("orjson");
}

#[test]
fn msgspec_reads_entries() {
    in_python("msgspec");
}

#[test]
fn pydantic_reads_entries() {
    in_python("pydantic");
}

#[test]
fn node_reads_entries() {
    assert_read_by("node", || {
        let mut command = Command::new("node");
        command.args(["-e", NODE]);
        command
    });
}
