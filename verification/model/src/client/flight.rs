//! A flight: one load of one key, and the callers that wait for it.

use super::call::Caller;
use super::process::Process;
use crate::action::{Action, View};
use crate::entry::Entry;
use crate::request::{Reply, Request};
use crate::server::{Holder, Key, TagVersion, Token, Version};
use crate::variants::{Rules, Sharing, Wakes};

/// The process and index of a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FlightId {
    pub(crate) process: usize,
    pub(crate) index: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) key: Key,
    /// Whether callers may join. The flight is sealed before STORE is sent.
    pub(crate) open: bool,
    /// In the order of arrival. The first one leads; the flight may store without a leader.
    pub(crate) callers: Vec<Caller>,
    /// The soft-expired entry that it refreshes in the background, without callers.
    pub(crate) refreshes: Option<Entry>,
    pub(crate) step: Step,
}

/// The state of a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// ACQUIRE is in flight.
    Acquiring { token: Token, wire: Wire },
    /// Another process holds the lease.
    Waiting,
    /// CAPTURE is in flight, after the grant.
    Capturing { token: Token, wire: Wire },
    /// A batch holds the lease, and has not begun to load.
    Granted {
        lease: Lease,
        /// Whether it came from another leader, in whose flight the batch had joined.
        handed: bool,
    },
    /// The loader runs; without a lease nothing will be stored.
    Loading {
        lease: Option<Lease>,
        loaded: Option<Version>,
        /// The tag's version when the load began; kept only where it is compared.
        tag_before: Option<TagVersion>,
    },
    /// The loader runs, and waits for its part.
    AwaitingPart {
        lease: Option<Lease>,
        /// By which the call for the part knows the load.
        number: u8,
        /// What another call has loaded for it; the entry is still to be read.
        shared: Option<Version>,
        tag_before: Option<TagVersion>,
    },
    /// CAPTURE is in flight, after the load.
    CapturingLate { token: Token, loaded: Version, tag_before: Option<TagVersion>, wire: Wire },
    /// GET K is in flight, after the load has failed with an error.
    Rereading { lease: Option<Lease>, error: Version, wire: Wire },
    /// STORE is in flight.
    Storing { lease: Lease, loaded: Version, wire: Wire },
    /// GET T is in flight, after STORE.
    Verifying { tag: TagVersion, loaded: Version, wire: Wire },
}

/// The right to store, and the tag's version for the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) token: Token,
    pub(crate) tag: TagVersion,
}

/// A request in flight, or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wire {
    Sent(Request),
    Answered(Reply),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FlightStep {
    /// The server executes the request.
    Execute,
    /// The answer arrives.
    Deliver,
    /// An answer or the wait for a lease times out: the flight continues without it.
    TimeOut,
    /// A waiter checks again.
    Retry,
    /// The loader reads the source.
    Load,
    /// The loader reads the entry of its part, which another call has loaded.
    ReadPart,
    /// The loader reads the lagging replica.
    LoadLagging,
    /// The batch begins to load.
    Begin,
    /// The loader returns what it has read.
    Return,
    /// The loader fails, with an error that depends on the version it has read.
    Fail,
    /// Callers with a soft-expired entry read again, and leave the load to itself.
    SoftTimeOut,
    /// RENEW is sent.
    Renew,
    /// The leader is cancelled.
    Cancel,
    /// The leader is not polled, and the caller that has waited longest takes it for lost.
    Lose,
}

impl Step {
    fn wire(&self) -> Option<Wire> {
        match *self {
            Self::Acquiring { wire, .. }
            | Self::Capturing { wire, .. }
            | Self::CapturingLate { wire, .. }
            | Self::Rereading { wire, .. }
            | Self::Storing { wire, .. }
            | Self::Verifying { wire, .. } => Some(wire),
            _ => None,
        }
    }

