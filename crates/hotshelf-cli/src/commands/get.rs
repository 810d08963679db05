//! `hotshelf get`.

use hotshelf_core::cache::{DecodedEntry, EntryState};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::entry::{codec_of, hexadecimal};
use crate::failure::{DONE, Failure};
use crate::names::shown;
use crate::output::{escape, escape_text};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct GetArguments {
    /// The exact key
    key: String,
    /// Write the bytes of the value as they are stored
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

#[derive(Serialize)]
struct Found<'a> {
    key: String,
    state: EntryState,
    codec: Option<&'static str>,
    #[serde(flatten)]
    value: Shown<'a>,
}

/// A value, with the form in which it is shown.
#[derive(Serialize)]
#[serde(tag = "form", content = "value", rename_all = "snake_case")]
enum Shown<'a> {
    Json(&'a RawValue),
    Text(&'a str),
    Hex(String),
}

pub(crate) async fn run(arguments: &GetArguments, session: &Session) -> Result<u8, Failure> {
    if arguments.raw && session.common.json {
        // clap notices it only behind the command.
        return Err(Failure::Usage("--raw can't be used with --json".to_owned()));
    }
    let key = session.key(&arguments.key)?;
    let found = session.command(&[b"GET", &key[..]]).await?.bytes()?;
    let Some(raw) = found else {
        return Err(Failure::NotFound(format!("no such key: {}", escape(&key))));
    };
    if arguments.raw {
        let value = DecodedEntry::decode(&raw, None).value;
        session.terminal.write(&raw[value])?;
        return Ok(DONE);
    }
    let entry = DecodedEntry::decode(&raw, session.time_if_known().await?);
    let value = &raw[entry.value.clone()];
    let shown_value = match std::str::from_utf8(value) {
        Err(_) => Shown::Hex(hexadecimal(value)),
        Ok(text) => serde_json::from_str(text).map_or(Shown::Text(text), Shown::Json),
    };
    let result =
        Found { key: shown(&key), state: entry.state, codec: codec_of(&entry), value: shown_value };
    session.show(&result, || {
        let mut text = escape_text(value);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    })
}
