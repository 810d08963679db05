//! `hotshelf explain`.

use std::time::Duration;

use hotshelf_core::WireKey;
use hotshelf_core::cache::{DecodedEntry, EntryState};
use hotshelf_core::tag::{self, TagId};
use hotshelf_redis::{LeaseState, lease_name};
use serde::Serialize;

use crate::entry::{codec_of, hexadecimal};
use crate::failure::{DONE, Failure, NOT_FOUND};
use crate::names::{Group, decoded, wire_key};
use crate::output::{Color, bytes, duration, escape, seconds};
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArguments {
    /// The exact key
    key: String,
    /// The prefix of its tags. Default: that of the key
    #[arg(long)]
    prefix: Option<String>,
    /// A name that its tags may have: entries hold only their ids. Can be repeated
    #[arg(long = "tag", value_name = "NAME")]
    tags: Vec<String>,
}

/// Times are in seconds.
#[derive(Serialize)]
struct Explained {
    key: String,
    found: bool,
    /// `hit`, `stale`, `negative` or `miss`, for a call without tags of its own.
    verdict: &'static str,
    /// Why it is a miss.
    reason: Option<&'static str>,
    entry: Option<EntryShown>,
    tags: Vec<TagShown>,
    lease: Option<Lease>,
}

#[derive(Serialize)]
struct EntryShown {
    state: EntryState,
    bytes: usize,
    value_bytes: usize,
    codec: Option<&'static str>,
    /// The id of the fill that wrote it, in hexadecimal digits.
    fill: Option<String>,
    /// Since the Unix epoch, by the server's clock.
    loaded_at: Option<f64>,
    age: Option<f64>,
    load_time: Option<f64>,
    fresh_for: Option<f64>,
    expires_in: Option<f64>,
    late_tags: bool,
}

#[derive(Serialize)]
struct TagShown {
    id: String,
    name: Option<String>,
    recorded: String,
    current: Option<String>,
    valid: bool,
}

/// What stands in the place of the lease.
#[derive(Serialize)]
struct Lease {
    /// `load`, `hold`, `failed` or `unknown`.
    kind: &'static str,
    /// The id of the fill in flight.
    fill: Option<String>,
    expires_in: Option<f64>,
}

pub(crate) async fn run(arguments: &ExplainArguments, session: &Session) -> Result<u8, Failure> {
    let key = wire_key(&session.key(&arguments.key)?)?;
    let raw = session.command(&["GET", key.as_str()]).await?.bytes()?;
    let remaining = session.command(&["PTTL", key.as_str()]).await?.integer()?;
    let lease = lease_of(session, &key).await?;
    let tags = match raw.as_deref().map(|raw| DecodedEntry::decode(raw, None)) {
        Some(entry) => tags_of(arguments, session, &key, &entry).await?,
        None => Vec::new(),
    };
    let now = session.time_if_known().await?;
    let entry = raw.as_deref().map(|raw| (raw, DecodedEntry::decode(raw, now)));
    let (verdict, reason) = judge(entry.as_ref().map(|(_, entry)| entry), &tags);
    let explained = Explained {
        key: key.as_str().to_owned(),
        found: entry.is_some(),
        verdict,
        reason,
        entry: entry.map(|(raw, entry)| shown(raw, &entry, remaining)),
        tags,
        lease,
    };
    session.show(&explained, || text(&explained, session))?;
    Ok(if explained.found { DONE } else { NOT_FOUND })
}

fn shown(raw: &[u8], entry: &DecodedEntry, remaining: i64) -> EntryShown {
    let trailer = entry.trailer.as_ref();
    EntryShown {
        state: entry.state,
        bytes: raw.len(),
        value_bytes: entry.value.len(),
        codec: codec_of(entry),
        fill: trailer.map(|trailer| hexadecimal(&trailer.fill)),
        loaded_at: trailer.filter(|it| it.loaded_at > 0).map(|it| seconds(it.loaded_at)),
        age: entry.age.map(|age| age.as_secs_f64()),
        load_time: trailer.map(|trailer| seconds(trailer.load_time)),
        fresh_for: entry.fresh_for.map(|left| left.as_secs_f64()),
        expires_in: u64::try_from(remaining).ok().map(seconds),
        late_tags: trailer.is_some_and(|trailer| trailer.late_tags),
    }
}

