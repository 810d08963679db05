//! `hotshelf ttl`.

use std::time::Duration;

use hotshelf_core::cache::{DecodedEntry, EntryState};
use hotshelf_core::trailer::LONGEST_TRAILER;
use serde::Serialize;

use crate::failure::Failure;
use crate::names::shown;
use crate::output::{duration, escape, seconds};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct TtlArguments {
    /// The exact key
    key: String,
}

/// Times are in seconds.
#[derive(Serialize)]
struct Lifetime {
    key: String,
    state: EntryState,
    fresh_for: Option<f64>,
    /// When the server removes it; `None` if it never does.
    expires_in: Option<f64>,
}

pub(crate) async fn run(arguments: &TtlArguments, session: &Session) -> Result<u8, Failure> {
    let key = session.key(&arguments.key)?;
    let remaining = session.command(&[b"PTTL", &key[..]]).await?.integer()?;
    if remaining == -2 {
        return Err(Failure::NotFound(format!("no such key: {}", escape(&key))));
    }
    let start = format!("-{LONGEST_TRAILER}");
    let tail = session.command(&[b"GETRANGE", &key[..], start.as_bytes(), b"-1"]).await?.bytes()?;
    let now = session.time_if_known().await?;
    let entry = DecodedEntry::decode(&tail.unwrap_or_default(), now);
    let lifetime = Lifetime {
        key: shown(&key),
        state: entry.state,
        fresh_for: entry.fresh_for.map(|left| left.as_secs_f64()),
        expires_in: u64::try_from(remaining).ok().map(seconds),
    };
    session.show(&lifetime, || {
        let shown = |time: f64| duration(Duration::from_secs_f64(time));
        let expires = match lifetime.expires_in {
            Some(left) => format!("expires in {}", shown(left)),
            None => "never expires".to_owned(),
        };
        match lifetime.fresh_for {
            Some(0.0) => format!("stale, {expires}\n"),
            Some(left) => format!("fresh for {}, {expires}\n", shown(left)),
            None => format!("{expires}\n"),
        }
    })
}
