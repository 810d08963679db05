//! The near tier of a server that broadcasts its reports.

use super::near::{NEAR, PINGED, TWO_NEAR};
use super::*;
use crate::properties::Event::{Admitted, Hit, NearHit, NotAdmitted};
use crate::properties::Property::NearBound;
use crate::variants::{Admission, Vouching};

/// Reports are broadcast.
const BROADCAST: Setup = Setup { broadcasts: true, ..NEAR };

const PINGED_TWICE: Faults = Faults { pings: 2, ..NO_FAULTS };

pub(super) fn controls() -> Vec<Configuration> {
    let stale = Configuration {
        expected: Expected::Violates(NearBound),
        setup: BROADCAST,
        faults: PINGED,
        ..BASE
    };
    vec![
        Configuration {
            name: "n37",
            about: "near tier: with broadcast reports, the last answered ping counts",
            rules: Rules { vouching: Vouching::LastPing, ..PROTOCOL },
            ..stale.clone()
        },
        Configuration {
            name: "n38",
            about: "near tier: with broadcast reports, replies are admitted although a change was reported",
            rules: Rules { admission: Admission::Always, ..PROTOCOL },
            faults: PINGED_TWICE,
            ..stale
        },
    ]
}

pub(super) fn table() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "near-broadcast",
            about: "3 near calls + 1, 1 write; broadcast reports, 2 pings, lost connection",
            setup: BROADCAST,
            faults: Faults { lost_links: 1, ..PINGED_TWICE },
            reaches: &[Hit, NearHit, Admitted, NotAdmitted],
            ..BASE
        },
        Configuration {
            name: "near-broadcast-tag",
            about: "2 near calls + 1, 1 write by tag; broadcast reports, 2 pings",
            quick: false,
            setup: Setup {
                tagging: Tagging::InvalidatedByTag,
                processes: &[TWO_NEAR, ONE_CALL],
                ..BROADCAST
            },
            faults: PINGED_TWICE,
            reaches: &[Hit, NearHit, Admitted],
            ..BASE
        },
    ]
}
