//! Explaining what a call for a key finds, and why.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::call::CallOptions;
use super::trace::optional_seconds;
use super::{ByteCache, EntryKey, Mistake};
use crate::engine::{MissReason, ReadOutcome, Use, entry_version};
use crate::error::Error;
use crate::key::WireKey;
use crate::tag::{TagId, Tags};
use crate::trailer::{CodecId, Trailer, TrailerError};
use crate::ttl::Remaining;

/// What is known of a key, and what a call would find. Created by [`ByteCache::explain`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The exact key in the backend.
    pub key: String,
    /// What a call would find.
    pub verdict: Verdict,
    /// Why it would be a miss.
    pub reason: Option<MissReason>,
    /// Whether the near tier would answer; `None` in a cache without one.
    pub near: Option<bool>,
    /// The entry in the backend.
    pub entry: Option<EntryInfo>,
    /// The tags that the call requires or the entry carries.
    pub tags: Vec<TagInfo>,
    /// Whether this process doesn't load the key for a while: a load has failed, or another process
    /// loads it.
    pub is_paused: bool,
}

/// What a call would find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// A fresh value.
    Hit,
    /// The knowledge that there is no value.
    Negative,
    /// A stale value: it would be served, and loaded anew.
    StaleWhileRevalidating,
    /// A stale value: it would be loaded, and served if that fails or takes too long.
    StaleOnError,
    /// Nothing: it would be loaded.
    Miss,
}

/// An entry in the backend. Its times are seconds when it is serialized.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EntryInfo {
    /// Its size, with the trailer, in bytes.
    pub bytes: usize,
    /// The size of the encoded value, in bytes.
    pub value_bytes: usize,
    /// The id of the fill that wrote it, in hexadecimal digits; `None` for an entry that hotshelf did
    /// not write, or can't read.
    pub fill: Option<String>,
    /// Whether the cache's codec wrote the value.
    pub own_codec: bool,
    /// How long ago its load began, by the server's clock.
    #[serde(serialize_with = "optional_seconds")]
    pub age: Option<Duration>,
    /// How long its load took.
    #[serde(serialize_with = "optional_seconds")]
    pub load_time: Option<Duration>,
    /// For how long it is still fresh, by the server's clock; zero if it is stale.
    #[serde(serialize_with = "optional_seconds")]
    pub fresh_for: Option<Duration>,
    /// When the server removes it; `None` if it never does.
    #[serde(serialize_with = "optional_seconds")]
    pub expires_in: Option<Duration>,
}

/// A tag that a call requires, or that an entry carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TagInfo {
    /// Its name, if the cache knows it.
    pub name: Option<String>,
    /// The id, in hexadecimal digits.
    pub id: String,
    /// Whether the call requires it.
    pub required: bool,
    /// The version that it had before the entry was loaded; `None` if the entry doesn't carry it.
    pub recorded: Option<String>,
    /// Its version now; `None` if it was invalidated and not used since.
    pub current: Option<String>,
}

impl ByteCache {
    /// Returns what is known of a key, and what a call with these options would find. Counts
    /// neither a hit nor a miss.
    ///
    /// Costs five round trips at most. For people and their tools: what it reads may change between
    /// them.
    ///
    /// # Errors
    /// Returns the key's error, an error if the tags are invalid, or if the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn explain(
        &self,
        key: Result<EntryKey, Error>,
        options: &CallOptions,
    ) -> Result<Explanation, Error> {
        let key = key?;
        let tags = self.checked(Mistake::Tags, options.tags_in(&self.context, Some(&key)))?;
        let Self { engine, context } = self;
        let wire = key.wire;
        let is_near = engine.gate.has_near_tier(context);
        let near = is_near.then(|| engine.read_local(context, &wire, &tags, true, None, None));
        let near = near.map(|found| matches!(found, Some(Ok(ReadOutcome::Hit(_)))));

        let found = engine.gate.read(context, std::slice::from_ref(&wire)).await?;
        let raw = found.into_iter().flatten().next();
        let inspected = engine.inspect(context, &wire, &tags).await?;
        let outcome = engine.outcome(inspected, context, &wire, true);
        let (mut verdict, mut reason) = judge(&outcome);
        if !self.is_enabled() {
            (verdict, reason) = (Verdict::Miss, Some(MissReason::Disabled));
        }
        let entry = match &raw {
            None => None,
            Some(raw) => {
                let remaining = engine.gate.remaining(context, &wire).await?;
                Some(self.entry_info(&wire, raw, remaining))
            }
        };
        let edition = match &outcome {
            ReadOutcome::Stale(stale) => Some(stale.edition),
            ReadOutcome::Hit(_) | ReadOutcome::Miss(_) => None,
        };
        let now = engine.runtime.now();
        let is_paused = edition.is_some_and(|it| engine.refreshes.is_paused(&wire, it, now));
        let tags = self.tag_infos(&tags, raw.as_deref().unwrap_or_default()).await?;
        let key = wire.as_str().to_owned();
        Ok(Explanation { key, verdict, reason, near, entry, tags, is_paused })
    }

    fn entry_info(&self, key: &WireKey, raw: &[u8], remaining: Remaining) -> EntryInfo {
        let trailer = Trailer::find(raw);
        let value_bytes = trailer.as_ref().map_or(raw.len(), |(value, _)| value.len());
        let is_plain = matches!(trailer, Err(TrailerError::Missing));
        let trailer = trailer.ok().map(|(_, trailer)| trailer);
        let now = self.engine.gate.clock(key);
        let since = |trailer: &Trailer| Some(now?.saturating_sub(trailer.loaded_at));
        let left =
            |trailer: &Trailer| Some((trailer.loaded_at + trailer.fresh_for).saturating_sub(now?));
        let codec = trailer.as_ref().map_or(CodecId::JSON, |trailer| trailer.codec);
        let millis = Duration::from_millis;
        EntryInfo {
            bytes: raw.len(),
            value_bytes,
            fill: trailer.as_ref().map(|trailer| hexadecimal(&trailer.fill)),
            own_codec: (is_plain || trailer.is_some()) && codec == self.context.codec_id,
            age: trailer.as_ref().and_then(since).map(millis),
            load_time: trailer.as_ref().map(|trailer| millis(trailer.load_time)),
            fresh_for: trailer.as_ref().and_then(left).map(millis),
            expires_in: match remaining {
                Remaining::After(left) => Some(left),
                Remaining::Missing => Some(Duration::ZERO),
                Remaining::Persistent => None,
            },
        }
    }

    async fn tag_infos(&self, required: &Tags, raw: &[u8]) -> Result<Vec<TagInfo>, Error> {
        let carried = Trailer::find(raw).map(|(_, trailer)| trailer.tags).unwrap_or_default();
        let recorded: HashMap<TagId, _> =
            carried.iter().map(|stamp| (stamp.id, stamp.version)).collect();
        let all = required.union([required, &required.of_ids(carried.iter().map(|it| it.id))]);
        if all.keys().is_empty() {
            return Ok(Vec::new());
        }
        let now = self.engine.gate.read(&self.context, all.keys()).await?;
        let info = |(id, now): (&TagId, Option<bytes::Bytes>)| TagInfo {
            name: (self.context.tags.ids().contains(id)).then(|| "the cache's epoch".to_owned()),
            id: hexadecimal(id.as_bytes()),
            required: required.ids().contains(id),
            recorded: recorded.get(id).map(|version| hexadecimal(version)),
            current: entry_version(now.as_ref()).map(|version| hexadecimal(&version)),
        };
        Ok(all.ids().iter().zip(now).map(info).collect())
    }
}

