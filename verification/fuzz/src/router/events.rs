//! When a router fetches the map, and from which node.

use std::time::Duration;

use hotshelf_wire::cluster::{Refresh, Router, SlotMap};
use hotshelf_wire::resp::Value;
use hotshelf_wire::{Endpoint, SLOTS};

use super::map::{self, range, some_slots};
use crate::input::Input;

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A router, and the expected state of it.
struct Run {
    router: Router<Duration>,
    seeds: Vec<Endpoint>,
    /// The time since the beginning.
    now: Duration,
    /// The node that was asked, until its reply arrives.
    asked: Option<Endpoint>,
    stale: bool,
    /// When the last reply arrived, or the request failed.
    answered: Option<Duration>,
}

/// Runs the events that the input chooses.
pub(super) fn happen(mut input: Input<'_>) {
    let seeds: Vec<_> = (0..1 + u16::from(input.small() % 3)).map(|n| node(u8::MAX, n)).collect();
    let mut run = Run {
        router: Router::new(seeds.clone(), false),
        seeds,
        now: Duration::ZERO,
        asked: None,
        stale: true,
        answered: None,
    };
    while let Some(event) = input.byte() {
        match event % 8 {
            0 => run.mark_stale(),
            1 => run.moved(input.number(), input.small()),
            2 => drop(run.refresh()),
            3 => run.answered(Some(&reply(&mut input))),
            4 => run.answered(None),
            5 => run.interrupted(),
            6 => run.now += input.millis(),
            _ => run.now += input.millis() * 20,
        }
    }
    run.asks_all_nodes();
}

fn node(name: u8, port: u16) -> Endpoint {
    Endpoint::new(format!("n{name}"), port + 1)
}

/// Creates a map of up to three ranges, some of them invalid.
fn reply(input: &mut Input<'_>) -> Value {
    let ranges = (0..input.small() % 4).map(|_| {
        let (first, last) = (input.number(), input.number());
        range(first, last, node(input.small() % 4, 0).host(), 1)
    });
    Value::Array(ranges.collect())
}

impl Run {
    fn mark_stale(&mut self) {
        self.router.mark_stale();
        self.stale = true;
    }

    /// The slot has its new owner, and no other slot changes.
    fn moved(&mut self, slot: u16, name: u8) {
        let before = self.router.map().cloned();
        self.router.moved(slot, node(name, 0));
        self.stale = true;
        let Some(before) = before else { return assert!(self.router.map().is_none()) };
        let after = self.router.map().expect("a map stays");
        let owner = node(name, 0);
        let is_there = slot < SLOTS;
        assert!(is_there || after.primaries() == before.primaries(), "{owner} owns no slot");
        assert!(after.owner(slot) == is_there.then_some(&owner), "{slot} moved to {owner}");
        let others = some_slots().chain([slot.wrapping_sub(1), slot.wrapping_add(1)]);
        for other in others.filter(|other| *other != slot) {
            assert_eq!(after.owner(other), before.owner(other), "{other}, when {slot} moved");
        }
        map::check(after);
    }

    /// One request at a time, while the map is stale, and not too soon.
    fn refresh(&mut self) -> Refresh<Duration> {
        let outcome = self.router.refresh(self.now);
        let may_ask = self.stale && self.asked.is_none();
        match &outcome {
            Refresh::Ask(node) => {
                assert!(may_ask, "the map is up to date, or is being fetched");
                let soonest = self.answered.map(|answered| answered + SHORTEST_PAUSE);
                assert!(soonest.is_none_or(|soonest| self.now >= soonest), "too soon");
                assert!(self.nodes().contains(node), "{node} is unknown");
                (self.asked, self.stale) = (Some(node.clone()), false);
            }
            Refresh::Wait(until) => {
                assert!(may_ask, "the map is up to date, or is being fetched");
                assert!(*until > self.now, "the wait is over");
                let latest = self.answered.map(|answered| answered + LONGEST_PAUSE);
                assert!(latest.is_some_and(|latest| *until <= latest), "too late");
            }
            Refresh::Idle => assert!(!may_ask, "a stale map is not fetched"),
        }
        outcome
    }

    /// Reports a reply, if a node was asked.
    fn answered(&mut self, reply: Option<&Value>) {
        let Some(node) = self.asked.take() else { return };
        let read = reply.and_then(|reply| SlotMap::read(reply, &node, false).ok());
        let before = self.router.map().cloned();
        let outcome = self.router.answered(&node, reply, self.now);
        self.answered = Some(self.now);
        assert_eq!(outcome.is_ok(), read.is_some());
        self.stale |= read.is_none();
        match &read {
            Some(read) => map::check(read),
            None => assert!(self.router.map() == before.as_ref(), "the old map stays"),
        }
        assert!(read.is_none() || self.router.map().map(|map| &**map) == read.as_ref());
    }

    fn interrupted(&mut self) {
        self.router.interrupted();
        self.stale |= self.asked.take().is_some();
    }

    fn nodes(&self) -> Vec<Endpoint> {
        let known = self.router.map().into_iter().flat_map(|map| map.primaries()).cloned();
        known.chain(self.seeds.iter().cloned()).collect()
    }

    /// While requests fail, every node gets its turn.
    fn asks_all_nodes(mut self) {
        self.answered(None);
        self.mark_stale();
        let nodes = self.nodes();
        let mut asked = Vec::new();
        for _ in &nodes {
            if let Refresh::Wait(until) = self.refresh() {
                self.now = until;
                self.refresh();
            }
            asked.extend(self.asked.clone());
            self.answered(None);
        }
        assert!(nodes.iter().all(|node| asked.contains(node)), "{asked:?} of {nodes:?}");
        assert!(self.router.all_nodes_failed());
    }
}
