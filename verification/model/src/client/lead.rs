//! The steps of a leader: it acquires the lease, captures, loads and stores.

use super::call::ReadResult;
use super::flight::{Flight, FlightId, FlightStep, Lease, Step, Wire};
use super::outcome::Outcome;
use crate::action::Turn;
use crate::configurations::{Stale, Tagging};
use crate::entry::Entry;
use crate::properties::Event;
use crate::request::{Reply, Request};
use crate::server::{TagVersion, Token, Version};
use crate::variants::{Capture, FailedLoad, Fill, NotModified, Refresh, TagCheck, UnknownAcquire};

impl Turn<'_> {
    pub(crate) fn flight(&mut self, id: FlightId, step: FlightStep) {
        match step {
            FlightStep::Execute => self.execute_request_of(id),
            FlightStep::Deliver => self.deliver(id),
            FlightStep::TimeOut => self.time_out(id),
            FlightStep::Retry => self.acquire(id),
            FlightStep::Begin => self.begin_in_batch(id),
            FlightStep::Load => self.load(id),
            FlightStep::ReadPart => self.read_part(id),
            FlightStep::LoadLagging => self.load_lagging(id),
            FlightStep::Return => self.return_load(id),
            FlightStep::Fail => self.fail_load(id),
            FlightStep::SoftTimeOut => self.soft_time_out(id),
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
        let request = Request::Acquire { key: flight.key, token, seen: flight.seen() };
        flight.callers.iter_mut().for_each(|caller| caller.joined_before = true);
        flight.step = Step::Acquiring { token, wire: Wire::Sent(request) };
    }

    /// Begins a load, with or without the right to store.
    pub(crate) fn begin_load(&mut self, id: FlightId, lease: Option<Lease>) {
        let key = self.flight_mut(id).key;
        let compares_tag = self.configuration.compares_tag_before(key);
        let tag_before = self.world.server.tag.filter(|_| compares_tag);
        let flight = self.flight_mut(id);
        flight.callers.iter_mut().for_each(|caller| caller.joined_before = true);
        flight.step = Step::Loading { lease, loaded: None, tag_before };
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
                self.granted(id, Lease { token, tag: tag.unwrap_or(0) });
            }
            Step::CapturingLate {
                token,
                loaded,
                tag_before,
                wire: Wire::Answered(Reply::Tag(Some(tag))),
            } => self.captured_late(id, Lease { token, tag }, loaded, tag_before),
            Step::Rereading { lease, error, wire: Wire::Answered(Reply::Found { entry, tag }) } => {
                self.reread(id, (lease, error), entry, tag)
            }
            Step::Storing { lease, loaded, wire: Wire::Answered(reply) } => {
                if self.configuration.rules.not_modified == NotModified::ComparesTrailer {
                    self.release(id, lease.token);
                }
                match reply {
                    Reply::Stored => self.stored(id, lease.tag, loaded),
                    _ => self.refused(id, loaded),
                }
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
            Reply::Granted if self.captures(id, Capture::BeforeLoad) => {
                let wire = Wire::Sent(Request::CaptureTag);
                self.flight_mut(id).step = Step::Capturing { token, wire };
            }
            Reply::Granted => self.granted(id, Lease { token, tag: 0 }),
            Reply::Busy | Reply::Held | Reply::Failing(_) if self.is_refresh(id) => {
                self.drop_refresh(id);
            }
            Reply::Held => {
                self.met(Event::Held);
                self.begin_load(id, None);
            }
            Reply::Failing(error) => self.meet_failure(id, error),
            _ => {
                let flight = self.flight_mut(id);
                // Irrelevant while the flight waits. Cleared, so that equivalent states are
                // equal.
                flight.callers.iter_mut().for_each(|caller| caller.joined_before = false);
                flight.step = Step::Waiting;
            }
        }
    }

    fn captures(&mut self, id: FlightId, when: Capture) -> bool {
        let key = self.flight_mut(id).key;
        self.configuration.capture_of(key) == Some(when)
    }

    /// ACQUIRE has found an entry.
    fn found(&mut self, id: FlightId, entry: Entry, tag: Option<TagVersion>) {
        let loads_first = self.configuration.setup.stale == Stale::LoadedFirst;
        let (is_usable, is_refresh) =
            (self.configuration.is_usable(entry, tag), self.is_refresh(id));
        if is_usable && !(entry.is_soft_expired() && (loads_first || is_refresh)) {
            if is_refresh {
                return self.drop_refresh(id);
            }
            self.met(Event::ServedByAcquire);
            let key = self.flight_mut(id).key;
            self.complete(id, Outcome::Found(entry.version), None);
            return self.refresh_if_due(id.process, key, entry);
        }
        let flight = self.flight_mut(id);
        match flight.callers.first_mut() {
            Some(leader) if is_usable => leader.read = ReadResult::SoftExpired(entry),
            Some(leader) => leader.read = ReadResult::Unusable(entry),
            None => flight.refreshes = Some(entry),
        }
        if !is_usable {
            self.met(Event::UnusableEntry);
        }
        self.acquire(id);
    }

    fn is_refresh(&mut self, id: FlightId) -> bool {
        self.flight_mut(id).refreshes.is_some()
    }

    fn load(&mut self, id: FlightId) {
        let key = self.flight_mut(id).key;
        if self.configuration.reads_part(key) {
            return self.ask_for_part(id);
        }
        let version = self.world.source[key];
        if let Step::Loading { loaded, .. } = &mut self.flight_mut(id).step {
            *loaded = Some(version);
        }
    }

    fn load_lagging(&mut self, id: FlightId) {
        self.met(Event::Lagged);
        let key = self.flight_mut(id).key;
        let version = self.world.replica[key];
        if let Step::Loading { loaded, .. } = &mut self.flight_mut(id).step {
            *loaded = Some(version);
        }
    }

    fn return_load(&mut self, id: FlightId) {
        let Step::Loading { lease, loaded: Some(loaded), tag_before } = self.flight_mut(id).step
        else {
            return;
        };
        let capture = self.configuration.capture_of(self.flight_mut(id).key);
        match lease {
            None => self.complete(id, Outcome::Unstored(loaded), None),
            Some(Lease { token, .. }) if capture.is_some_and(|it| it != Capture::BeforeLoad) => {
                let wire = Wire::Sent(Request::CaptureTag);
                self.flight_mut(id).step = Step::CapturingLate { token, loaded, tag_before, wire };
            }
            Some(lease) => self.store(id, lease, loaded),
        }
    }

    /// The server tells the age of the version: whether it is the one of before the load.
    fn captured_late(
        &mut self,
        id: FlightId,
        lease: Lease,
        loaded: Version,
        tag_before: Option<TagVersion>,
    ) {
        let is_older = match self.configuration.capture_of(self.flight_mut(id).key) {
            Some(Capture::AfterLoadIfOlder) => tag_before == Some(lease.tag),
            Some(Capture::AfterLoadIfOlderOrNew) => {
                tag_before.is_none_or(|before| before == lease.tag)
            }
            _ => true,
        };
        if is_older {
            return self.store(id, lease, loaded);
        }
        let is_part = self.configuration.reads_part(self.flight_mut(id).key);
        self.met(if is_part { Event::PartOutdated } else { Event::TagTooYoung });
        self.release(id, lease.token);
        self.complete(id, Outcome::Unstored(loaded), None);
    }

    fn fail_load(&mut self, id: FlightId) {
        let flight = self.flight_mut(id);
        let key = flight.key;
        let Step::Loading { lease, loaded: Some(loaded), .. } = flight.step else { return };
        self.world.left.failed_loads -= 1;
        self.allow_load(key);
        let kept = match self.configuration.rules.failed_load {
            FailedLoad::KeepsLease => lease,
            FailedLoad::ReleasesLease => {
                lease.into_iter().for_each(|lease| self.release(id, lease.token));
                None
            }
        };
        self.fail_with(id, kept, loaded);
    }

    /// Seals the flight, then sends STORE.
    fn store(&mut self, id: FlightId, lease: Lease, loaded: Version) {
        let request = self.store_request_of(id, lease, loaded);
        let flight = self.flight_mut(id);
        flight.open = false;
        flight.step = Step::Storing { lease, loaded, wire: Wire::Sent(request) };
    }

    fn store_request_of(&mut self, id: FlightId, lease: Lease, loaded: Version) -> Request {
        let rules = &self.configuration.rules;
        let flight = &self.world.processes[id.process].flights[id.index];
        let (key, token) = (flight.key, lease.token);
        let entry = self.configuration.entry_of(token, loaded, lease.tag);
        let unfenced = rules.fill != Fill::Fenced
            || flight.refreshes.is_some() && rules.refresh == Refresh::Unfenced;
        let unchanged = flight.previous().filter(|previous| previous.version == loaded);
        if unchanged.is_some() {
            self.met(Event::NotModified);
        }
        match (unchanged, rules.not_modified) {
            (Some(seen), NotModified::ComparesTrailer) => Request::Freshen { key, seen, entry },
            (Some(_), NotModified::Sets) => Request::SetAndUnlock { key, entry },
            _ if unfenced => Request::SetAndUnlock { key, entry },
            _ => Request::Store { key, token, entry },
        }
    }

    fn refused(&mut self, id: FlightId, loaded: Version) {
        self.met(Event::StoreRefused);
        if self.is_refresh(id) {
            self.met(Event::RefreshDropped);
        }
        self.complete(id, Outcome::Unstored(loaded), None);
    }

    fn stored(&mut self, id: FlightId, tag: TagVersion, loaded: Version) {
        let key = self.flight_mut(id).key;
        if self.is_refresh(id) {
            self.met(Event::Refreshed);
        }
        if self.configuration.reads_part(key) {
            self.met(Event::TagInherited);
        }
        self.admit_own_store(id.process, key, Entry::new(loaded, tag));
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
        let entry = Entry::new(loaded, tag);
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
            Step::Rereading { error, .. } => self.complete(id, Outcome::Failed(error), None),
            _ if self.is_refresh(id) => self.drop_refresh(id),
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
