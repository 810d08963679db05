//! A process: its active calls, and the flights they share.

use super::call::{Caller, Miss};
use super::flight::Flight;
use super::near::Near;
use crate::configurations::Callers;
use crate::server::{TagVersion, Token};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    /// The number of calls that it will still begin.
    pub(crate) calls_left: u8,
    pub(crate) batches_left: u8,
    /// Calls that have read and missed, and not yet joined or opened a flight.
    pub(crate) missed: Vec<Miss>,
    pub(crate) flights: Vec<Flight>,
    /// Its near tier, if it has one.
    pub(crate) near: Option<Near>,
}

impl Process {
    pub(crate) fn new(callers: Callers) -> Self {
        let near = callers.has_near_tier.then(Near::default);
        Self {
            calls_left: callers.calls,
            batches_left: callers.batches,
            missed: Vec::new(),
            flights: Vec::new(),
            near,
        }
    }

    fn callers(&self) -> impl Iterator<Item = &Caller> {
        let waiting = self.flights.iter().flat_map(|flight| &flight.callers);
        self.missed.iter().map(|miss| &miss.caller).chain(waiting)
    }

    /// Returns the number of active calls.
    pub(crate) fn calls_open(&self) -> usize {
        let reads = self.near.iter().flat_map(|near| &near.reads).map(|read| &read.caller);
        let is_call = |caller: &&Caller| !caller.in_batch && caller.part_of.is_none();
        self.callers().chain(reads).filter(is_call).count()
    }

    pub(crate) fn has_open_batch(&self) -> bool {
        self.callers().any(|caller| caller.in_batch)
    }

    pub(crate) fn refers_to(&self, token: Token) -> bool {
        self.flights.iter().any(|flight| flight.refers_to(token))
    }

    pub(crate) fn knows_fill(&self, token: Token) -> bool {
        let seen = self.missed.iter().filter_map(|miss| miss.caller.read.seen());
        seen.into_iter().any(|entry| entry.fill == token)
            || self.flights.iter().any(|flight| flight.knows_fill(token))
    }

    pub(crate) fn refers_to_tag(&self, tag: TagVersion) -> bool {
        let seen_by_miss = |miss: &Miss| miss.caller.read.has_tag(tag);
        self.missed.iter().any(seen_by_miss)
            || self.near.as_ref().is_some_and(|near| near.refers_to_tag(tag))
            || self.flights.iter().any(|flight| flight.refers_to_tag(tag))
    }
}
