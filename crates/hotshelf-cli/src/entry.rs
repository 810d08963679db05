//! What an entry says of itself.

use std::ops::Range;

use hotshelf_core::trailer::{CodecId, Trailer, TrailerError};
use serde::Serialize;

/// The longest trailer, in bytes: less is read of a long value.
pub(crate) const LONGEST_TRAILER: usize = 8 << 10;

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// A fresh value.
    Fresh,
    /// A value whose lifetime has ended, in a cache with a stale window.
    Stale,
    /// The knowledge that there is no value.
    Absent,
    /// A value without a trailer: of another client, or of a cache that writes none.
    Foreign,
    /// A value whose trailer can't be read.
    Unreadable,
    /// A hash, a list or the like.
    OtherType,
}

impl State {
    /// Returns the name, as in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Absent => "absent",
            Self::Foreign => "foreign",
            Self::Unreadable => "unreadable",
            Self::OtherType => "other_type",
        }
    }
}

/// A decoded entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) state: State,
    /// The range of the value.
    pub(crate) value: Range<usize>,
    pub(crate) trailer: Option<Trailer>,
    /// Milliseconds since its load began.
    pub(crate) age: Option<u64>,
    /// Milliseconds for which it is still fresh; 0 if it is stale.
    pub(crate) fresh_for: Option<u64>,
}

impl Entry {
    /// Decodes an entry, or the end of it. `now` is the server's clock, in milliseconds.
    pub(crate) fn decode(raw: &[u8], now: u64) -> Self {
        let without_trailer =
            |state| Self { state, value: 0..raw.len(), trailer: None, age: None, fresh_for: None };
        let (value, trailer) = match Trailer::find(raw) {
            Ok(found) => found,
            Err(TrailerError::Missing) => return without_trailer(State::Foreign),
            Err(_) => return without_trailer(State::Unreadable),
        };
        let is_known = trailer.loaded_at > 0;
        let until = trailer.loaded_at.saturating_add(trailer.fresh_for);
        let fresh_for = is_known.then(|| until.saturating_sub(now));
        let state = match (trailer.absent, fresh_for) {
            (true, _) => State::Absent,
            (false, Some(0)) => State::Stale,
            (false, _) => State::Fresh,
        };
        let age = is_known.then(|| now.saturating_sub(trailer.loaded_at));
        Self { state, value, trailer: Some(trailer), age, fresh_for }
    }

    /// Returns the name of the codec that wrote the value; `None` for one that isn't known, or
    /// without a trailer.
    pub(crate) fn codec(&self) -> Option<&'static str> {
        const KNOWN: [&str; 3] = ["JSON", "MessagePack", "raw bytes"];
        let id = self.trailer.as_ref()?.codec;
        KNOWN.into_iter().find(|name| CodecId::of(name) == id)
    }
}

/// Returns bytes in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let entry = Entry::decode(&raw, 1_200);
        assert_eq!((entry.state, entry.value.clone()), (State::Fresh, 0..2));
        assert_eq!((entry.age, entry.fresh_for), (Some(200), Some(300)));
        assert_eq!(entry.codec(), Some("MessagePack"));
        assert_eq!(Entry::decode(&raw, 1_500).state, State::Stale);
        assert_eq!(Entry::decode(b"{}", 0).state, State::Foreign);
        raw[5] = b'x';
        assert_eq!(Entry::decode(&raw, 0).state, State::Unreadable);
    }
}
