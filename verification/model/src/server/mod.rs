//! The server: executes each request atomically, like the scripts of docs/protocol.md.

use std::fmt;
use std::ops::{Index, IndexMut};

use crate::entry::{Age, Entry};
use crate::request::{Reply, Request};
use crate::variants::{
    Failing, Invalidation, PlainValues, Renewal, Rules, Softening, TagVersions, Taking,
};

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

/// What a lease's key contains.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The token of a fill.
    Fill(Token),
    /// The mark of an invalidation with hold. It ends once the replica has reached this version.
    Hold(Version),
    /// The mark of a failed load of this version.
    Failure(Version),
}

impl fmt::Debug for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill(token) => token.fmt(formatter),
            Self::Hold(version) => write!(formatter, "hold v{version}"),
            Self::Failure(version) => write!(formatter, "failure of v{version}"),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) entry: Option<Entry>,
    pub(crate) lease: Option<Holder>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) slots: PerKey<Slot>,
    pub(crate) tag: Option<TagVersion>,
}

impl Server {
    /// Executes a request. `unused` is an unused tag version, for CAPTURE.
    pub(crate) fn execute(&mut self, request: Request, rules: &Rules, unused: TagVersion) -> Reply {
        match request {
            Request::Read { key } => Reply::Found { entry: self.slots[key].entry, tag: self.tag },
            Request::Acquire { key, token, seen } => self.acquire(key, token, seen, rules),
            Request::Store { key, token, entry } => self.store(key, token, entry),
            Request::StoreWithHold { key, token, entry, version } => {
                let reply = self.store(key, token, entry);
                if reply == Reply::Stored {
                    self.slots[key].lease = Some(Holder::Hold(version));
                }
                reply
            }
            Request::Release { key, token } => self.release(key, token),
            Request::Renew { key, token } => self.renew(key, token, rules),
            Request::Fail { key, token, version } => self.fail(key, token, version, rules),
            Request::Take { key, token } => self.take(key, token, rules),
            Request::Soften { key, seen } => self.soften(key, seen, rules),
            Request::Freshen { key, seen, entry } => self.freshen(key, seen, entry),
            Request::CaptureTag => self.capture_tag(rules, unused),
            Request::CaptureTagAgain { version } => self.capture_tag(rules, version),
            Request::ReadTag => Reply::Tag(self.tag),
            Request::Invalidate { key } => self.invalidate(key, rules),
            Request::InvalidateWithHold { key, version } => self.hold(key, version),
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
        let is_seen = |entry: &Entry| seen.is_some_and(|seen| entry.has_trailer_of(seen));
        self.slots[key].entry.filter(|entry| !is_seen(entry) && !skipped(entry))
    }

    fn acquire(&mut self, key: Key, token: Token, seen: Option<Entry>, rules: &Rules) -> Reply {
        if let Some(entry) = self.entry_for(key, seen, rules) {
            return Reply::Present { entry, tag: self.tag };
        }
        let lease = &mut self.slots[key].lease;
        match lease {
            Some(Holder::Fill(_)) => Reply::Busy,
            Some(Holder::Hold(_)) => Reply::Held,
            Some(Holder::Failure(version)) => Reply::Failing(*version),
            None => {
                *lease = Some(Holder::Fill(token));
                Reply::Granted
            }
        }
    }

    fn store(&mut self, key: Key, token: Token, entry: Entry) -> Reply {
        if self.slots[key].lease != Some(Holder::Fill(token)) {
            return Reply::Refused;
        }
        self.slots[key] = Slot { entry: Some(entry), lease: None };
        Reply::Stored
    }

    fn release(&mut self, key: Key, token: Token) -> Reply {
        let lease = &mut self.slots[key].lease;
        *lease = lease.filter(|held| *held != Holder::Fill(token));
        Reply::Done
    }

    fn fail(&mut self, key: Key, token: Token, version: Version, rules: &Rules) -> Reply {
        let lease = &mut self.slots[key].lease;
        if *lease == Some(Holder::Fill(token)) || rules.failing == Failing::Sets {
            *lease = Some(Holder::Failure(version));
        }
        Reply::Done
    }

    /// Extending a lease has no effect, since leases expire at any time in this model.
    fn renew(&mut self, key: Key, token: Token, rules: &Rules) -> Reply {
        if rules.renewal == Renewal::Sets {
            self.slots[key].lease = Some(Holder::Fill(token));
        }
        Reply::Done
    }

    fn take(&mut self, key: Key, token: Token, rules: &Rules) -> Reply {
        let lease = &mut self.slots[key].lease;
        if matches!(lease, Some(Holder::Hold(_))) && rules.taking == Taking::RespectsHold {
            return Reply::Held;
        }
        *lease = Some(Holder::Fill(token));
        Reply::Granted
    }

    fn soften(&mut self, key: Key, seen: Entry, rules: &Rules) -> Reply {
        let entry = &mut self.slots[key].entry;
        let is_same = entry.is_some_and(|entry| entry.has_trailer_of(seen));
        if !is_same && rules.softening == Softening::Compares {
            return Reply::Refused;
        }
        *entry = Some(seen.softened());
        Reply::Done
    }

    fn freshen(&mut self, key: Key, seen: Entry, entry: Entry) -> Reply {
        match &mut self.slots[key].entry {
            Some(found) if found.has_trailer_of(seen) => {
                *found = Entry { age: Age::Fresh, ..entry };
                Reply::Stored
            }
            _ => Reply::Refused,
        }
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

    /// A mark that exists is replaced by one that ends later.
    fn hold(&mut self, key: Key, version: Version) -> Reply {
        let held = match self.slots[key].lease {
            Some(Holder::Hold(held)) => held.max(version),
            _ => version,
        };
        self.slots[key] = Slot { entry: None, lease: Some(Holder::Hold(held)) };
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
mod tests;
