//! `hotshelf ls`.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::ErrorKind;
use hotshelf_core::cache::DecodedEntry;
use hotshelf_core::key::OWN_PREFIX;
use hotshelf_core::trailer::LONGEST_TRAILER;
use hotshelf_redis::Reply;
use serde::Serialize;

use crate::failure::{Failure, denies_key};
use crate::key_scan::Step;
use crate::names::{Group, shown};
use crate::output::{Align, Table, bytes, duration, escape, seconds};
use crate::session::Session;

/// The number of keys that are looked at in one round trip.
const AT_ONCE: usize = 300;

/// The state of a hash, a list or the like.
const OTHER_TYPE: &str = "other_type";

/// The states of keys that aren't entries.
const LEASE: &str = "lease";
const TAG: &str = "tag";

#[derive(Debug, clap::Args)]
pub(crate) struct LsArguments {
    /// A glob of exact keys, such as `shop:v1:*`
    #[arg(default_value = "*")]
    pattern: String,
    /// The largest number of keys; 0 for all
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// List leases and tags, too
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Listing {
    keys: Vec<Listed>,
    /// Whether there are no further keys.
    complete: bool,
    /// The number of keys that the ACL denies.
    skipped: usize,
}

/// Times are in seconds.
#[derive(Serialize)]
struct Listed {
    key: String,
    /// Whether the key isn't UTF-8, and is shown with escapes.
    escaped: bool,
    state: &'static str,
    age: Option<f64>,
    fresh_for: Option<f64>,
    /// When the server removes it; `None` if it never does.
    expires_in: Option<f64>,
    /// With the trailer.
    bytes: u64,
    tags: usize,
    #[serde(skip)]
    raw: Bytes,
}

pub(crate) async fn run(arguments: &LsArguments, session: &Session) -> Result<u8, Failure> {
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    let own = arguments.all || arguments.pattern.starts_with(OWN_PREFIX);
    let is_own = |key: &Bytes| matches!(Group::of(key), Group::Leases | Group::Tags);
    let mut scan = session.scan(&arguments.pattern).await?;
    let (mut found, mut complete) = (Vec::new(), false);
    while found.len() <= limit {
        match scan.next().await? {
            Step::Keys(keys) => found.extend(keys.into_iter().filter(|key| own || !is_own(key))),
            Step::Restarted => found.clear(),
            Step::End => {
                complete = true;
                break;
            }
        }
    }
    drop(scan);
    complete &= found.len() <= limit;
    found.truncate(limit);
    let now = session.time_if_known().await?;
    let mut listing = Listing { keys: Vec::with_capacity(found.len()), complete, skipped: 0 };
    for found in found.chunks(AT_ONCE) {
        look_at(session, found, now, &mut listing).await?;
    }
    session.show_skipped(listing.skipped);
    session.show(&listing, || text(&listing, session))
}

/// Reads what is shown of keys. Those that are gone are left out.
async fn look_at(
    session: &Session,
    keys: &[Bytes],
    now: Option<u64>,
    listing: &mut Listing,
) -> Result<(), Failure> {
    let tail = format!("-{LONGEST_TRAILER}");
    let words = |words: &[&str], key: &Bytes| -> Vec<Bytes> {
        let mut command: Vec<_> =
            words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect();
        command.insert(1, key.clone());
        command
    };
    let commands: Vec<Vec<Bytes>> = keys
        .iter()
        .flat_map(|key| {
            [words(&["PTTL"], key), words(&["STRLEN"], key), words(&["GETRANGE", &tail, "-1"], key)]
        })
        .collect();
    let replies = session.pipeline(&commands).await?;
    let mut replies = replies.into_iter();
    for key in keys {
        let (Some(remaining), Some(size), Some(tail)) =
            (replies.next(), replies.next(), replies.next())
        else {
            break;
        };
        match remaining {
            Reply::Error(error) if denies_key(&error) => listing.skipped += 1,
            remaining => {
                let listed = listed_key(key, remaining.integer()?, size, tail, now)?;
                listing.keys.extend(listed);
            }
        }
    }
    Ok(())
}

fn listed_key(
    key: &Bytes,
    remaining: i64,
    size: Reply,
    tail: Reply,
    now: Option<u64>,
) -> Result<Option<Listed>, Failure> {
    if remaining == -2 {
        return Ok(None);
    }
    let mut listed = Listed {
        key: shown(key),
        escaped: std::str::from_utf8(key).is_err(),
        state: OTHER_TYPE,
        age: None,
        fresh_for: None,
        expires_in: u64::try_from(remaining).ok().map(seconds),
        bytes: 0,
        tags: 0,
        raw: key.clone(),
    };
    match tail {
        Reply::Error(error) if error.kind() == ErrorKind::WrongType => {}
        tail => {
            let tail = tail.bytes()?.unwrap_or_default();
            let entry = DecodedEntry::decode(&tail, now);
            listed.state = match Group::of(key) {
                Group::Leases => LEASE,
                Group::Tags => TAG,
                Group::Cache(_) | Group::Others => entry.state.name(),
            };
            listed.age = entry.age.map(|age| age.as_secs_f64());
            listed.fresh_for = entry.fresh_for.map(|left| left.as_secs_f64());
            listed.tags = entry.trailer.map_or(0, |trailer| trailer.tags.len());
            listed.bytes = size.count()?;
        }
    }
    Ok(Some(listed))
}

fn text(listing: &Listing, session: &Session) -> String {
    if listing.keys.is_empty() {
        return "no keys\n".to_owned();
    }
    let columns = [
        ("key", Align::Left),
        ("state", Align::Left),
        ("age", Align::Right),
        ("fresh for", Align::Right),
        ("expires in", Align::Right),
        ("size", Align::Right),
        ("tags", Align::Right),
    ];
    let time = |seconds: Option<f64>, none: &str| {
        seconds.map_or_else(|| none.to_owned(), |it| duration(Duration::from_secs_f64(it)))
    };
    let mut table = Table::new(&columns);
    for listed in &listing.keys {
        table.row([
            escape(&listed.raw),
            listed.state.replace('_', " "),
            time(listed.age, "-"),
            time(listed.fresh_for, "-"),
            time(listed.expires_in, "never"),
            bytes(listed.bytes as f64),
            listed.tags.to_string(),
        ]);
    }
    let further = if listing.complete { "" } else { "there are further keys; see --limit\n" };
    table.render(session.style) + further
}
