//! The near tier.

use super::*;
use crate::properties::Event::{Admitted, Hit, NearHit, NotAdmitted};
use crate::properties::Property::{NearBound, OwnWrites, Tokens};
use crate::variants::{Admission, Flush, Forgetting, TokenCheck};

const NEAR_CALL: Callers = Callers { has_near_tier: true, ..ONE_CALL };

/// Calls of a process with a near tier, one after the other.
const THREE_NEAR: Callers = Callers { calls: 3, at_once: 1, ..NEAR_CALL };

pub(super) const TWO_NEAR: Callers = Callers { calls: 2, at_once: 1, ..NEAR_CALL };

const TWO_NEAR_AT_ONCE: Callers = Callers { calls: 2, at_once: 2, ..NEAR_CALL };

const THREE_NEAR_AT_ONCE: Callers = Callers { calls: 3, at_once: 2, ..NEAR_CALL };

const INVALIDATE_HERE: Writes = Writes { kind: WriterKind::InvalidateHere, writes: 1 };

/// A process with a near tier, one without that fills, and one write.
pub(super) const NEAR: Setup = Setup { processes: &[THREE_NEAR, ONE_CALL], ..SMALLEST };

const TAGGED_NEAR: Setup = Setup { tagging: Tagging::InvalidatedByTag, ..NEAR };

pub(super) const PINGED: Faults = Faults { pings: 1, ..NO_FAULTS };

pub(super) fn controls() -> Vec<Configuration> {
    let stale = Configuration {
        expected: Expected::Violates(NearBound),
        setup: NEAR,
        faults: PINGED,
        ..BASE
    };
    vec![
        Configuration {
            name: "n8",
            about: "near tier: a reply is admitted although a change was reported",
            rules: Rules { admission: Admission::Always, ..PROTOCOL },
            ..stale.clone()
        },
        Configuration {
            name: "n8b",
            about: "the same, with an invalidation by tag",
            rules: Rules { admission: Admission::Always, ..PROTOCOL },
            setup: TAGGED_NEAR,
            ..stale.clone()
        },
        Configuration {
            name: "n9",
            about: "near tier: entries survive the loss of the connection",
            rules: Rules { flush: Flush::Never, ..PROTOCOL },
            faults: Faults { lost_links: 1, ..PINGED },
            ..stale.clone()
        },
        Configuration {
            name: "n10",
            about: "near tier: what the process has stored is admitted, and not tracked",
            rules: Rules { admission: Admission::OwnStores, ..PROTOCOL },
            ..stale.clone()
        },
        Configuration {
            name: "n22",
            about: "near tier: the token of a call is ignored",
            expected: Expected::Violates(Tokens),
            rules: Rules { token_check: TokenCheck::Ignored, ..PROTOCOL },
            setup: Setup { has_tokens: true, ..NEAR },
            faults: NO_FAULTS,
            ..stale.clone()
        },
        Configuration {
            name: "n23",
            about: "near tier: tokens are compared with the admission, not with the read",
            expected: Expected::Violates(Tokens),
            rules: Rules { token_check: TokenCheck::AtAdmission, ..PROTOCOL },
            setup: Setup { has_tokens: true, processes: &[FOUR_NEAR_AT_ONCE, ONE_CALL], ..NEAR },
            faults: NO_FAULTS,
            ..stale.clone()
        },
        Configuration {
            name: "n36",
            about: "near tier: it forgets an own invalidation only before that is sent",
            expected: Expected::Violates(OwnWrites),
            rules: Rules { forgetting: Forgetting::Once, ..PROTOCOL },
            setup: Setup { writers: &[INVALIDATE_HERE], ..NEAR },
            faults: NO_FAULTS,
            ..stale
        },
    ]
}

const FOUR_NEAR_AT_ONCE: Callers = Callers { calls: 4, at_once: 2, ..NEAR_CALL };

pub(super) fn table() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "near",
            about: "3 near calls + 1, 1 write; ping, lost connection",
            setup: NEAR,
            faults: Faults { lost_links: 1, ..PINGED },
            reaches: &[Hit, NearHit, Admitted, NotAdmitted],
            ..BASE
        },
        Configuration {
            name: "near-evicted",
            about: "2 near calls at once + 1, 1 write; ping, eviction",
            setup: Setup { processes: &[TWO_NEAR_AT_ONCE, ONE_CALL], ..NEAR },
            faults: Faults { evictions: 1, ..PINGED },
            reaches: &[Hit, NearHit, Admitted, NotAdmitted],
            ..BASE
        },
        Configuration {
            name: "near-tag",
            about: "3 near calls + 1, 1 write by tag; ping, lost connection",
            setup: TAGGED_NEAR,
            faults: Faults { lost_links: 1, ..PINGED },
            reaches: &[Hit, NearHit, Admitted],
            ..BASE
        },
        Configuration {
            name: "near-own",
            about: "3 near calls, 2 at once, + 1, a write of the same process; lost connection",
            setup: Setup {
                processes: &[THREE_NEAR_AT_ONCE, ONE_CALL],
                writers: &[INVALIDATE_HERE],
                ..NEAR
            },
            faults: Faults { lost_links: 1, ..NO_FAULTS },
            reaches: &[Hit, NearHit, Admitted, NotAdmitted],
            ..BASE
        },
        Configuration {
            name: "near-token",
            about: "3 near calls, 2 at once, + 1, with tokens, 1 write; lost connection",
            setup: Setup { processes: &[THREE_NEAR_AT_ONCE, ONE_CALL], has_tokens: true, ..NEAR },
            faults: Faults { lost_links: 1, ..NO_FAULTS },
            reaches: &[Hit, NearHit, Admitted, NotAdmitted],
            ..BASE
        },
        Configuration {
            name: "near-writes",
            about: "2 near calls at once + 1, 2 writes; ping, eviction",
            quick: false,
            setup: Setup {
                processes: &[TWO_NEAR_AT_ONCE, ONE_CALL],
                writers: &[INVALIDATE_TWICE],
                ..NEAR
            },
            faults: Faults { evictions: 1, ..PINGED },
            reaches: &[Hit, NearHit, Admitted, NotAdmitted],
            ..BASE
        },
        Configuration {
            name: "near-both",
            about: "2×2 near calls, 1 write; ping",
            setup: Setup { processes: &[TWO_NEAR, TWO_NEAR], ..NEAR },
            faults: PINGED,
            reaches: &[Hit, NearHit, Admitted, NotAdmitted],
            ..BASE
        },
    ]
}
