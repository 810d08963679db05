//! Soft-expired entries: refreshes, values that are unchanged, `expire`, and stale values in
//! place of an error.

use super::*;
use crate::properties::Event::{
    Hit, LateExecution, LateJoinerServed, LedOn, NotModified as Unchanged, ReadAgain, ReadShared,
    RefreshDropped, Refreshed, SoftenRefused, Softened, StaleServed, StoreRefused, TagChanged,
    UnusableEntry,
};
use crate::properties::Property::{FreshEntries, FreshOutcomes, SingleFlight};
use crate::variants::{AfterError, NotModified, Refresh, Softening, Trailers};

const SOFT: Faults = Faults { soft_expiries: 1, ..NO_FAULTS };

const SOFT_TWICE: Faults = Faults { soft_expiries: 2, ..NO_FAULTS };

/// A load fails after an entry became soft-expired.
const FAILING: Faults = Faults { failed_loads: 1, ..SOFT };

const EXPIRE: Writes = Writes { kind: WriterKind::Expire, writes: 1 };

/// Calls with a soft-expired entry load first.
const LOADED_FIRST: Setup = Setup { stale: Stale::LoadedFirst, ..IN_TURN };

/// A process with two calls, and one with a call.
const TWO_AND_ONE: Setup = Setup { processes: &[TWO_IN_TURN, ONE_CALL], ..IN_TURN };

const LOADED_FIRST_JOINED: Setup = Setup { processes: &[THREE_IN_TWO, ONE_CALL], ..LOADED_FIRST };

const LOADED_FIRST_ALONE: Setup = Setup { processes: &[THREE_IN_TWO], ..LOADED_FIRST };

/// Three calls, of which two may share a flight.
const THREE_IN_TWO: Callers = Callers { calls: 3, at_once: 2, ..ONE_CALL };

pub(super) fn controls() -> Vec<Configuration> {
    let stale_entry =
        Configuration { expected: Expected::Violates(FreshEntries), setup: IN_TURN, ..BASE };
    let stale_outcome = Configuration {
        expected: Expected::Violates(FreshOutcomes),
        setup: LOADED_FIRST_ALONE,
        faults: FAILING,
        ..BASE
    };
    vec![
        Configuration {
            name: "n21",
            about: "expire sets the entry that it has read",
            rules: Rules { softening: Softening::Sets, ..PROTOCOL },
            setup: Setup { writers: &[EXPIRE, INVALIDATE], ..IN_TURN },
            ..stale_entry.clone()
        },
        Configuration {
            name: "n39",
            about: "a refresh that the lease does not fence",
            rules: Rules { refresh: Refresh::Unfenced, ..PROTOCOL },
            faults: SOFT,
            ..stale_entry.clone()
        },
        Configuration {
            name: "n40",
            about: "an unchanged value is set again, with new metadata",
            rules: Rules { not_modified: NotModified::Sets, ..PROTOCOL },
            faults: SOFT,
            ..stale_entry.clone()
        },
        Configuration {
            name: "n41",
            about: "after an error, the leader's first read is given to its joiners",
            rules: Rules { after_error: AfterError::FirstRead, ..PROTOCOL },
            ..stale_outcome
        },
        Configuration {
            name: "n42",
            about: "after an error, an entry is served whatever its tag",
            rules: Rules { after_error: AfterError::IgnoresTag, ..PROTOCOL },
            setup: Setup { tagging: Tagging::InvalidatedByTag, ..LOADED_FIRST_ALONE },
            faults: FAILING,
            ..stale_entry.clone()
        },
        Configuration {
            name: "n44",
            about: "the read after an error is given to joiners that came after it was sent",
            rules: Rules { after_error: AfterError::ReadSharedWithAll, ..PROTOCOL },
            setup: LOADED_FIRST_ALONE,
            faults: FAILING,
            ..stale_entry
        },
        Configuration {
            name: "n50",
            about: "two fills of the same version have the same trailer",
            expected: Expected::Violates(SingleFlight),
            rules: Rules { trailers: Trailers::DescribeTheValue, ..PROTOCOL },
            setup: IN_TURN,
            faults: SOFT,
            ..BASE
        },
    ]
}

pub(super) fn table() -> Vec<Configuration> {
    [refreshes(), unchanged(), errors(), long()].concat()
}

fn refreshes() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "refresh",
            about: "2×2 calls, 1 write; 2 soft expiries",
            setup: IN_TURN,
            faults: SOFT_TWICE,
            reaches: &[Hit, StaleServed, Refreshed, RefreshDropped, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "refresh-faults",
            about: "2 calls + 1, 1 write; soft expiry, failed load, expiry, timeout",
            setup: TWO_AND_ONE,
            faults: Faults { expiries: 1, timeouts: 1, ..FAILING },
            reaches: &[Hit, StaleServed, Refreshed, RefreshDropped, LateExecution],
            ..BASE
        },
        Configuration {
            name: "refresh-tag",
            about: "2×2 calls, 1 tag invalidation; soft expiry",
            setup: TAGGED,
            faults: SOFT,
            reaches: &[Hit, StaleServed, Refreshed, RefreshDropped, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "refresh-flights",
            about: "3 calls, 2 at once, + 1, 1 write; 2 soft expiries",
            setup: Setup { processes: &[THREE_IN_TWO, ONE_CALL], ..IN_TURN },
            faults: SOFT_TWICE,
            reaches: &[Hit, StaleServed, Refreshed, RefreshDropped, StoreRefused, LedOn],
            ..BASE
        },
        Configuration {
            name: "expire",
            about: "2×2 calls, 2 expire, 1 write; expiry",
            setup: Setup { writers: &[Writes { writes: 2, ..EXPIRE }, INVALIDATE], ..IN_TURN },
            faults: Faults { expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StaleServed, Refreshed, Softened, SoftenRefused, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "expire-tag",
            about: "2 calls + 1, an expire, 1 tag invalidation; soft expiry",
            setup: Setup {
                tagging: Tagging::InvalidatedByTag,
                writers: &[EXPIRE, INVALIDATE],
                ..TWO_AND_ONE
            },
            faults: SOFT,
            reaches: &[Hit, StaleServed, Refreshed, Softened, SoftenRefused, UnusableEntry],
            ..BASE
        },
    ]
}

