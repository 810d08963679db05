//! Values that inherit the tag of a part, which their loader has read from another entry.

use super::near::PINGED;
use super::*;
use crate::properties::Event::{
    Hit, LateJoinerServed, LedOn, NearHit, PartNearby, PartOutdated, PartReadAgain, PartUnknown,
    TagChanged, TagInherited, UnusableEntry,
};
use crate::properties::Property::{FreshEntries, FreshOutcomes};
use crate::variants::{Inherited, TagCheck};

/// A call of the part by itself.
const PART_CALL: Callers = Callers { key: Some(Key(0)), ..ONE_CALL };

const TWO_PARTS: Callers = Callers { calls: 2, ..PART_CALL };

/// A call whose loader reads the part.
const OUTER_CALL: Callers = Callers { key: Some(Key(1)), ..ONE_CALL };

const TWO_OUTER: Callers = Callers { calls: 2, ..OUTER_CALL };

const TWO_OUTER_AT_ONCE: Callers = Callers { at_once: 2, ..TWO_OUTER };

const TWO_NEAR: Callers = Callers { has_near_tier: true, ..TWO_IN_TURN };

const THREE_NEAR: Callers = Callers { calls: 3, ..TWO_NEAR };

/// Two outer calls, a call of either key, and an invalidation by tag.
const NESTED: Setup = Setup {
    keys: 2,
    tagging: Tagging::InvalidatedByTag,
    processes: &[TWO_OUTER, ONE_CALL],
    nesting: Nesting::Inherits,
    ..SMALLEST
};

/// The outer call names the tag, too.
const NAMED: Setup = Setup { nesting: Nesting::NamesTag, ..NESTED };

pub(super) fn controls() -> Vec<Configuration> {
    let stale = Configuration { expected: Expected::Violates(FreshEntries), setup: NESTED, ..BASE };
    let with = |inherited| Rules { inherited, ..PROTOCOL };
    vec![
        Configuration {
            name: "n53",
            about: "inherited tags: the version that the tag has when the outer load ends",
            rules: with(Inherited::AtEnd),
            ..stale.clone()
        },
        Configuration {
            name: "n54",
            about: "inherited tags: the same if it is older than the outer load, whose part is near",
            quick: false,
            rules: with(Inherited::AtEndIfOlder),
            setup: Setup { processes: &[THREE_NEAR, TWO_PARTS], ..NESTED },
            ..stale.clone()
        },
        Configuration {
            name: "n55",
            about: "inherited tags: the version that the outer call has captured, whose part is near",
            rules: with(Inherited::OfCall),
            setup: Setup { processes: &[THREE_NEAR, PART_CALL], ..NAMED },
            ..stale.clone()
        },
        Configuration {
            name: "n56",
            about: "inherited tags: the version in an entry that was read after its part was shared",
            rules: with(Inherited::OfEntryReadAgain),
            setup: Setup { processes: &[TWO_OUTER, TWO_PARTS], ..NESTED },
            ..stale.clone()
        },
        Configuration {
            name: "n57",
            about: "inherited tags: they are not read again after STORE",
            expected: Expected::Violates(FreshOutcomes),
            rules: Rules { tag_check: TagCheck::Skipped, ..PROTOCOL },
            setup: Setup { processes: &[TWO_OUTER_AT_ONCE, PART_CALL], ..NESTED },
            ..stale
        },
    ]
}

pub(super) fn table() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "inherited-tags",
            about: "2 outer calls + 1 call, 2 tag invalidations",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..NESTED },
            reaches: &[Hit, TagInherited, PartOutdated, PartReadAgain, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "inherited-tags-unchecked",
            about: "the same, without a CAPTURE after the load",
            rules: Rules { inherited: Inherited::OfPartUnchecked, ..PROTOCOL },
            setup: Setup { writers: &[INVALIDATE_TWICE], ..NESTED },
            reaches: &[Hit, TagInherited, PartReadAgain, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "inherited-tags-read-later",
            about: "2 outer calls + 1 call, which read the tag in a second round trip, 2 tag invalidations",
            setup: Setup { calls: Calls::ReadTagLater, writers: &[INVALIDATE_TWICE], ..NESTED },
            reaches: &[Hit, TagInherited, PartOutdated, PartReadAgain, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "inherited-tags-faults",
            about: "an outer call + 1 call of its part, 1 tag invalidation; eviction, timeout",
            setup: Setup { processes: &[OUTER_CALL, PART_CALL], ..NESTED },
            faults: Faults { evictions: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, TagInherited, PartOutdated, PartUnknown, TagChanged],
            ..BASE
        },
        Configuration {
            name: "inherited-tags-flights",
            about: "2 calls at once + an outer call, 1 tag invalidation",
            setup: Setup { processes: &[TWO_AT_ONCE, OUTER_CALL], ..NESTED },
            reaches: &[Hit, TagInherited, PartOutdated, PartReadAgain, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "inherited-tags-near",
            about: "2 near calls + 1 call, 1 tag invalidation",
            setup: Setup { processes: &[TWO_NEAR, ONE_CALL], ..NESTED },
            reaches: &[Hit, NearHit, TagInherited, PartNearby, PartOutdated],
            ..BASE
        },
        Configuration {
            name: "inherited-tags-named",
            about: "2 near calls, whose outer ones name the tag, + 1 of the part, 1 tag invalidation",
            setup: Setup { processes: &[TWO_NEAR, PART_CALL], ..NAMED },
            reaches: &[Hit, NearHit, TagInherited, PartNearby, PartOutdated],
            ..BASE
        },
        Configuration {
            name: "inherited-tags-near-long",
            about: "2 near calls + 1 of the part, 1 tag invalidation; ping",
            quick: false,
            setup: Setup { processes: &[TWO_NEAR, PART_CALL], ..NESTED },
            faults: PINGED,
            reaches: &[Hit, NearHit, TagInherited, PartNearby, PartOutdated],
            ..BASE
        },
    ]
}
