//! When a router asks for the map, and whom.

use std::time::Duration;

use hotshelf_core::Moment;
use hotshelf_wire::cluster::{Refresh, Router, SlotMap};
use hotshelf_wire::resp::Value;
use hotshelf_wire::{Endpoint, SLOTS};

use super::map::{self, range, some_slots};
use crate::input::Input;

const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A router beside what is known of it.
struct Run {
    router: Router,
    seeds: Vec<Endpoint>,
    now: Moment,
    /// Whom the router has asked, while the answer is still to come.
    asked: Option<Endpoint>,
    doubted: bool,
    /// When the last answer came, or failed to.
    answered: Option<Moment>,
}

/// Lets the input choose what happens to a router.
pub(super) fn happen(mut input: Input<'_>) {
    let seeds: Vec<_> = (0..1 + u16::from(input.small() % 3)).map(|n| node(u8::MAX, n)).collect();
    let mut run = Run {
        router: Router::new(seeds.clone()),
        seeds,
        now: Moment::default(),
        asked: None,
        doubted: true,
        answered: None,
    };
    while let Some(event) = input.byte() {
        match event % 8 {
            0 => run.doubt(),
            1 => run.moved(input.number(), input.small()),
            2 => drop(run.refresh()),
            3 => run.answered(Some(&reply(&mut input))),
            4 => run.answered(None),
            5 => run.interrupted(),
            6 => run.now = run.now + input.millis(),
            _ => run.now = run.now + input.millis() * 20,
        }
    }
    run.asks_everybody_in_the_end();
}

fn node(name: u8, port: u16) -> Endpoint {
    Endpoint::new(format!("n{name}"), port + 1)
}

/// Makes a map of up to three ranges, of which some are none.
fn reply(input: &mut Input<'_>) -> Value {
    let ranges = (0..input.small() % 4).map(|_| {
        let (first, last) = (input.number(), input.number());
        range(first, last, node(input.small() % 4, 0).host(), 1)
    });
    Value::Array(ranges.collect())
}

impl Run {
    fn doubt(&mut self) {
        self.router.doubt();
        self.doubted = true;
    }

    /// The slot has its new owner, and no other slot has changed.
    fn moved(&mut self, slot: u16, name: u8) {
        let before = self.router.map().cloned();
        self.router.moved(slot, node(name, 0));
        self.doubted = true;
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

    /// One request at a time, when there is doubt, and not too soon.
    fn refresh(&mut self) -> Refresh {
        let outcome = self.router.refresh(self.now);
        let may_ask = self.doubted && self.asked.is_none();
        match &outcome {
            Refresh::Ask(node) => {
                assert!(may_ask, "nobody doubts, or somebody asks already");
                let soonest = self.answered.map(|answered| answered + SHORTEST_PAUSE);
                assert!(soonest.is_none_or(|soonest| self.now >= soonest), "too soon");
                assert!(self.nodes().contains(node), "{node} is nobody to ask");
                (self.asked, self.doubted) = (Some(node.clone()), false);
            }
            Refresh::Wait(until) => {
                assert!(may_ask, "nobody doubts, or somebody asks already");
                assert!(*until > self.now, "the time to wait for has come");
                let latest = self.answered.map(|answered| answered + LONGEST_PAUSE);
                assert!(latest.is_some_and(|latest| *until <= latest), "too late");
            }
            Refresh::Rest => assert!(!may_ask, "a doubt is forgotten"),
        }
        outcome
    }

    /// Takes an answer; as only who was told to ask has one.
    fn answered(&mut self, reply: Option<&Value>) {
        let Some(node) = self.asked.take() else { return };
        let read = reply.and_then(|reply| SlotMap::read(reply, &node).ok());
        let before = self.router.map().cloned();
        let outcome = self.router.answered(&node, reply, self.now);
        self.answered = Some(self.now);
        assert_eq!(outcome.is_ok(), read.is_some());
        self.doubted |= read.is_none();
        match &read {
            Some(read) => map::check(read),
            None => assert!(self.router.map() == before.as_ref(), "the old map stays"),
        }
        assert!(read.is_none() || self.router.map().map(|map| &**map) == read.as_ref());
    }

    fn interrupted(&mut self) {
        self.router.interrupted();
        self.doubted |= self.asked.take().is_some();
    }

    fn nodes(&self) -> Vec<Endpoint> {
        let known = self.router.map().into_iter().flat_map(|map| map.primaries()).cloned();
        known.chain(self.seeds.iter().cloned()).collect()
    }

    /// While answers fail to come, all nodes have their turn.
    fn asks_everybody_in_the_end(mut self) {
        self.answered(None);
        self.doubt();
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
        assert!(self.router.has_asked_all());
    }
}
