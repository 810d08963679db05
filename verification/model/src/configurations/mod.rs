//! The searched configurations: callers and writers, faults, and the expected result.

mod broadcast;
mod controls;
mod hold;
mod loads;
mod long;
mod near;
mod nested;
mod small;
mod soft;

use crate::client::WriterKind;
use crate::entry::Entry;
use crate::properties::{Event, Property};
use crate::server::{KEYS, Key, TagVersion, Token, Version};
use crate::variants::{Capture, PROTOCOL, PlainValues, Rules, TagVersions, Trailers};

/// One search.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    /// The name; for a negative control its number in verification/README.md.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) expected: Expected,
    /// Whether the search is small enough for every run of the tests.
    pub(crate) quick: bool,
    pub(crate) rules: Rules,
    pub(crate) setup: Setup,
    pub(crate) faults: Faults,
    /// The events that must occur, or the search proves nothing.
    pub(crate) reaches: &'static [Event],
}

/// The expected result of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Holds,
    Violates(Property),
}

/// The parties.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) keys: usize,
    pub(crate) tagging: Tagging,
    pub(crate) calls: Calls,
    pub(crate) processes: &'static [Callers],
    pub(crate) writers: &'static [Writes],
    /// Whether no other writer commits between the commit of an insert and its return.
    pub(crate) inserts_are_newest: bool,
    /// Whether processes with a near tier make calls that present a token, too.
    pub(crate) has_tokens: bool,
    /// Whether the server reports all changes, at the end of its turns.
    pub(crate) broadcasts: bool,
    pub(crate) stale: Stale,
    pub(crate) backoff: Backoff,
    /// Whether loaders read from a replica of the source, which lags behind.
    pub(crate) lags: bool,
    pub(crate) nesting: Nesting,
}

/// What the loader of the second key reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nesting {
    /// The source.
    None,
    /// The first key, by a call of its own; its value inherits that one's tag.
    Inherits,
    /// The same, and its call names the tag, too.
    NamesTag,
}

/// What a call does that reads a soft-expired entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// It returns the entry; a refresh runs in the background.
    Served,
    /// It loads, and reads again if the load fails or is slow.
    LoadedFirst,
}

/// What becomes of a lease after a failed load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backoff {
    /// It is released.
    None,
    /// FAIL. Callers that meet the mark fail.
    FailFast,
    /// FAIL. Callers that meet the mark load, and store nothing.
    LoadUnstored,
}

/// The first step of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    ReadFirst,
    /// With a read of the key. A tag that only the entry names is read in a second round trip.
    ReadTagLater,
    /// With ACQUIRE, as a manual ticket does.
    AcquireAtOnce,
}

/// The calls of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callers {
    pub(crate) calls: u8,
    /// The number of concurrent calls.
    pub(crate) at_once: usize,
    pub(crate) has_near_tier: bool,
    /// The number of batches beside them, each of all keys. They come one after the other.
    pub(crate) batches: u8,
    /// The one key of its calls, if they don't choose among all.
    pub(crate) key: Option<Key>,
}

/// The writes of one writer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writes {
    pub(crate) kind: WriterKind,
    pub(crate) writes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tagging {
    /// Values have no tag.
    None,
    /// Values have a tag; keys are invalidated.
    InvalidatedByKey,
    /// Values of all keys have the same tag, which is invalidated.
    InvalidatedByTag,
}

/// How often each fault may occur.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// Of an entry, a lease or the tag.
    pub(crate) evictions: u8,
    /// Evictions and expiries of an entry alone.
    pub(crate) lost_entries: u8,
    /// Of the lease of a live holder.
    pub(crate) expiries: u8,
    /// Of a process.
    pub(crate) crashes: u8,
    /// Of a request, and of the wait for another's lease.
    pub(crate) timeouts: u8,
    /// Of a leader.
    pub(crate) cancellations: u8,
    /// Leaders that are not polled any more: a joiner takes them for lost, and they go on later.
    pub(crate) losses: u8,
    pub(crate) failed_loads: u8,
    /// RENEW requests.
    pub(crate) renewals: u8,
    /// Reads of a plain writer, each followed by a SET.
    pub(crate) plain_fills: u8,
    /// Pings of a near tier.
    pub(crate) pings: u8,
    /// Of the connection of a near tier.
    pub(crate) lost_links: u8,
    /// Entries that become soft-expired.
    pub(crate) soft_expiries: u8,
    /// Callers of a load that go on with what they can read.
    pub(crate) soft_timeouts: u8,
}

/// No faults.
const NO_FAULTS: Faults = Faults {
    evictions: 0,
    lost_entries: 0,
    expiries: 0,
    crashes: 0,
    timeouts: 0,
    cancellations: 0,
    losses: 0,
    failed_loads: 0,
    renewals: 0,
    plain_fills: 0,
    pings: 0,
    lost_links: 0,
    soft_expiries: 0,
    soft_timeouts: 0,
};

const INVALIDATE: Writes = Writes { kind: WriterKind::Invalidate, writes: 1 };

const INVALIDATE_TWICE: Writes = Writes { kind: WriterKind::Invalidate, writes: 2 };

const SCANS: Writes = Writes { kind: WriterKind::InvalidateByScans, writes: 1 };

const INSERT: Writes = Writes { kind: WriterKind::Insert, writes: 1 };

const PLAIN_INSERT: Writes = Writes { kind: WriterKind::PlainInsert, writes: 1 };

