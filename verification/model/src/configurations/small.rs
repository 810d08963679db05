//! The protocol itself, in searches that are small enough for every run.

use super::*;
use crate::properties::Event::{
    HandedOver, Hit, LateExecution, LateJoinerServed, LedOn, Lost, ServedByAcquire, StoreRefused,
    TagChanged, UnusableEntry, WriterRefused, WriterStored,
};
use crate::variants::{FailedLoad, Successor};

pub(super) fn table() -> Vec<Configuration> {
    [keys(), tags(), flights(), hand_over(), writers()].concat()
}

fn keys() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "three-processes",
            about: "3×1 calls, 2 writes",
            setup: Setup {
                processes: &[ONE_CALL, ONE_CALL, ONE_CALL],
                writers: &[INVALIDATE_TWICE],
                ..SMALLEST
            },
            reaches: &[Hit, ServedByAcquire, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "keys",
            about: "2×2 calls, 2 writes",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..IN_TURN },
            reaches: &[Hit, ServedByAcquire, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "keys-faults",
            about: "2×1 calls, 1 write; eviction, expiry, crash, timeout",
            faults: Faults { evictions: 1, expiries: 1, crashes: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, LateExecution],
            ..BASE
        },
        Configuration {
            name: "two-keys",
            about: "2×1 calls on 2 keys, 2 writes",
            setup: Setup { keys: 2, writers: &[INVALIDATE_TWICE], ..SMALLEST },
            reaches: &[Hit, ServedByAcquire, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "scans",
            about: "2×1 calls, an invalidation by two scans, 1 write; eviction, expiry, timeout",
            setup: Setup { writers: &[SCANS, INVALIDATE], ..SMALLEST },
            faults: Faults { evictions: 1, expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, LateExecution],
            ..BASE
        },
        Configuration {
            name: "ticket",
            about: "2×2 calls that begin with ACQUIRE, 1 write; expiry, timeout",
            setup: Setup { calls: Calls::AcquireAtOnce, ..IN_TURN },
            faults: Faults { expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[ServedByAcquire, StoreRefused, LateExecution],
            ..BASE
        },
        Configuration {
            name: "renew",
            about: "2×2 calls, 1 write; 2 RENEW, expiry",
            setup: IN_TURN,
            faults: Faults { renewals: 2, expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, LateExecution],
            ..BASE
        },
        Configuration {
            name: "plain-rejected",
            about: "2×1 calls, 1 write, a plain writer whose values are rejected; expiry",
            rules: Rules { plain_values: PlainValues::Rejected, ..PROTOCOL },
            faults: Faults { plain_fills: 1, expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, UnusableEntry],
            ..BASE
        },
    ]
}

