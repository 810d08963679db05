//! What an entry says of itself, for people and their tools.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use crate::trailer::{Trailer, TrailerError};

/// What an entry is, as far as it says so itself: whether its tags were invalidated isn't known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EntryState {
    /// A fresh value.
    Fresh,
    /// A value whose lifetime has ended, in a cache with a stale window.
    Stale,
    /// The knowledge that there is no value.
    Absent,
    /// It was not written by hotshelf, or without metadata.
    Foreign,
    /// Its metadata can't be read.
    Unreadable,
}

impl EntryState {
    /// Returns the name, as in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Absent => "absent",
            Self::Foreign => "foreign",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A decoded entry.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DecodedEntry {
    /// What it is.
    pub state: EntryState,
    /// The range of the value.
    pub value: Range<usize>,
    /// Its metadata, if it has any that can be read.
    pub trailer: Option<Trailer>,
    /// How long ago its load began, if that is known.
    pub age: Option<Duration>,
    /// For how long it is still fresh; zero if it is stale.
    pub fresh_for: Option<Duration>,
}

impl DecodedEntry {
    /// Decodes an entry, or the end of it. `now` is the server's clock, in milliseconds, if it is
    /// known.
    #[must_use]
    pub fn decode(raw: &[u8], now: Option<u64>) -> Self {
        let without_trailer =
            |state| Self { state, value: 0..raw.len(), trailer: None, age: None, fresh_for: None };
        let (value, trailer) = match Trailer::find(raw) {
            Ok(found) => found,
            Err(TrailerError::Missing) => return without_trailer(EntryState::Foreign),
            Err(_) => return without_trailer(EntryState::Unreadable),
        };
        let now = now.filter(|_| trailer.loaded_at > 0);
        let until = trailer.loaded_at.saturating_add(trailer.fresh_for);
        let age = now.map(|now| Duration::from_millis(now.saturating_sub(trailer.loaded_at)));
        let fresh_for = now.map(|now| Duration::from_millis(until.saturating_sub(now)));
        let state = match (trailer.absent, fresh_for) {
            (true, _) => EntryState::Absent,
            (false, Some(Duration::ZERO)) => EntryState::Stale,
            (false, _) => EntryState::Fresh,
        };
        Self { state, value, trailer: Some(trailer), age, fresh_for }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trailer::CodecId;

    #[test]
    fn entries_are_decoded() {
        let trailer = Trailer {
            absent: false,
            codec: CodecId::of("MessagePack"),
            fill: [1; 5],
            loaded_at: 1_000,
            fresh_for: 500,
            lives_for: None,
            load_time: 1,
            late_tags: false,
            tags: Vec::new(),
        };
        let mut raw = b"{}".to_vec();
        trailer.append_to(&mut raw);
        let entry = DecodedEntry::decode(&raw, Some(1_200));
        assert_eq!((entry.state, entry.value.clone()), (EntryState::Fresh, 0..2));
        let millis = |time: Option<Duration>| time.map(|time| time.as_millis());
        assert_eq!((millis(entry.age), millis(entry.fresh_for)), (Some(200), Some(300)));
        assert_eq!(DecodedEntry::decode(&raw, Some(1_500)).state, EntryState::Stale);
        assert_eq!(DecodedEntry::decode(&raw, None).age, None);
        assert_eq!(DecodedEntry::decode(b"{}", Some(0)).state, EntryState::Foreign);
        raw[5] = b'x';
        assert_eq!(DecodedEntry::decode(&raw, Some(0)).state, EntryState::Unreadable);
    }
}