/// Reads the current versions of the tags of an entry.
async fn tags_of(
    arguments: &ExplainArguments,
    session: &Session,
    key: &WireKey,
    entry: &DecodedEntry,
) -> Result<Vec<TagShown>, Failure> {
    let stamps = entry.trailer.as_ref().map_or(&[][..], |trailer| &trailer.tags);
    let own = || decoded(key.as_str().split(':').next()?);
    let prefix = arguments.prefix.clone().or_else(own).unwrap_or_default();
    let mut names = Vec::new();
    for name in &arguments.tags {
        names.push((TagId::of(name)?, name.clone()));
    }
    if let Group::Cache(cache) = Group::of(key.as_bytes()) {
        names.push((TagId::of_epoch(&format!("{cache}:")), "(epoch of the cache)".to_owned()));
    }
    let keys: Vec<WireKey> = stamps.iter().map(|stamp| stamp.id.key(&prefix)).collect();
    let commands: Vec<_> = keys.iter().map(|key| ["GET", key.as_str()]).collect();
    let versions = session.pipeline(&commands).await?;
    let mut tags = Vec::with_capacity(stamps.len());
    for (stamp, version) in stamps.iter().zip(versions) {
        let raw = version.bytes()?;
        let current = raw.as_deref().and_then(tag::read).map(|(version, _)| version);
        tags.push(TagShown {
            id: hexadecimal(stamp.id.as_bytes()),
            name: names.iter().find(|(id, _)| *id == stamp.id).map(|(_, name)| name.clone()),
            recorded: hexadecimal(&stamp.version),
            current: current.map(|version| hexadecimal(&version)),
            valid: current == Some(stamp.version),
        });
    }
    Ok(tags)
}

async fn lease_of(session: &Session, key: &WireKey) -> Result<Option<Lease>, Failure> {
    let name = lease_name(key);
    let Some(held) = session.command(&["GET", &name]).await?.bytes()? else { return Ok(None) };
    let remaining = session.command(&["PTTL", &name]).await?.integer()?;
    let (kind, fill) = match LeaseState::of(&held) {
        LeaseState::Load(fill) => ("load", Some(hexadecimal(&fill))),
        LeaseState::Hold => ("hold", None),
        LeaseState::Failed => ("failed", None),
        _ => ("unknown", None),
    };
    Ok(Some(Lease { kind, fill, expires_in: u64::try_from(remaining).ok().map(seconds) }))
}

fn judge(entry: Option<&DecodedEntry>, tags: &[TagShown]) -> (&'static str, Option<&'static str>) {
    let Some(entry) = entry else { return ("miss", Some("not_found")) };
    if tags.iter().any(|tag| !tag.valid) {
        return ("miss", Some("invalidated_tag"));
    }
    match entry.state {
        EntryState::Fresh => ("hit", None),
        EntryState::Stale => ("stale", None),
        EntryState::Absent => ("negative", None),
        EntryState::Foreign => ("miss", Some("foreign")),
        _ => ("miss", Some("unreadable")),
    }
}

fn text(explained: &Explained, session: &Session) -> String {
    let reason = match explained.reason {
        Some("not_found") => ": there is no entry",
        Some("invalidated_tag") => ": one of its tags was invalidated",
        Some("foreign") => {
            ": hotshelf did not write it, or without metadata; a cache with \
                            `foreign = accept` takes it"
        }
        Some(_) => ": its metadata can't be read",
        None => "",
    };
    let verdict = format!("{}{reason}", explained.verdict);
    let mut lines = vec![("key", escape(explained.key.as_bytes())), ("verdict", verdict)];
    let time = |seconds: f64| duration(Duration::from_secs_f64(seconds));
    if let Some(entry) = &explained.entry {
        if let (Some(age), Some(load_time)) = (entry.age, entry.load_time) {
            lines.push(("loaded", format!("{} ago, in {}", time(age), time(load_time))));
        }
        if let Some(fresh_for) = entry.fresh_for {
            let left = if fresh_for > 0.0 { time(fresh_for) } else { "no longer".to_owned() };
            lines.push(("fresh for", left));
        }
        lines.push(("expires in", entry.expires_in.map_or_else(|| "never".to_owned(), time)));
        let (size, value) = (bytes(entry.bytes as f64), bytes(entry.value_bytes as f64));
        lines.push(("size", format!("{size}, of which the value {value}")));
        if let Some(fill) = &entry.fill {
            lines.push(("codec", entry.codec.unwrap_or("unknown").to_owned()));
            lines.push(("fill", fill.clone()));
        }
    }
    for tag in &explained.tags {
        let name =
            tag.name.as_deref().map_or_else(String::new, |name| escape(name.as_bytes()) + " ");
        let current = tag.current.as_deref().unwrap_or("none");
        let state = if tag.valid { "valid" } else { "invalidated" };
        let TagShown { id, recorded, .. } = tag;
        lines.push(("tag", format!("{name}#{id}: {state}, recorded {recorded}, now {current}")));
    }
    lines.push(("lease", lease_text(explained.lease.as_ref(), time)));
    let line = |(name, value): (&str, String)| {
        format!("{}{value}\n", session.style.paint(Color::Bold, &format!("{name:<12}")))
    };
    lines.into_iter().map(line).collect()
}

fn lease_text(lease: Option<&Lease>, time: impl Fn(f64) -> String) -> String {
    let Some(lease) = lease else { return "none: nobody loads the key".to_owned() };
    let what = match lease.kind {
        "load" => "held: the key is being loaded",
        "hold" => "on hold after an invalidation: nothing is stored",
        "failed" => "a load has failed, and isn't repeated for now",
        _ => "unknown",
    };
    match lease.expires_in {
        Some(left) => format!("{what}, for at most {}", time(left)),
        None => what.to_owned(),
    }
}
