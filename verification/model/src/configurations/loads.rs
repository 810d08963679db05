//! Marks of failed loads, tags that only the loaded value names, and batches.

use super::*;
use crate::properties::Event::{
    BatchLeft, BatchWaited, FailedFast, HandedOver, Hit, LateExecution, LateJoinerServed, LedOn,
    ServedByAcquire, StaleServed, StoreRefused, TagChanged, TagTooYoung, UnusableEntry,
};
use crate::properties::Property::{FreshEntries, FreshOutcomes, NoStuckCall};
use crate::variants::{Batch, Failing};

const BACKED_OFF: Setup = Setup { backoff: Backoff::FailFast, ..IN_TURN };

const FAILED: Faults = Faults { failed_loads: 1, ..NO_FAULTS };

const LATE_TAGS: Rules = Rules { capture: Capture::AfterLoadIfOlder, ..PROTOCOL };

const BATCH: Callers = Callers { calls: 0, batches: 1, ..ONE_CALL };

const TWO_BATCHES: Callers = Callers { batches: 2, ..BATCH };

const BATCH_AND_CALL: Callers = Callers { batches: 1, key: Some(Key(0)), ..ONE_CALL };

const BATCH_AND_OTHER_CALL: Callers = Callers { key: Some(Key(1)), ..BATCH_AND_CALL };

const BATCHES: Setup = Setup { keys: 2, processes: &[BATCH, BATCH], writers: &[], ..SMALLEST };

pub(super) fn controls() -> Vec<Configuration> {
    let stale_error = Configuration {
        expected: Expected::Violates(FreshOutcomes),
        setup: BACKED_OFF,
        faults: FAILED,
        ..BASE
    };
    vec![
        Configuration {
            name: "n43",
            about: "FAIL sets the mark without comparing the token",
            rules: Rules { failing: Failing::Sets, ..PROTOCOL },
            ..stale_error.clone()
        },
        Configuration {
            name: "n48",
            about: "the mark of a failed load outlives an invalidation by tag",
            setup: Setup { tagging: Tagging::InvalidatedByTag, ..BACKED_OFF },
            ..stale_error
        },
        Configuration {
            name: "n46",
            about: "late tags: a tag that CAPTURE has to create is taken for an old one",
            expected: Expected::Violates(FreshEntries),
            rules: Rules { capture: Capture::AfterLoadIfOlderOrNew, ..PROTOCOL },
            setup: TAGGED,
            ..BASE
        },
        Configuration {
            name: "n47",
            about: "a batch waits for others' leases before it loads what it was granted",
            expected: Expected::Violates(NoStuckCall),
            rules: Rules { batch: Batch::WaitsBeforeStoring, ..PROTOCOL },
            setup: BATCHES,
            ..BASE
        },
        Configuration {
            name: "n52",
            about: "a batch stays in the flights that it has joined, and is handed a lease",
            quick: false,
            expected: Expected::Violates(NoStuckCall),
            rules: Rules { batch: Batch::StaysJoined, ..PROTOCOL },
            setup: Setup { processes: &[BATCH_AND_CALL, BATCH_AND_OTHER_CALL], ..BATCHES },
            faults: Faults { cancellations: 2, ..NO_FAULTS },
            ..BASE
        },
    ]
}

pub(super) fn table() -> Vec<Configuration> {
    [failures(), tags(), batches()].concat()
}

fn failures() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "failure-mark",
            about: "2×2 calls that load first, 1 write; soft expiry, 2 failed loads",
            setup: Setup { stale: Stale::LoadedFirst, ..BACKED_OFF },
            faults: Faults { failed_loads: 2, soft_expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, FailedFast, StaleServed, StoreRefused, LateExecution],
            ..BASE
        },
        Configuration {
            name: "failure-mark-flights",
            about: "2 calls at once + 1, 2 writes; 2 failed loads, expiry",
            setup: Setup {
                writers: &[INVALIDATE_TWICE],
                processes: &[TWO_AT_ONCE, ONE_CALL],
                ..BACKED_OFF
            },
            faults: Faults { failed_loads: 2, expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, FailedFast, LedOn, StoreRefused, LateExecution],
            ..BASE
        },
        Configuration {
            name: "failure-mark-tag",
            about: "2×2 calls, 1 tag invalidation; a failed load; under the mark calls load without storing",
            setup: Setup {
                tagging: Tagging::InvalidatedByTag,
                backoff: Backoff::LoadUnstored,
                ..IN_TURN
            },
            faults: FAILED,
            reaches: &[Hit, UnusableEntry, TagChanged, LateExecution],
            ..BASE
        },
    ]
}

