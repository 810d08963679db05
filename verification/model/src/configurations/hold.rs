//! Invalidations with hold, for loaders that read from a replica of the source.

use super::*;
use crate::properties::Event::{
    HandedOver, Held, Hit, Lagged, LateExecution, LateJoinerServed, LedOn, RefreshDropped,
    Refreshed, StaleServed, StoreRefused, WriterStored,
};
use crate::properties::Property::FreshEntries;
use crate::variants::{Holding, Taking, WriterStore};

const HOLD: Writes = Writes { kind: WriterKind::InvalidateWithHold, writes: 1 };

const HOLD_TWICE: Writes = Writes { writes: 2, ..HOLD };

const INSERT_WITH_HOLD: Writes = Writes { kind: WriterKind::InsertWithHold, writes: 1 };

const WRITE_THROUGH_WITH_HOLD: Writes =
    Writes { kind: WriterKind::WriteThroughWithHold, writes: 1 };

const LAGGING: Setup = Setup { writers: &[HOLD], lags: true, ..IN_TURN };

const TWO_AND_ONE: Setup = Setup { processes: &[TWO_IN_TURN, ONE_CALL], ..LAGGING };

/// The writers' STORE leaves a mark.
const MARKED: Rules = Rules { writer_store: WriterStore::LeavesMark, ..PROTOCOL };

const LOST_AND_SOFT: Faults = Faults { soft_expiries: 1, lost_entries: 1, ..NO_FAULTS };

pub(super) fn controls() -> Vec<Configuration> {
    let stale =
        Configuration { expected: Expected::Violates(FreshEntries), setup: LAGGING, ..BASE };
    vec![
        Configuration {
            name: "n17",
            about: "loaders read from a lagging replica, without hold",
            rules: Rules { holding: Holding::Nothing, ..PROTOCOL },
            ..stale.clone()
        },
        Configuration {
            name: "n18",
            about: "hold: another's invalidation without hold removes the mark",
            setup: Setup { writers: &[HOLD, INVALIDATE], ..LAGGING },
            ..stale.clone()
        },
        Configuration {
            name: "n18b",
            about: "hold: the UNLINK L of a plain insert removes the mark",
            setup: Setup { writers: &[HOLD, PLAIN_INSERT], ..LAGGING },
            ..stale.clone()
        },
        Configuration {
            name: "n19",
            about: "hold: the mark is evicted",
            faults: Faults { evictions: 1, ..NO_FAULTS },
            ..stale.clone()
        },
        Configuration {
            name: "n45",
            about: "hold: TAKE replaces the mark, and its STORE times out",
            rules: Rules { taking: Taking::IgnoresHold, ..PROTOCOL },
            setup: Setup {
                processes: &[ONE_CALL, ONE_CALL],
                writers: &[INSERT_WITH_HOLD, HOLD],
                ..LAGGING
            },
            faults: Faults { timeouts: 1, ..NO_FAULTS },
            ..stale.clone()
        },
        Configuration {
            name: "n51",
            about: "hold: an inserted value is refreshed, and no mark outlasts the lag",
            setup: Setup { writers: &[INSERT_WITH_HOLD], ..LAGGING },
            faults: Faults { soft_expiries: 1, ..NO_FAULTS },
            ..stale.clone()
        },
        Configuration {
            name: "n49",
            about: "hold: an inserted value is evicted, and no mark outlasts the lag",
            setup: Setup { writers: &[INSERT_WITH_HOLD], ..LAGGING },
            faults: Faults { lost_entries: 1, ..NO_FAULTS },
            ..stale
        },
    ]
}

pub(super) fn table() -> Vec<Configuration> {
    [invalidations(), writers()].concat()
}