fn judge(outcome: &ReadOutcome) -> (Verdict, Option<MissReason>) {
    match outcome {
        ReadOutcome::Hit(value) if value.is_absent() => (Verdict::Negative, None),
        ReadOutcome::Hit(_) => (Verdict::Hit, None),
        ReadOutcome::Stale(stale) => match stale.usable {
            Use::OnError => (Verdict::StaleOnError, Some(MissReason::Expired)),
            Use::WhileRevalidating => (Verdict::StaleWhileRevalidating, Some(MissReason::Expired)),
            Use::Fresh | Use::RefreshEarly | Use::Expired => (Verdict::Hit, None),
        },
        ReadOutcome::Miss(miss) => (Verdict::Miss, Some(miss.reason())),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hit => "a hit",
            Self::Negative => "a cached negative",
            Self::StaleWhileRevalidating => "stale: served, and loaded anew",
            Self::StaleOnError => "stale: loaded, and served if that fails or takes too long",
            Self::Miss => "a miss",
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "key      {}", self.key)?;
        write!(formatter, "finds    {}", self.verdict)?;
        match self.reason {
            Some(reason) if self.verdict == Verdict::Miss => writeln!(formatter, ": {reason}")?,
            _ => writeln!(formatter)?,
        }
        if let Some(answers) = self.near {
            let answers = if answers { "answers" } else { "has no valid entry" };
            writeln!(formatter, "near     {answers}")?;
        }
        if self.is_paused {
            writeln!(
                formatter,
                "paused   not loaded here for a while: a load failed, or runs elsewhere"
            )?;
        }
        match &self.entry {
            None => writeln!(formatter, "entry    none")?,
            Some(entry) => entry.fmt(formatter)?,
        }
        for tag in &self.tags {
            let name = tag.name.as_deref().unwrap_or(&tag.id);
            let state = match (&tag.recorded, &tag.current) {
                (None, _) => "not carried by the entry".to_owned(),
                (Some(recorded), Some(current)) if recorded == current => "unchanged".to_owned(),
                (Some(recorded), current) => {
                    let current = current.as_deref().unwrap_or("none");
                    format!("invalidated: version {recorded} then, {current} now")
                }
            };
            let required = if tag.required { ", required" } else { "" };
            writeln!(formatter, "tag      {name}: {state}{required}")?;
        }
        Ok(())
    }
}

impl fmt::Display for EntryInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "entry    {} bytes, of which the value takes {}",
            self.bytes, self.value_bytes
        )?;
        match &self.fill {
            Some(fill) => writeln!(formatter, "; stored by fill {fill}")?,
            None => writeln!(formatter, "; not written by this release of hotshelf")?,
        }
        if !self.own_codec {
            writeln!(formatter, "         encoded by another codec than the cache's")?;
        }
        if let (Some(age), Some(load_time)) = (self.age, self.load_time) {
            writeln!(formatter, "loaded   {age:?} ago, in {load_time:?}")?;
        }
        if let Some(fresh_for) = self.fresh_for {
            writeln!(formatter, "fresh    for {fresh_for:?}")?;
        }
        match self.expires_in {
            Some(left) => writeln!(formatter, "expires  in {left:?}"),
            None => writeln!(formatter, "expires  never"),
        }
    }
}
