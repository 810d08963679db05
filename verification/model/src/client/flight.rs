//! A flight: one load of one key, and the callers that wait for it.

use super::call::Caller;
use crate::action::{Action, View};
use crate::server::{Key, Reply, Request, TagVersion, Token, Version};
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
    /// The loader runs; without a lease nothing will be stored.
    Loading { lease: Option<Lease>, loaded: Option<Version> },
    /// CAPTURE is in flight, after the load: the rule that n5 breaks.
    CapturingLate { token: Token, loaded: Version, wire: Wire },
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
    /// The loader returns what it has read.
    Return,
    /// The loader fails, with an error that depends on the version it has read.
    Fail,
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
            | Self::Storing { wire, .. }
            | Self::Verifying { wire, .. } => Some(wire),
            Self::Waiting | Self::Loading { .. } => None,
        }
    }

    pub(crate) fn wire_mut(&mut self) -> Option<&mut Wire> {
        match self {
            Self::Acquiring { wire, .. }
            | Self::Capturing { wire, .. }
            | Self::CapturingLate { wire, .. }
            | Self::Storing { wire, .. }
            | Self::Verifying { wire, .. } => Some(wire),
            Self::Waiting | Self::Loading { .. } => None,
        }
    }

    /// Returns the token that the flight owns, or may own.
    pub(crate) fn token(&self) -> Option<Token> {
        match *self {
            Self::Acquiring { token, .. }
            | Self::Capturing { token, .. }
            | Self::CapturingLate { token, .. } => Some(token),
            Self::Loading { lease, .. } => lease.map(|lease| lease.token),
            Self::Storing { lease, .. } => Some(lease.token),
            Self::Waiting | Self::Verifying { .. } => None,
        }
    }

    fn tag(&self) -> Option<TagVersion> {
        match *self {
            Self::Loading { lease, .. } => lease.map(|lease| lease.tag),
            Self::Storing { lease, .. } => Some(lease.tag),
            Self::Verifying { tag, .. } => Some(tag),
            _ => None,
        }
    }
}

impl Flight {
    pub(crate) fn is_joinable(&self, key: Key, rules: &Rules) -> bool {
        self.key == key && (self.open || rules.sharing == Sharing::AnyFlight)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.step == Step::Waiting
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

    pub(crate) fn refers_to_tag(&self, tag: TagVersion) -> bool {
        let answered = match self.step.wire() {
            Some(Wire::Answered(Reply::Tag(tag) | Reply::Present { tag, .. })) => tag,
            _ => None,
        };
        let found = match self.step.wire() {
            Some(Wire::Answered(Reply::Present { entry, .. })) => Some(entry.tag),
            _ => None,
        };
        let sent = self.request_in_flight().and_then(Request::entry).map(|entry| entry.tag);
        let tags = [answered, found, sent, self.step.tag()];
        tags.contains(&Some(tag)) || self.callers.iter().any(|caller| caller.read.has_tag(tag))
    }
}

impl View<'_> {
    pub(crate) fn flight_steps(self, actions: &mut Vec<Action>) {
        for (process, state) in self.world.processes.iter().enumerate() {
            for (index, flight) in state.flights.iter().enumerate() {
                let id = FlightId { process, index };
                let mut add = |step| actions.push(Action::Flight { id, step });
                self.own_steps(flight, &mut add);
                self.fault_steps(flight, &mut add);
            }
        }
    }

    fn own_steps(self, flight: &Flight, add: &mut impl FnMut(FlightStep)) {
        match flight.step {
            Step::Waiting if self.is_woken(flight) => add(FlightStep::Retry),
            Step::Loading { loaded: None, .. } => add(FlightStep::Load),
            Step::Loading { loaded: Some(_), .. } => add(FlightStep::Return),
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
        if left.cancellations > 0 && !flight.callers.is_empty() {
            add(FlightStep::Cancel);
        }
        if left.losses > 0 && flight.callers.len() > 1 {
            add(FlightStep::Lose);
        }
        if let Step::Loading { lease, loaded } = flight.step {
            if left.failed_loads > 0 && loaded.is_some() {
                add(FlightStep::Fail);
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
        let seen = flight.callers.first().and_then(|leader| leader.read.seen());
        let lease_ended =
            server.slots[flight.key].lease.is_none() && rules.wakes == Wakes::LeaseOrEntry;
        lease_ended || server.entry_for(flight.key, seen, rules).is_some()
    }
}
