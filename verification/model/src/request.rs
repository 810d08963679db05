//! The requests of clients, and the answers.

use crate::entry::Entry;
use crate::server::{Key, TagVersion, Token, Version};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Request {
    /// GET K, with the tag in the same pipeline: of calls whose load has failed.
    Read {
        key: Key,
    },
    Acquire {
        key: Key,
        token: Token,
        /// The entry that the caller found unusable, or soft-expired.
        seen: Option<Entry>,
    },
    Store {
        key: Key,
        token: Token,
        entry: Entry,
    },
    /// STORE of a writer that leaves the mark of a hold in place of its lease.
    StoreWithHold {
        key: Key,
        token: Token,
        entry: Entry,
        /// As in `InvalidateWithHold`.
        version: Version,
    },
    Release {
        key: Key,
        token: Token,
    },
    /// FAIL, after a failed load of this version.
    Fail {
        key: Key,
        token: Token,
        version: Version,
    },
    Renew {
        key: Key,
        token: Token,
    },
    Take {
        key: Key,
        token: Token,
    },
    /// SOFTEN.
    Soften {
        key: Key,
        seen: Entry,
    },
    /// New metadata for an entry with this trailer: fresh again.
    Freshen {
        key: Key,
        seen: Entry,
        entry: Entry,
    },
    /// CAPTURE.
    CaptureTag,
    /// CAPTURE, executed again with the version that it set the first time.
    CaptureTagAgain {
        version: TagVersion,
    },
    /// GET T.
    ReadTag,
    /// UNLINK K L.
    Invalidate {
        key: Key,
    },
    /// UNLINK K and SET L to a mark, in one transaction.
    InvalidateWithHold {
        key: Key,
        /// The source's version when it is executed: the mark lasts until the replica has it.
        version: Version,
    },
    /// UNLINK T.
    InvalidateTag,
    /// UNLINK L.
    UnlinkLease {
        key: Key,
    },
    /// UNLINK K, of a scan of the entries.
    UnlinkEntry {
        key: Key,
    },
    /// SET K, of plain writers and plain inserts.
    Set {
        key: Key,
        entry: Entry,
    },
    /// SET K and DEL L: a fill that does not compare the token.
    SetAndUnlock {
        key: Key,
        entry: Entry,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    Granted,
    Busy,
    /// There is a mark of an invalidation with hold.
    Held,
    /// There is a mark of a failed load of this version.
    Failing(Version),
    Present {
        entry: Entry,
        /// The tag's version, from a request of the same pipeline.
        tag: Option<TagVersion>,
    },
    /// The answer to a read.
    Found {
        entry: Option<Entry>,
        tag: Option<TagVersion>,
    },
    Tag(Option<TagVersion>),
    Stored,
    Refused,
    Done,
}

impl Request {
    pub(crate) fn refers_to(self, wanted: Token) -> bool {
        let token = match self {
            Self::Acquire { token, .. }
            | Self::Store { token, .. }
            | Self::StoreWithHold { token, .. }
            | Self::Release { token, .. }
            | Self::Fail { token, .. }
            | Self::Renew { token, .. }
            | Self::Take { token, .. } => token,
            _ => Token::NONE,
        };
        token == wanted || self.entries().any(|entry| entry.fill == wanted)
    }

    pub(crate) fn refers_to_tag(self, wanted: TagVersion) -> bool {
        self.entries().any(|entry| entry.tag == wanted)
            || self == Self::CaptureTagAgain { version: wanted }
    }

    /// Returns the entries that it compares and writes.
    fn entries(self) -> impl Iterator<Item = Entry> {
        let (seen, written) = match self {
            Self::Acquire { seen, .. } => (seen, None),
            Self::Soften { seen, .. } => (Some(seen), None),
            Self::Freshen { seen, entry, .. } => (Some(seen), Some(entry)),
            Self::Store { entry, .. }
            | Self::StoreWithHold { entry, .. }
            | Self::Set { entry, .. }
            | Self::SetAndUnlock { entry, .. } => (None, Some(entry)),
            _ => (None, None),
        };
        seen.into_iter().chain(written)
    }
}

impl Reply {
    pub(crate) fn refers_to_tag(self, wanted: TagVersion) -> bool {
        let tag = match self {
            Self::Present { tag, .. } | Self::Found { tag, .. } | Self::Tag(tag) => tag,
            _ => None,
        };
        tag == Some(wanted) || self.entry().is_some_and(|entry| entry.tag == wanted)
    }

    pub(crate) const fn entry(self) -> Option<Entry> {
        match self {
            Self::Present { entry, .. } => Some(entry),
            Self::Found { entry, .. } => entry,
            _ => None,
        }
    }
}