fn tags() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "late-tags",
            about: "2×2 calls with late tags, 2 tag invalidations",
            rules: LATE_TAGS,
            setup: Setup { writers: &[INVALIDATE_TWICE], ..TAGGED },
            reaches: &[Hit, TagTooYoung, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "late-tags-flights",
            about: "3 calls at once, with late tags, 1 tag invalidation; eviction",
            rules: LATE_TAGS,
            setup: Setup { processes: &[THREE_AT_ONCE], ..TAGGED },
            faults: Faults { evictions: 1, ..NO_FAULTS },
            reaches: &[TagTooYoung, TagChanged, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "late-tags-long",
            about: "2×2 calls with late tags, 1 tag invalidation; eviction, expiry",
            quick: false,
            rules: LATE_TAGS,
            setup: TAGGED,
            faults: Faults { evictions: 1, expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, StoreRefused, TagTooYoung, UnusableEntry, TagChanged],
            ..BASE
        },
        Configuration {
            name: "tag-read-later",
            about: "2×2 calls that read the tag in a second round trip, 2 tag invalidations",
            setup: Setup { calls: Calls::ReadTagLater, writers: &[INVALIDATE_TWICE], ..TAGGED },
            reaches: &[Hit, ServedByAcquire, UnusableEntry, TagChanged],
            ..BASE
        },
    ]
}

fn batches() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "batches",
            about: "2×1 batches of 2 keys, 1 write",
            setup: Setup { writers: &[INVALIDATE], ..BATCHES },
            reaches: &[Hit, ServedByAcquire, BatchWaited, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "batches-tag",
            about: "2×1 batches of 2 keys, 1 tag invalidation",
            setup: Setup { writers: &[INVALIDATE], tagging: Tagging::InvalidatedByTag, ..BATCHES },
            reaches: &[Hit, ServedByAcquire, BatchWaited, TagChanged],
            ..BASE
        },
        Configuration {
            name: "batches-joined",
            about: "a batch of 2 keys and a call at once + 1 batch; a cancelled leader",
            setup: Setup { processes: &[BATCH_AND_CALL, BATCH], ..BATCHES },
            faults: Faults { cancellations: 1, ..NO_FAULTS },
            reaches: &[Hit, ServedByAcquire, BatchWaited, BatchLeft, HandedOver],
            ..BASE
        },
        Configuration {
            name: "batches-joined-long",
            about: "a batch of 2 keys and a call at once + 1 batch, 1 write; a cancelled leader",
            quick: false,
            setup: Setup { processes: &[BATCH_AND_CALL, BATCH], writers: &[INVALIDATE], ..BATCHES },
            faults: Faults { cancellations: 1, ..NO_FAULTS },
            reaches: &[Hit, ServedByAcquire, BatchWaited, BatchLeft, HandedOver, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "batches-and-calls-long",
            about: "1×1 batch of 2 keys, 2×1 calls, 1 write",
            quick: false,
            setup: Setup {
                processes: &[BATCH, ONE_CALL, ONE_CALL],
                writers: &[INVALIDATE],
                ..BATCHES
            },
            reaches: &[Hit, ServedByAcquire, BatchWaited, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "batches-long",
            about: "2×2 batches of 2 keys, 1 write; expiry",
            quick: false,
            setup: Setup {
                processes: &[TWO_BATCHES, TWO_BATCHES],
                writers: &[INVALIDATE],
                ..BATCHES
            },
            faults: Faults { expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, ServedByAcquire, BatchWaited, StoreRefused],
            ..BASE
        },
    ]
}
