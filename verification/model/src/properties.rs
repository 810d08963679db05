//! Checked properties, and events that a search must reach.

use std::sync::atomic::{AtomicBool, Ordering};

use stateright::Property as Check;

use crate::action::Protocol;
use crate::world::World;

/// A property of every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Property {
    /// G2 for entries: a call that began after the invalidation of a version had returned
    /// is given that version or a newer one when it is answered from Redis.
    FreshEntries,
    /// G2 for flights: the same for the value, or the error, of a load that it shares.
    FreshOutcomes,
    /// G1: at most one load for each key, and one more for each invalidation, lease taken
    /// over, cancelled leader and failed load. Checked where nothing else goes wrong.
    SingleFlight,
    /// No call waits in a state without further steps.
    NoStuckCall,
    /// G3: a near hit reflects every invalidation that had returned when the last answered ping
    /// was sent.
    NearBound,
    /// A near hit reflects every invalidation of its own process that has returned.
    OwnWrites,
    /// A near hit reflects the invalidation whose token the call presents.
    Tokens,
}

impl Property {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 7] = [
        Self::FreshEntries,
        Self::FreshOutcomes,
        Self::SingleFlight,
        Self::NoStuckCall,
        Self::NearBound,
        Self::OwnWrites,
        Self::Tokens,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::FreshEntries => "G2: no stale entry",
            Self::FreshOutcomes => "G2: no stale outcome of a flight",
            Self::SingleFlight => "G1: single flight",
            Self::NoStuckCall => "no stuck call",
            Self::NearBound => "G3: near hit within the bound",
            Self::OwnWrites => "own writes are read",
            Self::Tokens => "tokens are respected",
        }
    }

    pub(crate) fn checks() -> Vec<Check<Protocol>> {
        vec![
            Check::always(Self::NearBound.name(), |_, world: &World| {
                world.broken != Some(Self::NearBound)
            }),
            Check::always(Self::OwnWrites.name(), |_, world: &World| {
                world.broken != Some(Self::OwnWrites)
            }),
            Check::always(Self::Tokens.name(), |_, world: &World| {
                world.broken != Some(Self::Tokens)
            }),
            Check::always(Self::FreshEntries.name(), |_, world: &World| {
                world.broken != Some(Self::FreshEntries)
            }),
            Check::always(Self::FreshOutcomes.name(), |_, world: &World| {
                world.broken != Some(Self::FreshOutcomes)
            }),
            Check::always(Self::SingleFlight.name(), |_, world: &World| {
                world.broken != Some(Self::SingleFlight)
            }),
            Check::always(Self::NoStuckCall.name(), |protocol, world| !is_stuck(protocol, world)),
        ]
    }
}

/// Only callers that wait for another process's lease can get stuck: all others have a next
/// step.
fn is_stuck(protocol: &Protocol, world: &World) -> bool {
    world.broken.is_none()
        && world.has_callers_that_only_wait()
        && protocol.possible_actions(world).is_empty()
}

/// An event that a configuration is about. A search that never reaches it proves little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A call is answered by its first read.
    Hit,
    /// A call finds an entry that is unusable because of its tag or its writer.
    UnusableEntry,
    /// A caller that came after the load began receives its value, which was stored.
    LateJoinerServed,
    /// A caller receives the entry that ACQUIRE returned.
    ServedByAcquire,
    /// A caller that came after the load began leads the flight on.
    LedOn,
    /// A leader is cancelled and a successor leads.
    HandedOver,
    /// A leader is taken for lost, and a successor leads.
    Lost,
    /// STORE of a flight is refused.
    StoreRefused,
    /// STORE of an insert or a write-through succeeds.
    WriterStored,
    /// STORE of an insert or a write-through is refused.
    WriterRefused,
    /// The tag has changed after a STORE.
    TagChanged,
    /// A request is executed after its client has timed out or been cancelled.
    LateExecution,
    /// A call is answered by the near tier.
    NearHit,
    /// A reply is admitted to the near tier.
    Admitted,
    /// A reply is not admitted, because of what was reported since its read was sent.
    NotAdmitted,
    /// A call is given a soft-expired entry.
    StaleServed,
    /// STORE of a background refresh succeeds.
    Refreshed,
    /// A background refresh is refused, by ACQUIRE or by STORE.
    RefreshDropped,
    /// A loader learns that the previous value is unchanged.
    NotModified,
    /// SOFTEN succeeds.
    Softened,
    /// SOFTEN meets another entry, or none.
    SoftenRefused,
    /// After a failed or slow load, a caller is given what it has read again.
    ReadAgain,
    /// A caller is given what a read found that was sent for an earlier caller.
    ReadShared,
    /// A caller is given an error by the mark of a failed load.
    FailedFast,
    /// ACQUIRE or TAKE meets the mark of an invalidation with hold.
    Held,
    /// A loader reads an old version from the replica.
    Lagged,
    /// A value is not stored, since its tag is younger than the load.
    TagTooYoung,
    /// A batch waits for a lease, and has loaded other keys meanwhile.
    BatchWaited,
    /// A batch leaves a flight that it has joined, before it loads.
    BatchLeft,
    /// A value is stored that has inherited the tag of its part.
    TagInherited,
    /// A value is not stored, since the tag has another version than its part carries.
    PartOutdated,
    /// A value is not stored, since the version that its part carries is not known.
    PartUnknown,
    /// A loader reads its part from the entry that another call has stored.
    PartReadAgain,
    /// A loader is given its part by the near tier.
    PartNearby,
}

impl Event {
    const COUNT: usize = Self::PartNearby as usize + 1;
}

/// The events that a search has reached.
///
/// They are stored outside of the states: events on the path to a state must not distinguish
/// it from others.
#[derive(Debug)]
pub(crate) struct Coverage([AtomicBool; Event::COUNT]);

impl Default for Coverage {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicBool::new(false)))
    }
}

impl Coverage {
    pub(crate) fn met(&self, event: Event) {
        self.0[event as usize].store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_met(&self, event: Event) -> bool {
        self.0[event as usize].load(Ordering::Relaxed)
    }
}
