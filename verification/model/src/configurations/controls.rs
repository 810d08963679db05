//! The negative controls: each breaks one rule, and must violate the expected property.

use super::*;
use crate::properties::Property::{FreshEntries, FreshOutcomes, NoStuckCall, SingleFlight};
use crate::variants::{
    Capture, Fill, Invalidation, NewVersions, Renewal, Sharing, Successor, TagCheck,
    UnknownAcquire, Wakes,
};

pub(super) fn table() -> Vec<Configuration> {
    [fences(), tags(), flights(), inserts(), hand_over(), waiting()].concat()
}

const STALE_ENTRY: Configuration =
    Configuration { expected: Expected::Violates(FreshEntries), setup: IN_TURN, ..BASE };

const STALE_OUTCOME: Configuration =
    Configuration { expected: Expected::Violates(FreshOutcomes), setup: JOINED, ..BASE };

fn fences() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "n1",
            about: "naive cache-aside: GET, load, SET; DEL",
            rules: Rules { fill: Fill::Naive, ..PROTOCOL },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n2",
            about: "a lock, and a SET that the lock does not fence",
            rules: Rules { fill: Fill::UnderLock, ..PROTOCOL },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n3",
            about: "a fenced lock that the invalidation leaves in place",
            rules: Rules { invalidation: Invalidation::LeavesLease, ..PROTOCOL },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n32",
            about: "leases and entries removed in one scan",
            setup: Setup { writers: &[ONE_SCAN], ..IN_TURN },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n12",
            about: "a plain writer, accepted",
            faults: Faults { plain_fills: 1, ..NO_FAULTS },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n20",
            about: "RENEW sets the lease",
            rules: Rules { renewal: Renewal::Sets, ..PROTOCOL },
            faults: Faults { renewals: 1, ..NO_FAULTS },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n27",
            about: "ACQUIRE sent again with the same token after a timeout",
            rules: Rules { unknown_acquire: UnknownAcquire::SentAgain, ..PROTOCOL },
            faults: Faults { timeouts: 1, ..NO_FAULTS },
            ..STALE_ENTRY
        },
    ]
}

fn tags() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "n5",
            about: "the tag's version captured after the load",
            rules: Rules { capture: Capture::AfterLoad, ..PROTOCOL },
            setup: TAGGED,
            ..STALE_ENTRY
        },
        Configuration {
            name: "n6",
            about: "tags are counters, and one is evicted",
            rules: Rules { tag_versions: TagVersions::Counted, ..PROTOCOL },
            setup: Setup { writers: &[INVALIDATE_TWICE], ..TAGGED },
            faults: Faults { evictions: 1, ..NO_FAULTS },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n33",
            about: "a CAPTURE executed again brings the old version of the tag back",
            rules: Rules { new_versions: NewVersions::ForTwoExecutions, ..PROTOCOL },
            setup: TAGGED,
            ..STALE_ENTRY
        },
        Configuration {
            name: "n34",
            about: "a plain writer, accepted by calls with tags",
            setup: TAGGED,
            faults: Faults { plain_fills: 1, ..NO_FAULTS },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n26",
            about: "the tag is not read again after STORE",
            rules: Rules { tag_check: TagCheck::Skipped, ..PROTOCOL },
            setup: TAGGED_JOINED,
            ..STALE_OUTCOME
        },
    ]
}

fn flights() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "n7",
            about: "joiners share any flight",
            rules: Rules { sharing: Sharing::AnyFlight, ..PROTOCOL },
            ..STALE_OUTCOME
        },
        Configuration {
            name: "n28",
            about: "a value that was not stored is given to late joiners",
            rules: Rules { sharing: Sharing::UnstoredToLateJoiners, ..PROTOCOL },
            ..STALE_OUTCOME
        },
        Configuration {
            name: "n29",
            about: "a load's error is given to late joiners",
            rules: Rules { sharing: Sharing::FailureToLateJoiners, ..PROTOCOL },
            faults: Faults { failed_loads: 1, ..NO_FAULTS },
            ..STALE_OUTCOME
        },
    ]
}

fn inserts() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "n13",
            about: "plain insert: SET before UNLINK L",
            setup: Setup { writers: &[SET_FIRST, INVALIDATE], ..IN_TURN },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n14",
            about: "insert while another commits a newer version: its stated limit",
            setup: Setup { writers: &[INSERT, INVALIDATE], inserts_are_newest: false, ..IN_TURN },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n15",
            about: "plain insert that timed out and is executed late",
            setup: Setup { writers: &[PLAIN_INSERT, INVALIDATE], ..IN_TURN },
            faults: Faults { timeouts: 1, ..NO_FAULTS },
            ..STALE_ENTRY
        },
        Configuration {
            name: "n24",
            about: "write_through takes the lease after the write",
            setup: Setup { writers: &[TAKEN_LATE, INVALIDATE], ..IN_TURN },
            ..STALE_ENTRY
        },
    ]
}

const ONE_SCAN: Writes = Writes { kind: WriterKind::InvalidateInOneScan, writes: 1 };

const SET_FIRST: Writes = Writes { kind: WriterKind::PlainInsertSetFirst, writes: 1 };

const TAKEN_LATE: Writes = Writes { kind: WriterKind::WriteThroughTakenLate, writes: 1 };

fn hand_over() -> Vec<Configuration> {
    let cancelled = Faults { cancellations: 1, ..NO_FAULTS };
    vec![
        Configuration {
            name: "n16",
            about: "the successor keeps the value that the cancelled leader has loaded",
            rules: Rules { successor: Successor::KeepsLoad, ..PROTOCOL },
            faults: cancelled.clone(),
            ..STALE_OUTCOME
        },
        Configuration {
            name: "n16b",
            about: "joiners share any flight, and a leader is cancelled",
            rules: Rules { sharing: Sharing::AnyFlight, ..PROTOCOL },
            faults: cancelled.clone(),
            ..STALE_OUTCOME
        },
        Configuration {
            name: "n25",
            about: "the successor trusts an answer to a request sent before it came",
            rules: Rules { successor: Successor::TrustsAnswer, ..PROTOCOL },
            setup: JOINED,
            faults: cancelled,
            ..STALE_ENTRY
        },
        Configuration {
            name: "n35",
            about: "the successor keeps the value that a lost leader has loaded",
            rules: Rules { successor: Successor::KeepsLoad, ..PROTOCOL },
            faults: Faults { losses: 1, ..NO_FAULTS },
            ..STALE_OUTCOME
        },
    ]
}

fn waiting() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "n30",
            about: "waiters look again only once there is an entry",
            expected: Expected::Violates(NoStuckCall),
            rules: Rules { wakes: Wakes::OnlyEntry, ..PROTOCOL },
            ..BASE
        },
        Configuration {
            name: "n31",
            about: "no lease: two processes load at once",
            expected: Expected::Violates(SingleFlight),
            rules: Rules { fill: Fill::Naive, ..PROTOCOL },
            setup: Setup { writers: &[], ..SMALLEST },
            ..BASE
        },
    ]
}
