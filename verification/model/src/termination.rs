//! No call goes on for ever: the graph of states has no circles, whatever the schedule.
//!
//! Together with the property that no call is left waiting where nothing more can happen,
//! this says that every call ends.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::Model;

use crate::action::{Action, Protocol};
use crate::configurations;
use crate::world::World;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    /// On the way that is being walked.
    Open,
    Done,
}

/// A state on the way, and the steps from it that are still to be walked.
struct Place {
    hash: u64,
    world: World,
    steps: Vec<Action>,
}

impl Place {
    fn new(protocol: &Protocol, world: World) -> Self {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        Self { hash: hasher.finish(), steps: protocol.possible_actions(&world), world }
    }
}

/// Walks all states depth first, and says whether a way comes back to itself.
fn goes_in_circles(protocol: &Protocol) -> bool {
    let mut visits = HashMap::new();
    let mut way: Vec<Place> = Vec::new();
    for world in protocol.init_states() {
        way.push(Place::new(protocol, world));
    }
    while let Some(place) = way.last_mut() {
        visits.entry(place.hash).or_insert(Visit::Open);
        let Some(step) = place.steps.pop() else {
            visits.insert(place.hash, Visit::Done);
            way.pop();
            continue;
        };
        let Some(world) = protocol.next_state(&place.world, step) else { continue };
        let next = Place::new(protocol, world);
        match visits.get(&next.hash) {
            None => way.push(next),
            Some(Visit::Open) => return true,
            Some(Visit::Done) => {}
        }
    }
    false
}

fn assert_ends(name: &str) {
    let mut all = configurations::all().into_iter();
    let configuration = all.find(|one| one.name == name).expect("a configuration of that name");
    assert!(!goes_in_circles(&Protocol::new(configuration)));
}

#[test]
fn callers_that_lead_a_flight_on_come_to_an_end() {
    assert_ends("led-on");
    assert_ends("failed-loads");
}

#[test]
fn heirs_come_to_an_end() {
    assert_ends("hand-over-awaits");
    assert_ends("hand-over-faults");
}

#[test]
fn waiters_come_to_an_end_whatever_goes_wrong() {
    assert_ends("keys-faults");
}
