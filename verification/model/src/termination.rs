//! Termination of calls: the graph of states has no cycles.
//!
//! Together with the property that no call is stuck, this means that every call ends under any
//! schedule.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::Model;

use crate::action::{Action, Protocol};
use crate::configurations;
use crate::world::World;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// On the current path.
    Open,
    Done,
}

/// A state on the current path, with the steps that are still to be explored.
struct Frame {
    hash: u64,
    world: World,
    steps: Vec<Action>,
}

impl Frame {
    fn new(protocol: &Protocol, world: World) -> Self {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        Self { hash: hasher.finish(), steps: protocol.possible_actions(&world), world }
    }
}

/// Searches all states depth first, and returns whether there is a cycle.
fn has_cycle(protocol: &Protocol) -> bool {
    let mut visits = HashMap::new();
    let mut path: Vec<Frame> = Vec::new();
    for world in protocol.init_states() {
        path.push(Frame::new(protocol, world));
    }
    while let Some(frame) = path.last_mut() {
        visits.entry(frame.hash).or_insert(Visit::Open);
        let Some(step) = frame.steps.pop() else {
            visits.insert(frame.hash, Visit::Done);
            path.pop();
            continue;
        };
        let Some(world) = protocol.next_state(&frame.world, step) else { continue };
        let next = Frame::new(protocol, world);
        match visits.get(&next.hash) {
            None => path.push(next),
            Some(Visit::Open) => return true,
            Some(Visit::Done) => {}
        }
    }
    false
}

fn assert_ends(name: &str) {
    let mut all = configurations::all().into_iter();
    let configuration = all.find(|one| one.name == name).expect("unknown configuration");
    assert!(!has_cycle(&Protocol::new(configuration)));
}

#[test]
fn callers_that_lead_on_terminate() {
    assert_ends("led-on");
    assert_ends("failed-loads");
}

#[test]
fn successors_terminate() {
    assert_ends("hand-over-awaits");
    assert_ends("hand-over-faults");
}

#[test]
fn waiters_terminate_despite_faults() {
    assert_ends("keys-faults");
}