const WRITE_THROUGH: Writes = Writes { kind: WriterKind::WriteThrough, writes: 1 };

/// Two processes with a call each, and one write.
const SMALLEST: Setup = Setup {
    keys: 1,
    tagging: Tagging::None,
    calls: Calls::ReadFirst,
    processes: &[ONE_CALL, ONE_CALL],
    writers: &[INVALIDATE],
    inserts_are_newest: true,
    has_tokens: false,
    broadcasts: false,
    stale: Stale::Served,
    backoff: Backoff::None,
    lags: false,
    nesting: Nesting::None,
};

const ONE_CALL: Callers =
    Callers { calls: 1, at_once: 1, has_near_tier: false, batches: 0, key: None };

/// Two calls, one after the other.
const TWO_IN_TURN: Callers = Callers { calls: 2, ..ONE_CALL };

/// Two calls that may share a flight.
const TWO_AT_ONCE: Callers = Callers { calls: 2, at_once: 2, ..ONE_CALL };

const THREE_AT_ONCE: Callers = Callers { calls: 3, at_once: 3, ..ONE_CALL };

/// Two processes with two calls each, and one write.
const IN_TURN: Setup = Setup { processes: &[TWO_IN_TURN, TWO_IN_TURN], ..SMALLEST };

/// A process whose two calls may share a flight, one with a call, and one write.
const JOINED: Setup = Setup { processes: &[TWO_AT_ONCE, ONE_CALL], ..SMALLEST };

const TAGGED: Setup = Setup { tagging: Tagging::InvalidatedByTag, ..IN_TURN };

const TAGGED_JOINED: Setup = Setup { tagging: Tagging::InvalidatedByTag, ..JOINED };

/// The defaults of the tables.
const BASE: Configuration = Configuration {
    name: "",
    about: "",
    expected: Expected::Holds,
    quick: true,
    rules: PROTOCOL,
    setup: SMALLEST,
    faults: NO_FAULTS,
    reaches: &[],
};

/// Returns all configurations, the negative controls first.
pub(crate) fn all() -> Vec<Configuration> {
    let controls = [
        controls::table(),
        near::controls(),
        broadcast::controls(),
        soft::controls(),
        hold::controls(),
        loads::controls(),
        nested::controls(),
    ];
    let tables = [
        small::table(),
        near::table(),
        broadcast::table(),
        soft::table(),
        hold::table(),
        loads::table(),
        nested::table(),
        long::table(),
    ];
    [controls.concat(), tables.concat()].concat()
}

impl Configuration {
    /// Returns `true` if G1 is checked: only where every lost load is accounted for.
    pub(crate) fn counts_loads(&self) -> bool {
        let Faults { evictions, lost_entries, expiries, crashes, timeouts, .. } = self.faults;
        let Faults { renewals, plain_fills, lost_links, .. } = self.faults;
        let costly = [
            evictions,
            lost_entries,
            expiries,
            crashes,
            timeouts,
            renewals,
            plain_fills,
            lost_links,
        ];
        let Setup { backoff, lags, nesting, processes, .. } = self.setup;
        // As long as the near tier has an outdated part, each load with it is lost.
        let has_old_parts =
            nesting != Nesting::None && processes.iter().any(|callers| callers.has_near_tier);
        let is_costly = backoff == Backoff::LoadUnstored
            || lags
            || has_old_parts
            || matches!(
                self.rules.capture,
                Capture::AfterLoadIfOlder | Capture::AfterLoadIfOlderOrNew
            );
        !is_costly && costly.iter().all(|count| *count == 0)
    }

    /// Returns the entry of a fill. Its trailer names the fill where trailers are compared.
    pub(crate) fn entry_of(&self, token: Token, version: Version, tag: TagVersion) -> Entry {
        let expires = self.setup.writers.iter().any(|writer| writer.kind == WriterKind::Expire);
        let is_told = self.rules.trailers == Trailers::NameTheFill;
        let entry = Entry::new(version, tag);
        if is_told && (expires || self.faults.soft_expiries > 0) {
            entry.filled_with(token)
        } else {
            entry
        }
    }

    /// Returns `true` if an entry answers a call, given the tag's version.
    pub(crate) fn is_usable(&self, entry: Entry, tag: Option<TagVersion>) -> bool {
        if entry.plain {
            return self.rules.plain_values == PlainValues::Accepted;
        }
        if self.setup.tagging == Tagging::None {
            return true;
        }
        match self.rules.tag_versions {
            TagVersions::Unique => tag == Some(entry.tag),
            TagVersions::Counted => tag.unwrap_or(0) == entry.tag,
        }
    }
}

impl Setup {
    /// Returns the keys in use.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        debug_assert!(self.keys <= KEYS, "the model has {KEYS} keys");
        (0..KEYS as u8).map(Key).take(self.keys)
    }
}

impl Expected {
    pub(crate) const fn property(self) -> Option<Property> {
        match self {
            Self::Holds => None,
            Self::Violates(property) => Some(property),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: Vec<_> = all().iter().map(|configuration| configuration.name).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
    }

    #[test]
    fn positive_searches_name_required_events() {
        for configuration in all() {
            let holds = configuration.expected == Expected::Holds;
            assert_eq!(holds, !configuration.reaches.is_empty(), "{}", configuration.name);
        }
    }

    #[test]
    fn every_property_has_a_control() {
        let violated: HashSet<_> =
            all().iter().filter_map(|configuration| configuration.expected.property()).collect();
        assert_eq!(violated, HashSet::from(Property::ALL));
    }
}
