//! The outcome of reading a key.

use std::fmt;

use serde::Serialize;

use super::freshness::{Edition, Use};
use crate::backend::Seen;
use crate::codec::Decoded;
use crate::tag::TagStamp;

/// The outcome of reading a key for one call.
#[derive(Clone, Debug)]
pub enum ReadOutcome {
    /// The entry answers the call.
    Hit(Value),
    /// The entry has a value that isn't fresh, or won't be for long.
    Stale(Box<Stale>),
    /// There is no entry, or it doesn't answer the call.
    Miss(Miss),
}

/// A value, or the knowledge that it does not exist.
#[derive(Clone, Debug)]
pub enum Value {
    /// The value.
    Present(Decoded),
    /// A negative: a loader found that there is no value.
    Absent,
}

impl Value {
    /// Returns `true` for a negative.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// The value of an entry that is to be loaded anew.
#[derive(Clone, Debug)]
pub struct Stale {
    pub(crate) value: Value,
    /// The fingerprint of the entry.
    pub(crate) seen: Seen,
    pub(crate) edition: Edition,
    /// The versions of its tags, which were valid when it was read.
    pub(crate) tags: Box<[TagStamp]>,
    pub(crate) usable: Use,
    /// Whether it was read in the memory of this process.
    pub(crate) is_local: bool,
}

/// A value that is served instead of an error, or while its load takes too long.
#[derive(Clone, Debug)]
pub(crate) struct Usable {
    pub(crate) value: Value,
    /// Otherwise another process has stored it meanwhile.
    pub(crate) is_stale: bool,
}

impl From<Stale> for Usable {
    fn from(stale: Stale) -> Self {
        Self { value: stale.value, is_stale: stale.usable != Use::RefreshEarly }
    }
}

impl ReadOutcome {
    /// Returns the stale value, if that is what was found.
    pub(crate) fn stale(&self) -> Option<Box<Stale>> {
        match self {
            Self::Stale(stale) => Some(stale.clone()),
            Self::Hit(_) | Self::Miss(_) => None,
        }
    }

    /// Returns the outcome for a call that loads nothing: a stale value is a miss, unless the call
    /// accepts it.
    #[must_use]
    pub fn without_load(self, takes_stale: bool) -> Self {
        match self {
            Self::Stale(stale) if stale.usable == Use::RefreshEarly || takes_stale => {
                Self::Hit(stale.value)
            }
            Self::Stale(stale) => Self::Miss(Miss::new(MissReason::Expired, stale.seen)),
            outcome => outcome,
        }
    }
}

/// A miss: its reason, and the fingerprint of the entry.
#[derive(Clone, Debug)]
pub struct Miss {
    reason: MissReason,
    /// The fingerprint that an acquire sends. If the backend finds any other entry, it answers
    /// with that.
    pub(crate) seen: Seen,
}

/// Why a call was not answered from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MissReason {
    /// There is no entry: it was never stored, has expired, or was removed.
    Missing,
    /// The value isn't fresh any more.
    Expired,
    /// A tag of the entry was invalidated.
    TagsChanged,
    /// The entry carries other tags than those of the call.
    OtherTags,
    /// The entry was not written by hotshelf, and the cache doesn't accept such entries.
    Untracked,
    /// The entry's trailer cannot be read: a newer release of hotshelf wrote it, or it was
    /// changed.
    Unusable,
    /// The entry is not a value of this cache: corrupt, or of another type.
    Undecodable,
    /// The value was encoded by another codec than that of the cache.
    OtherCodec,
    /// The entry is a cached negative, which the call doesn't accept.
    KnownAbsent,
    /// The call requires a value that is loaded after it began. The key was not read.
    Reload,
    /// The backend could not be read.
    Unreadable,
    /// The caches are disabled.
    Disabled,
    /// The key is invalid.
    InvalidKey,
}

impl fmt::Display for MissReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "there is no entry",
            Self::Expired => "the value isn't fresh any more",
            Self::TagsChanged => "a tag of the entry was invalidated",
            Self::OtherTags => "the entry has other tags than the call",
            Self::Untracked => {
                "the entry was not written by hotshelf, which the cache doesn't accept"
            }
            Self::Unusable => "the entry was changed, or written by a newer release",
            Self::Undecodable => "the entry is not a value of this cache",
            Self::OtherCodec => "the entry was encoded by another codec",
            Self::KnownAbsent => "it is known that there is no value",
            Self::Reload => "the call loads in any case",
            Self::Unreadable => "the backend could not be read",
            Self::Disabled => "the caches are disabled",
            Self::InvalidKey => "the key is invalid",
        })
    }
}

/// The owner of the entry under a key, which decides what a load may remove or replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupant {
    /// There is no entry.
    Nobody,
    /// This cache: a load makes the entry outdated.
    ThisCache,
    /// Another cache, or a plain client.
    Another,
}

impl Miss {
    pub(crate) fn new(reason: MissReason, seen: Seen) -> Self {
        Self { reason, seen }
    }

    /// Returns a miss for a reason other than an entry.
    pub(crate) fn without_entry(reason: MissReason) -> Self {
        Self::new(reason, Seen::Nothing)
    }

    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> MissReason {
        self.reason
    }

    /// Returns the owner of the entry; `None` if the key was not read.
    pub(crate) fn occupant(&self) -> Option<Occupant> {
        match self.reason {
            MissReason::Missing => Some(Occupant::Nobody),
            MissReason::Expired
            | MissReason::TagsChanged
            | MissReason::OtherTags
            | MissReason::KnownAbsent => Some(Occupant::ThisCache),
            MissReason::Untracked
            | MissReason::Unusable
            | MissReason::Undecodable
            | MissReason::OtherCodec => Some(Occupant::Another),
            MissReason::Reload
            | MissReason::Unreadable
            | MissReason::Disabled
            | MissReason::InvalidKey => None,
        }
    }
}