fn tags() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "tag",
            about: "2×2 calls, 2 tag invalidations",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..TAGGED },
            reaches: &[Hit, ServedByAcquire, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "tag-faults",
            about: "2×1 calls, 1 tag invalidation; eviction, expiry, timeout",
            setup: Setup { tagging: Tagging::InvalidatedByTag, ..SMALLEST },
            faults: Faults { evictions: 1, expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "tag-two-keys",
            about: "2×1 calls on 2 keys, 2 tag invalidations",
            setup: Setup {
                keys: 2,
                tagging: Tagging::InvalidatedByTag,
                writers: &[INVALIDATE_TWICE],
                ..SMALLEST
            },
            reaches: &[Hit, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "tag-by-key",
            about: "2×2 tagged calls, 1 key invalidation; eviction",
            setup: Setup { tagging: Tagging::InvalidatedByKey, ..IN_TURN },
            faults: Faults { evictions: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "tag-plain",
            about: "2×1 tagged calls, 1 tag invalidation, a plain writer; expiry",
            rules: Rules { plain_values: PlainValues::Rejected, ..PROTOCOL },
            setup: Setup { tagging: Tagging::InvalidatedByTag, ..SMALLEST },
            faults: Faults { plain_fills: 1, expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "tag-flights",
            about: "2 calls at once + 1, 1 tag invalidation; eviction",
            setup: TAGGED_JOINED,
            faults: Faults { evictions: 1, ..NO_FAULTS },
            reaches: &[Hit, LateJoinerServed, LedOn, UnusableEntry, TagChanged],
            ..BASE
        },
    ]
}

fn flights() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "flights",
            about: "2 calls at once + 1, 2 writes",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..JOINED },
            reaches: &[Hit, ServedByAcquire, StoreRefused, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "flights-faults",
            about: "2 calls at once + 1, 1 write; expiry, timeout",
            setup: JOINED,
            faults: Faults { expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[StoreRefused, LateJoinerServed, LedOn, LateExecution],
            ..BASE
        },
        Configuration {
            name: "led-on",
            about: "3 calls at once, 2 writes; a failed load",
            setup: Setup { processes: &[THREE_AT_ONCE], writers: &[INVALIDATE_TWICE], ..SMALLEST },
            faults: Faults { failed_loads: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "failed-loads",
            about: "2 calls at once + 1, 1 write; 2 failed loads, expiry",
            setup: JOINED,
            faults: Faults { failed_loads: 2, expiries: 1, ..NO_FAULTS },
            reaches: &[StoreRefused, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "failed-loads-released",
            about: "the same, and a failed load releases the lease",
            rules: Rules { failed_load: FailedLoad::ReleasesLease, ..PROTOCOL },
            setup: JOINED,
            faults: Faults { failed_loads: 2, expiries: 1, ..NO_FAULTS },
            reaches: &[StoreRefused, LateJoinerServed, LedOn, LateExecution],
            ..BASE
        },
    ]
}

fn hand_over() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "hand-over",
            about: "2 calls at once + 1, 2 writes; a cancelled leader",
            setup: Setup { writers: &[INVALIDATE_TWICE], ..JOINED },
            faults: Faults { cancellations: 1, ..NO_FAULTS },
            reaches: &[HandedOver, StoreRefused, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "hand-over-faults",
            about: "3 calls at once, 1 write; 2 cancelled leaders, expiry, eviction",
            setup: Setup { processes: &[THREE_AT_ONCE], ..SMALLEST },
            faults: Faults { cancellations: 2, expiries: 1, evictions: 1, ..NO_FAULTS },
            reaches: &[HandedOver, StoreRefused, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "hand-over-awaits",
            about: "2 calls at once + 1, 1 write; a cancelled leader, whose successor awaits its answer",
            rules: Rules { successor: Successor::AwaitsAnswer, ..PROTOCOL },
            setup: JOINED,
            faults: Faults { cancellations: 1, ..NO_FAULTS },
            reaches: &[HandedOver, StoreRefused, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "hand-over-tag",
            about: "2 calls at once + 1, 1 tag invalidation; a cancelled leader",
            setup: TAGGED_JOINED,
            faults: Faults { cancellations: 1, ..NO_FAULTS },
            reaches: &[HandedOver, LateJoinerServed, LedOn, TagChanged],
            ..BASE
        },
        Configuration {
            name: "lost-leader",
            about: "2 calls at once + 1, 1 write; a leader that isn't polled for a while",
            setup: JOINED,
            faults: Faults { losses: 1, ..NO_FAULTS },
            reaches: &[Lost, StoreRefused, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "lost-leader-tag",
            about: "2 calls at once + 1, 1 tag invalidation; a leader that isn't polled for a while",
            setup: TAGGED_JOINED,
            faults: Faults { losses: 1, ..NO_FAULTS },
            reaches: &[Lost, LateJoinerServed, LedOn, TagChanged],
            ..BASE
        },
    ]
}

fn writers() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "insert",
            about: "2×1 calls, an insert, 1 write; expiry, timeout",
            setup: Setup { writers: &[INSERT, INVALIDATE], ..SMALLEST },
            faults: Faults { expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, WriterStored, WriterRefused, LateExecution],
            ..BASE
        },
        Configuration {
            name: "insert-tag",
            about: "2×1 calls, an insert, 1 tag invalidation; expiry",
            setup: Setup {
                tagging: Tagging::InvalidatedByTag,
                writers: &[INSERT, INVALIDATE],
                ..SMALLEST
            },
            faults: Faults { expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, WriterStored, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "plain-insert",
            about: "2×2 calls, a plain insert, 1 write; expiry",
            setup: Setup { writers: &[PLAIN_INSERT, INVALIDATE], ..IN_TURN },
            faults: Faults { expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "write-through",
            about: "2×1 calls, a write_through, 1 write at the same time; expiry, timeout",
            setup: Setup { writers: &[WRITE_THROUGH, INVALIDATE], ..SMALLEST },
            faults: Faults { expiries: 1, timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, WriterStored, WriterRefused, LateExecution],
            ..BASE
        },
        Configuration {
            name: "write-through-twice",
            about: "2×1 calls, 2 writers that write through; expiry",
            setup: Setup { writers: &[WRITE_THROUGH, WRITE_THROUGH], ..SMALLEST },
            faults: Faults { expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, WriterStored, WriterRefused],
            ..BASE
        },
        Configuration {
            name: "write-through-tag",
            about: "2×1 tagged calls, a write_through, 1 key invalidation; eviction",
            setup: Setup {
                tagging: Tagging::InvalidatedByKey,
                writers: &[WRITE_THROUGH, INVALIDATE],
                ..SMALLEST
            },
            faults: Faults { evictions: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, WriterStored, WriterRefused],
            ..BASE
        },
    ]
}