    pub(crate) fn wire_mut(&mut self) -> Option<&mut Wire> {
        match self {
            Self::Acquiring { wire, .. }
            | Self::Capturing { wire, .. }
            | Self::CapturingLate { wire, .. }
            | Self::Rereading { wire, .. }
            | Self::Storing { wire, .. }
            | Self::Verifying { wire, .. } => Some(wire),
            _ => None,
        }
    }

    /// Returns the token that the flight owns, or may own.
    pub(crate) fn token(&self) -> Option<Token> {
        match *self {
            Self::Acquiring { token, .. }
            | Self::Capturing { token, .. }
            | Self::CapturingLate { token, .. } => Some(token),
            Self::Loading { lease, .. }
            | Self::AwaitingPart { lease, .. }
            | Self::Rereading { lease, .. } => lease.map(|lease| lease.token),
            Self::Granted { lease, .. } => Some(lease.token),
            Self::Storing { lease, .. } => Some(lease.token),
            Self::Waiting | Self::Verifying { .. } => None,
        }
    }

    /// Returns the tag's version for the entry.
    pub(crate) fn tag(&self) -> Option<TagVersion> {
        match *self {
            Self::Loading { lease, .. }
            | Self::AwaitingPart { lease, .. }
            | Self::Rereading { lease, .. } => lease.map(|lease| lease.tag),
            Self::Granted { lease, .. } => Some(lease.tag),
            Self::Storing { lease, .. } => Some(lease.tag),
            Self::Verifying { tag, .. } => Some(tag),
            _ => None,
        }
    }

    fn tag_before(&self) -> Option<TagVersion> {
        match *self {
            Self::Loading { tag_before, .. }
            | Self::AwaitingPart { tag_before, .. }
            | Self::CapturingLate { tag_before, .. } => tag_before,
            _ => None,
        }
    }
}

impl Flight {
    /// Returns the entry by which ACQUIRE recognises a miss.
    pub(crate) fn seen(&self) -> Option<Entry> {
        let leader = || self.callers.first().and_then(|leader| leader.read.seen());
        self.refreshes.or_else(leader)
    }

    /// Returns the value that the loader may find unchanged.
    pub(crate) fn previous(&self) -> Option<Entry> {
        let leader = || self.callers.first().and_then(|leader| leader.read.soft_expired());
        self.refreshes.or_else(leader)
    }

    pub(crate) fn is_joinable(&self, key: Key, rules: &Rules) -> bool {
        self.key == key && (self.open || rules.sharing == Sharing::AnyFlight)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.step == Step::Waiting
    }

    /// Returns `true` if a batch leads it.
    pub(super) fn is_of_batch(&self) -> bool {
        self.callers.first().is_some_and(|leader| leader.in_batch)
    }

    /// Returns `true` if it goes on only after others have.
    pub(crate) fn is_held_up(&self) -> bool {
        matches!(self.step, Step::Waiting | Step::Granted { .. } | Step::AwaitingPart { .. })
    }

    /// Returns `true` if the flight continues after its leader is cancelled: a STORE that was
    /// sent is completed.
    pub(crate) fn continues_without_leader(&self) -> bool {
        matches!(
            self.step,
            Step::CapturingLate { .. } | Step::Storing { .. } | Step::Verifying { .. }
        )
    }

    /// Returns the request that the server has not executed yet.
    pub(crate) fn request_in_flight(&self) -> Option<Request> {
        match self.step.wire() {
            Some(Wire::Sent(request)) => Some(request),
            _ => None,
        }
    }

    pub(crate) fn refers_to(&self, token: Token) -> bool {
        self.step.token() == Some(token)
    }

    /// Returns `true` if it knows an entry that was filled with a token.
    pub(crate) fn knows_fill(&self, token: Token) -> bool {
        self.request_in_flight().is_some_and(|request| request.refers_to(token))
            || self.entries().any(|entry| entry.fill == token)
    }

