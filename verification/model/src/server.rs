//! The server: executes each request atomically, like the scripts of docs/protocol.md.

use std::fmt;
use std::ops::{Index, IndexMut};

use crate::variants::{Invalidation, PlainValues, Renewal, Rules, TagVersions};

/// The maximum number of keys.
pub(crate) const KEYS: usize = 2;

/// A version of the data at the source.
pub(crate) type Version = u8;

/// A version of the tag.
pub(crate) type TagVersion = u8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u8);

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "K{}", self.0)
    }
}

/// A lease's fencing token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token(pub(crate) u8);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}", self.0)
    }
}

impl Token {
    /// The token of naive clients.
    pub(crate) const NONE: Self = Self(0);
}

/// One value for each key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct PerKey<T>(pub(crate) [T; KEYS]);

impl<T> Index<Key> for PerKey<T> {
    type Output = T;

    fn index(&self, key: Key) -> &T {
        &self.0[usize::from(key.0)]
    }
}

impl<T> IndexMut<Key> for PerKey<T> {
    fn index_mut(&mut self, key: Key) -> &mut T {
        &mut self.0[usize::from(key.0)]
    }
}

/// A value in Redis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) version: Version,
    /// The captured version of the tag; 0 without tags.
    pub(crate) tag: TagVersion,
    /// Written by a plain writer, without a trailer.
    pub(crate) plain: bool,
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}", self.version)?;
        if self.tag > 0 {
            write!(formatter, " of T{}", self.tag)?;
        }
        formatter.write_str(if self.plain { " plain" } else { "" })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) entry: Option<Entry>,
    pub(crate) lease: Option<Token>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) slots: PerKey<Slot>,
    pub(crate) tag: Option<TagVersion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Request {
    Acquire {
        key: Key,
        token: Token,
        /// The entry that the caller found unusable.
        seen: Option<Entry>,
    },
    Store {
        key: Key,
        token: Token,
        entry: Entry,
    },
    Release {
        key: Key,
        token: Token,
    },
    Renew {
        key: Key,
        token: Token,
    },
    Take {
        key: Key,
        token: Token,
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
    Present {
        entry: Entry,
        /// The tag's version, from a request of the same pipeline.
        tag: Option<TagVersion>,
    },
    Tag(Option<TagVersion>),
    Stored,
    Refused,
    Done,
}

impl Request {
    pub(crate) fn refers_to(self, wanted: Token) -> bool {
        match self {
            Self::Acquire { token, .. }
            | Self::Store { token, .. }
            | Self::Release { token, .. }
            | Self::Renew { token, .. }
            | Self::Take { token, .. } => token == wanted,
            _ => false,
        }
    }

    pub(crate) fn refers_to_tag(self, wanted: TagVersion) -> bool {
        self.entry().is_some_and(|entry| entry.tag == wanted)
            || self == Self::CaptureTagAgain { version: wanted }
    }

    pub(crate) fn entry(self) -> Option<Entry> {
        match self {
            Self::Acquire { seen, .. } => seen,
            Self::Store { entry, .. }
            | Self::Set { entry, .. }
            | Self::SetAndUnlock { entry, .. } => Some(entry),
            _ => None,
        }
    }
}

impl Server {
    /// Executes a request. `unused` is an unused tag version, for CAPTURE.
    pub(crate) fn execute(&mut self, request: Request, rules: &Rules, unused: TagVersion) -> Reply {
        match request {
            Request::Acquire { key, token, seen } => self.acquire(key, token, seen, rules),
            Request::Store { key, token, entry } => self.store(key, token, entry),
            Request::Release { key, token } => self.release(key, token),
            Request::Renew { key, token } => self.renew(key, token, rules),
            Request::Take { key, token } => self.take(key, token),
            Request::CaptureTag => self.capture_tag(rules, unused),
            Request::CaptureTagAgain { version } => self.capture_tag(rules, version),
            Request::ReadTag => Reply::Tag(self.tag),
            Request::Invalidate { key } => self.invalidate(key, rules),
            Request::InvalidateTag => self.invalidate_tag(rules),
            Request::UnlinkLease { key } => {
                self.slots[key].lease = None;
                Reply::Done
            }
            Request::UnlinkEntry { key } => {
                self.slots[key].entry = None;
                Reply::Done
            }
            Request::Set { key, entry } => {
                self.slots[key].entry = Some(entry);
                Reply::Done
            }
            Request::SetAndUnlock { key, entry } => {
                self.slots[key] = Slot { entry: Some(entry), lease: None };
                Reply::Stored
            }
        }
    }

    /// Returns the entry with which ACQUIRE answers a caller that has seen another one.
    pub(crate) fn entry_for(&self, key: Key, seen: Option<Entry>, rules: &Rules) -> Option<Entry> {
        let skipped = |entry: &Entry| entry.plain && rules.plain_values == PlainValues::Rejected;
        self.slots[key].entry.filter(|entry| Some(*entry) != seen && !skipped(entry))
    }

    fn acquire(&mut self, key: Key, token: Token, seen: Option<Entry>, rules: &Rules) -> Reply {
        if let Some(entry) = self.entry_for(key, seen, rules) {
            return Reply::Present { entry, tag: self.tag };
        }
        let lease = &mut self.slots[key].lease;
        if lease.is_some() {
            return Reply::Busy;
        }
        *lease = Some(token);
        Reply::Granted
    }

    fn store(&mut self, key: Key, token: Token, entry: Entry) -> Reply {
        if self.slots[key].lease != Some(token) {
            return Reply::Refused;
        }
        self.slots[key] = Slot { entry: Some(entry), lease: None };
        Reply::Stored
    }

    fn release(&mut self, key: Key, token: Token) -> Reply {
        let lease = &mut self.slots[key].lease;
        *lease = lease.filter(|held| *held != token);
        Reply::Done
    }

    /// Extending a lease has no effect, since leases expire at any time in this model.
    fn renew(&mut self, key: Key, token: Token, rules: &Rules) -> Reply {
        if rules.renewal == Renewal::Sets {
            self.slots[key].lease = Some(token);
        }
        Reply::Done
    }

    fn take(&mut self, key: Key, token: Token) -> Reply {
        self.slots[key].lease = Some(token);
        Reply::Granted
    }

    fn capture_tag(&mut self, rules: &Rules, unused: TagVersion) -> Reply {
        let first = match rules.tag_versions {
            TagVersions::Unique => unused,
            TagVersions::Counted => 0,
        };
        Reply::Tag(Some(*self.tag.get_or_insert(first)))
    }

    fn invalidate(&mut self, key: Key, rules: &Rules) -> Reply {
        let slot = &mut self.slots[key];
        slot.entry = None;
        if rules.invalidation == Invalidation::RemovesLease {
            slot.lease = None;
        }
        Reply::Done
    }

    fn invalidate_tag(&mut self, rules: &Rules) -> Reply {
        self.tag = match rules.tag_versions {
            TagVersions::Unique => None,
            TagVersions::Counted => Some(self.tag.unwrap_or(0) + 1),
        };
        Reply::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variants::PROTOCOL;

    const KEY: Key = Key(0);
    const MINE: Token = Token(1);
    const OTHER: Token = Token(2);
    const ENTRY: Entry = Entry { version: 1, tag: 0, plain: false };

    fn run(server: &mut Server, request: Request) -> Reply {
        server.execute(request, &PROTOCOL, 9)
    }

    fn acquire(token: Token, seen: Option<Entry>) -> Request {
        Request::Acquire { key: KEY, token, seen }
    }

    fn store(token: Token) -> Request {
        Request::Store { key: KEY, token, entry: ENTRY }
    }

    #[test]
    fn one_caller_stores_once() {
        let mut server = Server::default();
        assert_eq!(run(&mut server, acquire(MINE, None)), Reply::Granted);
        assert_eq!(run(&mut server, acquire(OTHER, None)), Reply::Busy);
        assert_eq!(run(&mut server, store(OTHER)), Reply::Refused);
        assert_eq!(run(&mut server, store(MINE)), Reply::Stored);
        assert_eq!(run(&mut server, store(MINE)), Reply::Refused);
        assert_eq!(server.slots[KEY], Slot { entry: Some(ENTRY), lease: None });
    }

    #[test]
    fn acquire_returns_unseen_entry() {
        let mut server = Server::default();
        run(&mut server, Request::Set { key: KEY, entry: ENTRY });
        assert_eq!(
            run(&mut server, acquire(MINE, None)),
            Reply::Present { entry: ENTRY, tag: None }
        );
        assert_eq!(run(&mut server, acquire(MINE, Some(ENTRY))), Reply::Granted);
    }

    #[test]
    fn invalidation_and_take_refuse_the_holder() {
        for request in [Request::Invalidate { key: KEY }, Request::Take { key: KEY, token: OTHER }]
        {
            let mut server = Server::default();
            run(&mut server, acquire(MINE, None));
            run(&mut server, request);
            assert_eq!(run(&mut server, store(MINE)), Reply::Refused);
        }
    }

    #[test]
    fn release_and_renew_compare_the_token() {
        let mut server = Server::default();
        run(&mut server, acquire(OTHER, None));
        run(&mut server, Request::Release { key: KEY, token: MINE });
        run(&mut server, Request::Renew { key: KEY, token: MINE });
        assert_eq!(server.slots[KEY].lease, Some(OTHER));
        run(&mut server, Request::Release { key: KEY, token: OTHER });
        assert_eq!(server.slots[KEY].lease, None);
    }

    #[test]
    fn invalidation_changes_tag_version() {
        let mut server = Server::default();
        assert_eq!(server.execute(Request::CaptureTag, &PROTOCOL, 1), Reply::Tag(Some(1)));
        assert_eq!(server.execute(Request::CaptureTag, &PROTOCOL, 2), Reply::Tag(Some(1)));
        server.execute(Request::InvalidateTag, &PROTOCOL, 2);
        assert_eq!(server.execute(Request::ReadTag, &PROTOCOL, 2), Reply::Tag(None));
        assert_eq!(server.execute(Request::CaptureTag, &PROTOCOL, 2), Reply::Tag(Some(2)));
    }

    #[test]
    fn evicted_counter_repeats_a_version() {
        let rules = Rules { tag_versions: TagVersions::Counted, ..PROTOCOL };
        let mut server = Server::default();
        server.execute(Request::InvalidateTag, &rules, 9);
        server.tag = None;
        server.execute(Request::InvalidateTag, &rules, 9);
        assert_eq!(server.tag, Some(1));
    }
}
