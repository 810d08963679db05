//! What is stored under a key, as far as one call is concerned.

use crate::backend::Seen;
use crate::codec::Decoded;

/// The outcome of reading a key for one call.
#[derive(Clone, Debug)]
pub enum ReadOutcome {
    /// The entry answers the call.
    Hit(Value),
    /// It doesn't, or there is none.
    Miss(Miss),
}

/// What a cache knows of a key.
#[derive(Clone, Debug)]
pub enum Value {
    /// The value.
    Present(Decoded),
    /// That there is no value: a loader said so.
    Absent,
}

/// A read without an answer: the reason, and enough of the entry to know it again.
#[derive(Clone, Debug)]
pub struct Miss {
    reason: MissReason,
    /// The fingerprint that an acquire sends: the backend answers with any other entry
    /// that it finds.
    pub(crate) seen: Seen,
}

/// Why a call was not answered from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissReason {
    /// There is no entry: it was never stored, has expired, or was removed.
    Missing,
    /// A tag of the entry was invalidated.
    TagsChanged,
    /// The entry carries other tags than those of the call.
    OtherTags,
    /// The entry was not written by hotshelf, and the cache doesn't accept such entries.
    Untracked,
    /// The entry's trailer can't be read: a newer release of hotshelf wrote it, or it was
    /// changed since.
    Unusable,
    /// The entry is not a value of this cache: corrupt, or of another type.
    Undecodable,
    /// The entry says that there is no value, which doesn't answer this call.
    KnownAbsent,
    /// The call wants a value that is loaded after it began: the key was not read.
    Reload,
    /// The backend couldn't be read.
    Unreadable,
    /// The caches are switched off.
    Disabled,
    /// The key can't be used.
    InvalidKey,
}

/// Whose entry is stored under a key, which decides what a load may remove or replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// There is no entry.
    Nobody,
    /// An entry of this cache, which what is loaded makes outdated.
    ThisCache,
    /// An entry of another cache, or of a plain client.
    Another,
}

impl Miss {
    pub(crate) fn new(reason: MissReason, seen: Seen) -> Self {
        Self { reason, seen }
    }

    /// Returns the miss of a call for a reason that has nothing to do with an entry.
    pub(crate) fn without_entry(reason: MissReason) -> Self {
        Self::new(reason, Seen::Nothing)
    }

    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> MissReason {
        self.reason
    }

    /// Returns whose entry was found; `None` if the key was not read.
    pub(crate) fn occupant(&self) -> Option<Occupant> {
        match self.reason {
            MissReason::Missing => Some(Occupant::Nobody),
            MissReason::TagsChanged | MissReason::OtherTags | MissReason::KnownAbsent => {
                Some(Occupant::ThisCache)
            }
            MissReason::Untracked | MissReason::Unusable | MissReason::Undecodable => {
                Some(Occupant::Another)
            }
            MissReason::Reload
            | MissReason::Unreadable
            | MissReason::Disabled
            | MissReason::InvalidKey => None,
        }
    }
}