    pub(crate) fn refers_to_tag(&self, tag: TagVersion) -> bool {
        let on_wire = match self.step.wire() {
            Some(Wire::Sent(request)) => request.refers_to_tag(tag),
            Some(Wire::Answered(reply)) => reply.refers_to_tag(tag),
            None => false,
        };
        on_wire
            || self.step.tag() == Some(tag)
            || self.step.tag_before() == Some(tag)
            || self.entries().any(|entry| entry.tag == tag)
    }

    /// Returns the entries that it knows.
    fn entries(&self) -> impl Iterator<Item = Entry> {
        let answered = match self.step.wire() {
            Some(Wire::Answered(reply)) => reply.entry(),
            _ => None,
        };
        let seen = self.callers.iter().filter_map(|caller| caller.read.seen());
        answered.into_iter().chain(self.refreshes).chain(seen)
    }
}

impl View<'_> {
    pub(crate) fn flight_steps(self, actions: &mut Vec<Action>) {
        for (process, state) in self.world.processes.iter().enumerate() {
            for (index, flight) in state.flights.iter().enumerate() {
                let id = FlightId { process, index };
                let mut add = |step| actions.push(Action::Flight { id, step });
                self.own_steps(state, flight, &mut add);
                self.fault_steps(flight, &mut add);
            }
        }
    }

    fn own_steps(self, process: &Process, flight: &Flight, add: &mut impl FnMut(FlightStep)) {
        match flight.step {
            Step::Waiting if self.is_woken(flight) && self.batch_may_wait(process, flight) => {
                add(FlightStep::Retry);
            }
            Step::Granted { handed, .. } if self.batch_may_load(process, handed) => {
                add(FlightStep::Begin);
            }
            Step::Loading { loaded: None, .. } => {
                add(FlightStep::Load);
                let (source, replica) = (&self.world.source, &self.world.replica);
                if self.configuration.setup.lags && replica[flight.key] < source[flight.key] {
                    add(FlightStep::LoadLagging);
                }
            }
            Step::Loading { loaded: Some(_), .. } => add(FlightStep::Return),
            Step::AwaitingPart { shared: Some(_), .. } => add(FlightStep::ReadPart),
            _ => {}
        }
        match flight.step.wire() {
            Some(Wire::Sent(_)) => add(FlightStep::Execute),
            Some(Wire::Answered(_)) => add(FlightStep::Deliver),
            None => {}
        }
    }

    fn fault_steps(self, flight: &Flight, add: &mut impl FnMut(FlightStep)) {
        let left = &self.world.left;
        if left.timeouts > 0 && (flight.step.wire().is_some() || flight.is_waiting()) {
            add(FlightStep::TimeOut);
        }
        if left.cancellations > 0 && !flight.callers.is_empty() && !flight.is_of_batch() {
            add(FlightStep::Cancel);
        }
        if left.losses > 0 && flight.callers.len() > 1 {
            add(FlightStep::Lose);
        }
        if let Step::Loading { lease, loaded, .. } = flight.step {
            if left.failed_loads > 0 && loaded.is_some() {
                add(FlightStep::Fail);
            }
            let mut reads = flight.callers.iter().map(|caller| caller.read);
            if left.soft_timeouts > 0 && reads.any(|read| read.soft_expired().is_some()) {
                add(FlightStep::SoftTimeOut);
            }
            if left.renewals > 0 && lease.is_some() {
                add(FlightStep::Renew);
            }
        }
    }

    /// Waiters check again from time to time. In the model only when it is of use, so that a
    /// waiter that is never woken shows as a stuck call.
    fn is_woken(self, flight: &Flight) -> bool {
        let (server, rules) = (&self.world.server, &self.configuration.rules);
        let is_leased = matches!(server.slots[flight.key].lease, Some(Holder::Fill(_)));
        let lease_ended = !is_leased && rules.wakes == Wakes::LeaseOrEntry;
        lease_ended || server.entry_for(flight.key, flight.seen(), rules).is_some()
    }
}
