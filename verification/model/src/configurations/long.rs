//! The protocol itself, in searches that take minutes: more calls and more faults.

use super::*;
use crate::properties::Event::{
    HandedOver, Hit, LateExecution, LateJoinerServed, LedOn, ServedByAcquire, StoreRefused,
    TagChanged, UnusableEntry, WriterRefused, WriterStored,
};
use crate::variants::{FailedLoad, Successor};

pub(super) fn table() -> Vec<Configuration> {
    [keys(), tags(), flights(), hand_over(), writers()].concat()
}

const LONG: Configuration = Configuration { quick: false, ..BASE };

/// Three calls that may share a flight, and one call in another process.
const CROWD: &[Callers] = &[THREE_AT_ONCE, ONE_CALL];

fn keys() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "keys-faults-long",
            about: "2×2 calls, 1 write; eviction, expiry, crash, timeout",
            setup: IN_TURN,
            faults: Faults { evictions: 1, expiries: 1, crashes: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, ServedByAcquire, StoreRefused, LateExecution],
            ..LONG
        },
        Configuration {
            name: "keys-expiries-long",
            about: "2×2 calls, 2 writes; eviction, 2 expiries, timeout",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..IN_TURN },
            faults: Faults { evictions: 1, expiries: 2, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, ServedByAcquire, StoreRefused, LateExecution],
            ..LONG
        },
        Configuration {
            name: "three-processes-long",
            about: "3×1 calls, 1 write; eviction, expiry, timeout",
            setup: Setup { processes: &[ONE_CALL, ONE_CALL, ONE_CALL], ..SMALLEST },
            faults: Faults { evictions: 1, expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, ServedByAcquire, StoreRefused, LateExecution],
            ..LONG
        },
        Configuration {
            name: "two-keys-long",
            about: "2×2 calls on 2 keys, 2 writes",
            setup: Setup { keys: 2, writers: &[INVALIDATE_TWICE], ..IN_TURN },
            reaches: &[Hit, ServedByAcquire, StoreRefused],
            ..LONG
        },
        Configuration {
            name: "scans-long",
            about: "2 calls at once + 1, 2 invalidations by two scans; eviction, expiry",
            setup: Setup { writers: &[Writes { writes: 2, ..SCANS }], ..JOINED },
            faults: Faults { evictions: 1, expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, LateJoinerServed, LedOn],
            ..LONG
        },
        Configuration {
            name: "ticket-long",
            about: "2×2 calls that begin with ACQUIRE, 1 write; eviction, expiry, timeout",
            setup: Setup { calls: Calls::AcquireAtOnce, ..IN_TURN },
            faults: Faults { evictions: 1, expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[ServedByAcquire, StoreRefused, LateExecution],
            ..LONG
        },
        Configuration {
            name: "plain-rejected-long",
            about: "2×2 calls, 2 writes, 2 plain writes that are rejected; expiry",
            rules: Rules { plain_values: PlainValues::Rejected, ..PROTOCOL },
            setup: Setup { writers: &[INVALIDATE_TWICE], ..IN_TURN },
            faults: Faults { plain_fills: 2, expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, UnusableEntry],
            ..LONG
        },
    ]
}

fn tags() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "tag-faults-long",
            about: "2×2 calls, 1 tag invalidation; eviction, expiry, timeout",
            setup: TAGGED,
            faults: Faults { evictions: 1, expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, ServedByAcquire, StoreRefused, UnusableEntry, TagChanged],
            ..LONG
        },
        Configuration {
            name: "tag-evictions-long",
            about: "2×2 calls, 2 tag invalidations; 2 evictions",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..TAGGED },
            faults: Faults { evictions: 2, ..NO_FAULTS },
            reaches: &[Hit, ServedByAcquire, StoreRefused, UnusableEntry, TagChanged],
            ..LONG
        },
        Configuration {
            name: "tag-two-keys-long",
            about: "2×2 calls on 2 keys, 1 tag invalidation; expiry",
            setup: Setup { keys: 2, ..TAGGED },
            faults: Faults { expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, UnusableEntry, TagChanged],
            ..LONG
        },
        Configuration {
            name: "tag-by-key-long",
            about: "2×2 tagged calls, 2 key invalidations; eviction, expiry",
            setup: Setup {
                tagging: Tagging::InvalidatedByKey,
                writers: &[INVALIDATE_TWICE],
                ..IN_TURN
            },
            faults: Faults { evictions: 1, expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, UnusableEntry, TagChanged],
            ..LONG
        },
        Configuration {
            name: "tag-flights-long",
            about: "2 calls at once + 1, 2 tag invalidations; eviction",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..TAGGED_JOINED },
            faults: Faults { evictions: 1, ..NO_FAULTS },
            reaches: &[Hit, LateJoinerServed, LedOn, UnusableEntry, TagChanged],
            ..LONG
        },
        Configuration {
            name: "tag-ticket-long",
            about: "2×2 tagged calls that begin with ACQUIRE, 2 tag invalidations; expiry",
            setup: Setup { calls: Calls::AcquireAtOnce, writers: &[INVALIDATE_TWICE], ..TAGGED },
            faults: Faults { expiries: 1, ..NO_FAULTS },
            reaches: &[ServedByAcquire, StoreRefused, UnusableEntry, TagChanged],
            ..LONG
        },
    ]
}