fn unchanged() -> Vec<Configuration> {
    let compared = Rules { not_modified: NotModified::ComparesTrailer, ..PROTOCOL };
    vec![
        Configuration {
            name: "not-modified",
            about: "2×2 calls that load first, 1 write; 2 soft expiries, expiry",
            setup: LOADED_FIRST,
            faults: Faults { expiries: 1, ..SOFT_TWICE },
            reaches: &[Hit, Unchanged, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "not-modified-compared",
            about: "2×2 calls, 1 write; soft expiry, expiry; the trailer is compared, not the lease",
            rules: compared.clone(),
            setup: IN_TURN,
            faults: Faults { expiries: 1, ..SOFT },
            reaches: &[Hit, Unchanged, StaleServed, Refreshed, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "not-modified-compared-tag",
            about: "2 calls + 1, 1 tag invalidation; soft expiry; the trailer is compared, not the lease",
            rules: compared,
            setup: Setup { tagging: Tagging::InvalidatedByTag, ..TWO_AND_ONE },
            faults: SOFT,
            reaches: &[Hit, Unchanged, StaleServed, Refreshed, UnusableEntry, TagChanged],
            ..BASE
        },
    ]
}

fn errors() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "stale-on-error",
            about: "3 calls, 2 at once, 2 writes; soft expiry, failed load",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..LOADED_FIRST_ALONE },
            faults: FAILING,
            reaches: &[Hit, ReadAgain, ReadShared, LedOn, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "stale-on-error-tag",
            about: "3 calls, 2 at once, 1 tag invalidation; soft expiry, failed load",
            setup: Setup { tagging: Tagging::InvalidatedByTag, ..LOADED_FIRST_ALONE },
            faults: FAILING,
            reaches: &[Hit, ReadAgain, ReadShared, LedOn, UnusableEntry],
            ..BASE
        },
        Configuration {
            name: "soft-timeout",
            about: "3 calls, 2 at once, + 1, 1 write; soft expiry, soft timeout",
            setup: LOADED_FIRST_JOINED,
            faults: Faults { soft_timeouts: 1, ..SOFT },
            reaches: &[Hit, ReadAgain, StoreRefused, LateJoinerServed],
            ..BASE
        },
    ]
}

fn long() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "refresh-long",
            about: "2×2 calls, 2 writes; 2 soft expiries, failed load",
            quick: false,
            setup: Setup { writers: &[INVALIDATE_TWICE], ..IN_TURN },
            faults: Faults { failed_loads: 1, ..SOFT_TWICE },
            reaches: &[Hit, StaleServed, Refreshed, RefreshDropped, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "refresh-tag-long",
            about: "2×2 calls, 1 tag invalidation; soft expiry, eviction",
            quick: false,
            setup: TAGGED,
            faults: Faults { evictions: 1, ..SOFT },
            reaches: &[Hit, StaleServed, Refreshed, RefreshDropped, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "not-modified-compared-long",
            about: "2×2 calls, 1 tag invalidation; 2 soft expiries; the trailer is compared, not the lease",
            quick: false,
            rules: Rules { not_modified: NotModified::ComparesTrailer, ..PROTOCOL },
            setup: TAGGED,
            faults: SOFT_TWICE,
            reaches: &[Hit, Unchanged, StaleServed, Refreshed, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "refresh-write-through-long",
            about: "2 calls + 1, a write_through, 1 write; soft expiry, expiry",
            quick: false,
            setup: Setup { writers: &[WRITE_THROUGH, INVALIDATE], ..TWO_AND_ONE },
            faults: Faults { expiries: 1, ..SOFT },
            reaches: &[Hit, StaleServed, Refreshed, RefreshDropped],
            ..BASE
        },
        Configuration {
            name: "soft-timeout-long",
            about: "3 calls, 2 at once, + 1, 1 write; soft expiry, 2 soft timeouts, cancelled leader",
            quick: false,
            setup: LOADED_FIRST_JOINED,
            faults: Faults { soft_timeouts: 2, cancellations: 1, ..SOFT },
            reaches: &[Hit, ReadAgain, LedOn, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "stale-on-error-long",
            about: "3 calls, 2 at once, + 1, 1 write; soft expiry, failed load, cancelled leader",
            quick: false,
            setup: LOADED_FIRST_JOINED,
            faults: Faults { cancellations: 1, ..FAILING },
            reaches: &[Hit, ReadAgain, ReadShared, LedOn, StoreRefused],
            ..BASE
        },
    ]
}
