//! The steps of a leader: it acquires the lease, captures, loads and stores.

use super::call::ReadResult;
use super::flight::{Flight, FlightId, FlightStep, Lease, Step, Wire};
use super::outcome::Outcome;
use crate::action::Turn;
use crate::configurations::Tagging;
use crate::properties::Event;
use crate::server::{Entry, Reply, Request, TagVersion, Token, Version};
use crate::variants::{Capture, FailedLoad, Fill, TagCheck, UnknownAcquire};

impl Turn<'_> {
    pub(crate) fn flight(&mut self, id: FlightId, step: FlightStep) {
        match step {
            FlightStep::Execute => self.execute_request_of(id),
            FlightStep::Deliver => self.deliver(id),
            FlightStep::TimeOut => self.time_out(id),
            FlightStep::Retry => self.acquire(id),
            FlightStep::Load => self.load(id),
            FlightStep::Return => self.return_load(id),
            FlightStep::Fail => self.fail_load(id),
            FlightStep::Renew => self.renew(id),
            FlightStep::Cancel => self.cancel(id),
            FlightStep::Lose => self.lose(id),
        }
    }

    pub(crate) fn flight_mut(&mut self, id: FlightId) -> &mut Flight {
        &mut self.world.processes[id.process].flights[id.index]
    }

    /// Starts to lead a flight without a lease.
    pub(crate) fn lead(&mut self, id: FlightId) {
        let unreadable = self.flight_mut(id).callers[0].read == ReadResult::Unreadable;
        match self.configuration.rules.fill {
            _ if unreadable => self.begin_load(id, None),
            Fill::Naive => self.begin_load(id, Some(Lease { token: Token::NONE, tag: 0 })),
            Fill::Fenced | Fill::UnderLock => self.acquire(id),
        }
    }

    /// Sends ACQUIRE with a new token.
    pub(crate) fn acquire(&mut self, id: FlightId) {
        let token = self.world.unused_token();
        let flight = self.flight_mut(id);
        let seen = flight.callers[0].read.seen();
        let request = Request::Acquire { key: flight.key, token, seen };
        flight.callers.iter_mut().for_each(|caller| caller.joined_before = true);
        flight.step = Step::Acquiring { token, wire: Wire::Sent(request) };
    }

    /// Begins a load, with or without the right to store.
    pub(crate) fn begin_load(&mut self, id: FlightId, lease: Option<Lease>) {
        let flight = self.flight_mut(id);
        flight.callers.iter_mut().for_each(|caller| caller.joined_before = true);
        flight.step = Step::Loading { lease, loaded: None };
        let key = flight.key;
        self.count_load(key);
    }

    fn execute_request_of(&mut self, id: FlightId) {
        let Some(request) = self.flight_mut(id).request_in_flight() else { return };
        let reply = self.execute(request);
        if let Some(wire) = self.flight_mut(id).step.wire_mut() {
            *wire = Wire::Answered(reply);
        }
    }

    fn deliver(&mut self, id: FlightId) {
        match self.flight_mut(id).step {
            Step::Acquiring { token, wire: Wire::Answered(reply) } => {
                self.acquired(id, token, reply)
            }
            Step::Capturing { token, wire: Wire::Answered(Reply::Tag(tag)) } => {
                self.begin_load(id, Some(Lease { token, tag: tag.unwrap_or(0) }));
            }
            Step::CapturingLate { token, loaded, wire: Wire::Answered(Reply::Tag(tag)) } => {
                self.store(id, Lease { token, tag: tag.unwrap_or(0) }, loaded);
            }
            Step::Storing { lease, loaded, wire: Wire::Answered(Reply::Stored) } => {
                self.stored(id, lease.tag, loaded);
            }
            Step::Storing { loaded, wire: Wire::Answered(_), .. } => {
                self.met(Event::StoreRefused);
                self.complete(id, Outcome::Unstored(loaded), None);
            }
            Step::Verifying { tag, loaded, wire: Wire::Answered(Reply::Tag(now)) } => {
                self.verified(id, tag, loaded, now);
            }
            _ => {}
        }
    }

    fn acquired(&mut self, id: FlightId, token: Token, reply: Reply) {
        match reply {
            Reply::Present { entry, tag } => self.found(id, entry, tag),
            Reply::Granted if self.captures(Capture::BeforeLoad) => {
                let wire = Wire::Sent(Request::CaptureTag);
                self.flight_mut(id).step = Step::Capturing { token, wire };
            }
            Reply::Granted => self.begin_load(id, Some(Lease { token, tag: 0 })),
            _ => {
                let flight = self.flight_mut(id);
                // Irrelevant while the flight waits. Cleared, so that equivalent states are
                // equal.
                flight.callers.iter_mut().for_each(|caller| caller.joined_before = false);
                flight.step = Step::Waiting;
            }
        }
    }

    fn captures(&self, when: Capture) -> bool {
        self.configuration.setup.tagging != Tagging::None
            && self.configuration.rules.capture == when
    }

    /// ACQUIRE has found an entry.
    fn found(&mut self, id: FlightId, entry: Entry, tag: Option<TagVersion>) {
        if self.configuration.is_usable(entry, tag) {
            self.met(Event::ServedByAcquire);
            self.complete(id, Outcome::Found(entry.version), None);
        } else {
            self.met(Event::UnusableEntry);
            self.flight_mut(id).callers[0].read = ReadResult::Unusable(entry);
            self.acquire(id);
        }
    }

    fn load(&mut self, id: FlightId) {
        let key = self.flight_mut(id).key;
        let version = self.world.source[key];
        if let Step::Loading { loaded, .. } = &mut self.flight_mut(id).step {
            *loaded = Some(version);
        }
    }

    fn return_load(&mut self, id: FlightId) {
        let Step::Loading { lease, loaded: Some(loaded) } = self.flight_mut(id).step else {
            return;
        };
        match lease {
            None => self.complete(id, Outcome::Unstored(loaded), None),
            Some(Lease { token, .. }) if self.captures(Capture::AfterLoad) => {
                let wire = Wire::Sent(Request::CaptureTag);
                self.flight_mut(id).step = Step::CapturingLate { token, loaded, wire };
            }
            Some(lease) => self.store(id, lease, loaded),
        }
    }

    fn fail_load(&mut self, id: FlightId) {
        let flight = self.flight_mut(id);
        let key = flight.key;
        let Step::Loading { lease, loaded: Some(loaded) } = flight.step else { return };
        self.world.left.failed_loads -= 1;
        self.allow_load(key);
        let kept = match self.configuration.rules.failed_load {
            FailedLoad::KeepsLease => lease,
            FailedLoad::ReleasesLease => {
                lease.into_iter().for_each(|lease| self.release(id, lease.token));
                None
            }
        };
        self.complete(id, Outcome::Failed(loaded), kept);
    }

    /// Seals the flight, then sends STORE.
    fn store(&mut self, id: FlightId, lease: Lease, loaded: Version) {
        let fill = self.configuration.rules.fill;
        let flight = self.flight_mut(id);
        let (key, token) = (flight.key, lease.token);
        let entry = Entry { version: loaded, tag: lease.tag, plain: false };
        let request = match fill {
            Fill::Fenced => Request::Store { key, token, entry },
            Fill::UnderLock | Fill::Naive => Request::SetAndUnlock { key, entry },
        };
        flight.open = false;
        flight.step = Step::Storing { lease, loaded, wire: Wire::Sent(request) };
    }

    fn stored(&mut self, id: FlightId, tag: TagVersion, loaded: Version) {
        let key = self.flight_mut(id).key;
        self.admit_own_store(id.process, key, Entry { version: loaded, tag, plain: false });
        let checks = self.configuration.rules.tag_check == TagCheck::AfterStore;
        if checks && self.configuration.setup.tagging != Tagging::None {
            let wire = Wire::Sent(Request::ReadTag);
            self.flight_mut(id).step = Step::Verifying { tag, loaded, wire };
        } else {
            self.complete(id, Outcome::Stored(loaded), None);
        }
    }

    fn verified(
        &mut self,
        id: FlightId,
        tag: TagVersion,
        loaded: Version,
        now: Option<TagVersion>,
    ) {
        let entry = Entry { version: loaded, tag, plain: false };
        if self.configuration.is_usable(entry, now) {
            self.complete(id, Outcome::Stored(loaded), None);
        } else {
            self.met(Event::TagChanged);
            self.complete(id, Outcome::Unstored(loaded), None);
        }
    }

    /// Continues without the answer. The request may still be executed; a token whose outcome
    /// is unknown is released, and never sent again.
    fn time_out(&mut self, id: FlightId) {
        self.world.left.timeouts -= 1;
        let flight = self.flight_mut(id);
        let (step, request) = (flight.step, flight.request_in_flight());
        request.into_iter().for_each(|request| self.world.push_late(request));
        if let Step::Acquiring { token, .. } = step
            && self.configuration.rules.unknown_acquire == UnknownAcquire::SentAgain
        {
            return self.acquire_again(id, token);
        }
        step.token().into_iter().for_each(|token| self.release(id, token));
        match step {
            Step::CapturingLate { loaded, .. }
            | Step::Storing { loaded, .. }
            | Step::Verifying { loaded, .. } => self.complete(id, Outcome::Unstored(loaded), None),
            _ => self.begin_load(id, None),
        }
    }

    /// The rule that n27 breaks.
    fn acquire_again(&mut self, id: FlightId, token: Token) {
        let flight = self.flight_mut(id);
        let request = Request::Acquire { key: flight.key, token, seen: None };
        flight.step = Step::Acquiring { token, wire: Wire::Sent(request) };
    }

    /// Sends RELEASE without waiting for the answer.
    pub(crate) fn release(&mut self, id: FlightId, token: Token) {
        let key = self.flight_mut(id).key;
        self.world.push_late(Request::Release { key, token });
    }

    fn renew(&mut self, id: FlightId) {
        self.world.left.renewals -= 1;
        let flight = self.flight_mut(id);
        if let Some(token) = flight.step.token() {
            let key = flight.key;
            self.world.push_late(Request::Renew { key, token });
        }
    }
}