fn invalidations() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "hold",
            about: "2×2 calls, 2 writes with hold, lagging replica; expiry",
            setup: Setup { writers: &[HOLD_TWICE], ..LAGGING },
            faults: Faults { expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, Held, Lagged, StoreRefused],
            ..BASE
        },
        Configuration {
            name: "hold-timeout",
            about: "2×2 calls, 1 write with hold, lagging replica; timeout",
            setup: LAGGING,
            faults: Faults { timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, Held, Lagged, StoreRefused, LateExecution],
            ..BASE
        },
        Configuration {
            name: "hold-flights",
            about: "2 calls at once + 1, 2 writes with hold, lagging replica",
            setup: Setup { processes: &[TWO_AT_ONCE, ONE_CALL], writers: &[HOLD_TWICE], ..LAGGING },
            reaches: &[Hit, Held, Lagged, StoreRefused, LateJoinerServed, LedOn],
            ..BASE
        },
        Configuration {
            name: "hold-refresh",
            about: "2×2 calls, 1 write with hold, lagging replica; 2 soft expiries, expiry",
            setup: LAGGING,
            faults: Faults { soft_expiries: 2, expiries: 1, ..NO_FAULTS },
            reaches: &[Hit, Held, Lagged, StoreRefused, StaleServed, Refreshed],
            ..BASE
        },
        Configuration {
            name: "hold-hand-over",
            about: "3 calls at once, 1 write with hold, lagging replica; a cancelled leader",
            setup: Setup { processes: &[THREE_AT_ONCE], ..LAGGING },
            faults: Faults { cancellations: 1, ..NO_FAULTS },
            reaches: &[Held, Lagged, StoreRefused, LateJoinerServed, LedOn, HandedOver],
            ..BASE
        },
        Configuration {
            name: "hold-long",
            about: "2×2 calls, 3 writes with hold of 2 writers, lagging replica",
            quick: false,
            setup: Setup { writers: &[HOLD_TWICE, HOLD], ..LAGGING },
            reaches: &[Hit, Held, Lagged, StoreRefused],
            ..BASE
        },
    ]
}

fn writers() -> Vec<Configuration> {
    vec![
        Configuration {
            name: "hold-insert",
            about: "2×2 calls, an insert, 1 write with hold, lagging replica",
            setup: Setup { writers: &[INSERT_WITH_HOLD, HOLD], ..LAGGING },
            reaches: &[Hit, Held, Lagged, StoreRefused, WriterStored],
            ..BASE
        },
        Configuration {
            name: "hold-write-through",
            about: "2×2 calls, a write_through, 1 write with hold at the same time, lagging replica",
            setup: Setup { writers: &[WRITE_THROUGH_WITH_HOLD, HOLD], ..LAGGING },
            reaches: &[Hit, Held, Lagged, StoreRefused, WriterStored],
            ..BASE
        },
        Configuration {
            name: "hold-insert-long",
            about: "2×1 calls, an insert, 1 write with hold, lagging replica; timeout",
            quick: false,
            setup: Setup {
                processes: &[ONE_CALL, ONE_CALL],
                writers: &[INSERT_WITH_HOLD, HOLD],
                ..LAGGING
            },
            faults: Faults { timeouts: 1, ..NO_FAULTS },
            reaches: &[Hit, Held, Lagged, StoreRefused, WriterStored, LateExecution],
            ..BASE
        },
        Configuration {
            name: "hold-insert-marked",
            about: "2×2 calls, an insert that leaves a mark, lagging replica; lost entry, soft expiry",
            rules: MARKED,
            setup: Setup { writers: &[INSERT_WITH_HOLD], ..LAGGING },
            faults: LOST_AND_SOFT,
            reaches: &[Hit, Held, Lagged, WriterStored, StaleServed, RefreshDropped],
            ..BASE
        },
        Configuration {
            name: "hold-write-through-marked",
            about: "2×2 calls, a write_through that leaves a mark, lagging replica; lost entry, soft expiry",
            rules: MARKED,
            setup: Setup { writers: &[WRITE_THROUGH_WITH_HOLD], ..LAGGING },
            faults: LOST_AND_SOFT,
            reaches: &[Hit, Held, Lagged, WriterStored, StaleServed, RefreshDropped],
            ..BASE
        },
        Configuration {
            name: "hold-insert-marked-long",
            about: "2 calls + 1, an insert that leaves a mark, 1 write with hold, lagging replica; lost entry, soft expiry",
            quick: false,
            rules: MARKED,
            setup: Setup { writers: &[INSERT_WITH_HOLD, HOLD], ..TWO_AND_ONE },
            faults: LOST_AND_SOFT,
            reaches: &[Hit, Held, Lagged, StoreRefused, WriterStored, StaleServed, RefreshDropped],
            ..BASE
        },
        Configuration {
            name: "hold-write-through-marked-long",
            about: "2 calls + 1, a write_through that leaves a mark, 1 write with hold at the same time, lagging replica; lost entry, soft expiry",
            quick: false,
            rules: MARKED,
            setup: Setup { writers: &[WRITE_THROUGH_WITH_HOLD, HOLD], ..TWO_AND_ONE },
            faults: LOST_AND_SOFT,
            reaches: &[Hit, Held, Lagged, StoreRefused, WriterStored, StaleServed, RefreshDropped],
            ..BASE
        },
    ]
}