fn flights() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "flights-long",
            about: "2 calls at once + 1, 2 writes; eviction, expiry, timeout",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..JOINED },
            faults: Faults { evictions: 1, expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, LateJoinerServed, LedOn, LateExecution],
            ..LONG
        },
        Configuration {
            name: "led-on-long",
            about: "3 calls at once + 1, 2 writes; a failed load",
            setup: Setup { processes: CROWD, writers: &[INVALIDATE_TWICE], ..SMALLEST },
            faults: Faults { failed_loads: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, LateJoinerServed, LedOn],
            ..LONG
        },
        Configuration {
            name: "led-on-faults-long",
            about: "3 calls at once, 2 writes; a failed load, expiry, 2 timeouts",
            setup: Setup { processes: &[THREE_AT_ONCE], writers: &[INVALIDATE_TWICE], ..SMALLEST },
            faults: Faults { failed_loads: 1, expiries: 1, timeouts: 2, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, LateJoinerServed, LedOn, LateExecution],
            ..LONG
        },
        Configuration {
            name: "failed-loads-released-long",
            about: "2 calls at once + 1, 2 writes; 2 failed loads, which release the lease, timeout",
            rules: Rules { failed_load: FailedLoad::ReleasesLease, ..PROTOCOL },
            setup: Setup { writers: &[INVALIDATE_TWICE], ..JOINED },
            faults: Faults { failed_loads: 2, timeouts: 1, ..NO_FAULTS },
            reaches: &[StoreRefused, LateJoinerServed, LedOn, LateExecution],
            ..LONG
        },
    ]
}

fn hand_over() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "hand-over-long",
            about: "3 calls at once + 1, 1 write; 2 cancelled leaders",
            setup: Setup { processes: CROWD, ..SMALLEST },
            faults: Faults { cancellations: 2, ..NO_FAULTS },
            reaches: &[HandedOver, StoreRefused, LateJoinerServed, LedOn],
            ..LONG
        },
        Configuration {
            name: "hand-over-faults-long",
            about: "2 calls at once + 1, 1 write; 2 cancelled leaders, timeout, crash, expiry",
            setup: JOINED,
            faults: Faults { cancellations: 2, timeouts: 1, crashes: 1, expiries: 1, ..NO_FAULTS },
            reaches: &[HandedOver, StoreRefused, LateJoinerServed, LedOn, LateExecution],
            ..LONG
        },
        Configuration {
            name: "hand-over-renew-long",
            about: "2 calls at once + 1, 1 write; a cancelled leader, 2 RENEW, 2 expiries",
            setup: JOINED,
            faults: Faults { cancellations: 1, renewals: 2, expiries: 2, ..NO_FAULTS },
            reaches: &[HandedOver, StoreRefused, LateJoinerServed, LedOn, LateExecution],
            ..LONG
        },
        Configuration {
            name: "hand-over-awaits-long",
            about: "3 calls at once, 2 writes; 2 cancelled leaders, whose successors await their \
                    answers, timeout",
            rules: Rules { successor: Successor::AwaitsAnswer, ..PROTOCOL },
            setup: Setup { processes: &[THREE_AT_ONCE], writers: &[INVALIDATE_TWICE], ..SMALLEST },
            faults: Faults { cancellations: 2, timeouts: 1, ..NO_FAULTS },
            reaches: &[HandedOver, StoreRefused, LateJoinerServed, LedOn],
            ..LONG
        },
        Configuration {
            name: "hand-over-tag-long",
            about: "3 calls at once, 2 tag invalidations; a cancelled leader, a failed load, \
                    eviction",
            setup: Setup {
                processes: &[THREE_AT_ONCE],
                writers: &[INVALIDATE_TWICE],
                ..TAGGED_JOINED
            },
            faults: Faults { cancellations: 1, failed_loads: 1, evictions: 1, ..NO_FAULTS },
            reaches: &[HandedOver, LateJoinerServed, LedOn, TagChanged],
            ..LONG
        },
    ]
}

fn writers() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "insert-long",
            about: "2×2 calls, an insert, 1 write; expiry, timeout",
            setup: Setup { writers: &[INSERT, INVALIDATE], ..IN_TURN },
            faults: Faults { expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, WriterStored, WriterRefused, LateExecution],
            ..LONG
        },
        Configuration {
            name: "insert-twice-long",
            about: "2×1 calls, 2 inserts, 2 writes; eviction",
            setup: Setup {
                writers: &[Writes { writes: 2, ..INSERT }, INVALIDATE_TWICE],
                ..SMALLEST
            },
            faults: Faults { evictions: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, WriterStored, WriterRefused],
            ..LONG
        },
        Configuration {
            name: "insert-flights-long",
            about: "2 calls at once + 1, an insert, 1 write; expiry",
            setup: Setup { writers: &[INSERT, INVALIDATE], ..JOINED },
            faults: Faults { expiries: 1, ..NO_FAULTS },
            reaches: &[LateJoinerServed, LedOn, WriterStored, WriterRefused],
            ..LONG
        },
        Configuration {
            name: "plain-insert-long",
            about: "2×1 calls, 2 plain inserts, 2 writes; eviction",
            setup: Setup {
                writers: &[Writes { writes: 2, ..PLAIN_INSERT }, INVALIDATE_TWICE],
                ..SMALLEST
            },
            faults: Faults { evictions: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused],
            ..LONG
        },
        Configuration {
            name: "write-through-long",
            about: "2×1 calls, 2 write_throughs, 2 writes at the same time; eviction",
            setup: Setup {
                writers: &[Writes { writes: 2, ..WRITE_THROUGH }, INVALIDATE_TWICE],
                ..SMALLEST
            },
            faults: Faults { evictions: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, WriterStored, WriterRefused],
            ..LONG
        },
        Configuration {
            name: "write-through-both-long",
            about: "2×1 calls, 2 writers that write through; expiry, timeout",
            setup: Setup { writers: &[WRITE_THROUGH, WRITE_THROUGH], ..SMALLEST },
            faults: Faults { expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, WriterStored, WriterRefused, LateExecution],
            ..LONG
        },
    ]
}
