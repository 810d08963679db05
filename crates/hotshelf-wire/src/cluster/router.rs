//! When to fetch the slot map, and from which node.

use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

use super::{InvalidSlotMap, SlotMap};
use crate::endpoint::Endpoint;
use crate::resp::Value;

/// The shortest pause between two requests for the map. It doubles with each round of
/// failures, and with each reply that contains the same map, as is usual before a failover.
///
/// This is not the jittered back-off of reconnects: the first round asks every node at the
/// shortest pause, and an unchanged map has a bound of its own. Both counters are part of the
/// router's state, and the pauses are pure functions of them.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE_BETWEEN_REPEATS: Duration = Duration::from_millis(400);

/// The number of nodes that are asked in addition to one.
const WITNESSES: usize = 2;

/// A client's map of a Cluster.
///
/// The map is fetched again once a redirection or a lost connection has marked it as stale:
/// one request at a time, and with a pause in between.
///
/// `T` is the type of instants.
#[derive(Debug)]
pub struct Router<T> {
    seeds: Vec<Endpoint>,
    /// Whether connections use TLS.
    tls: bool,
    map: Option<Arc<SlotMap>>,
    stale: bool,
    fetching: bool,
    /// When the map may be fetched next; `None` before the first reply.
    not_before: Option<T>,
    /// The number of requests in a row that have failed.
    failures: u32,
    /// The number of replies in a row with the same map.
    repeats: u32,
    /// The index of the first of the map's nodes to ask.
    turn: usize,
}

/// The next step of keeping the map up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh<T> {
    /// Request the map from this node, and report the outcome with [`Router::answered`].
    Ask(Endpoint),
    /// Call [`Router::refresh`] again at this time.
    Wait(T),
    /// Nothing: the map is up to date, or is being fetched.
    Idle,
}

impl<T: Copy + Ord + Add<Duration, Output = T>> Router<T> {
    /// Creates a router that knows only its seed nodes. `tls` tells whether connections use TLS.
    #[must_use]
    pub fn new(seeds: Vec<Endpoint>, tls: bool) -> Self {
        let (map, not_before) = (None, None);
        let (failures, repeats, turn) = (0, 0, 0);
        Self { seeds, tls, map, stale: true, fetching: false, not_before, failures, repeats, turn }
    }

    /// Returns other nodes to ask together with this one: a node that is cut off from the others
    /// reports an outdated map.
    #[must_use]
    pub fn witnesses(&self, node: &Endpoint) -> Vec<Endpoint> {
        let primaries = self.map.iter().flat_map(|map| map.primaries());
        let others = primaries.chain(&self.seeds).filter(|other| *other != node);
        let mut witnesses: Vec<Endpoint> = Vec::with_capacity(WITNESSES);
        for other in others {
            if witnesses.len() < WITNESSES && !witnesses.contains(other) {
                witnesses.push(other.clone());
            }
        }
        witnesses
    }

    /// Reads a node's reply to the request for the map.
    ///
    /// # Errors
    /// If it is not a valid map.
    pub fn read(&self, reply: &Value, node: &Endpoint) -> Result<SlotMap, InvalidSlotMap> {
        SlotMap::read(reply, node, self.tls)
    }

    /// Returns the map; `None` before the first valid reply.
    #[must_use]
    pub fn map(&self) -> Option<&Arc<SlotMap>> {
        self.map.as_ref()
    }

    /// Records the new owner of a slot, and marks the rest of the map as stale.
    pub fn moved(&mut self, slot: u16, owner: Endpoint) {
        if let Some(map) = &mut self.map
            && map.owner(slot) != Some(&owner)
        {
            Arc::make_mut(map).moved(slot, owner);
        }
        self.stale = true;
    }

    /// Marks the map as stale.
    pub fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Decides whether to fetch the map, and from which node.
    ///
    /// After each failure, and after each reply with the same map, the next node is asked: a
    /// node that is cut off from the others reports an outdated map. While requests fail, the
    /// seeds are asked as well, after the nodes of the map.
    pub fn refresh(&mut self, now: T) -> Refresh<T> {
        if !self.stale || self.fetching {
            return Refresh::Idle;
        }
        if let Some(not_before) = self.not_before.filter(|not_before| now < *not_before) {
            return Refresh::Wait(not_before);
        }
        let primaries = self.map.as_ref().map_or(&[][..], |map| map.primaries());
        let next = self.failures as usize % self.nodes().max(1);
        let node = match next.checked_sub(primaries.len()) {
            None => primaries.get(self.turn.wrapping_add(next) % primaries.len()),
            Some(next) => self.seeds.get(next),
        };
        match node {
            Some(node) => {
                self.fetching = true;
                self.stale = false;
                Refresh::Ask(node.clone())
            }
            None => Refresh::Idle,
        }
    }

    /// Returns `true` if all nodes have failed since the last valid reply.
    #[must_use]
    pub fn all_nodes_failed(&self) -> bool {
        self.failures as usize >= self.nodes()
    }

    /// Records that the request for the map was abandoned.
    pub fn interrupted(&mut self) {
        self.stale |= self.fetching;
        self.fetching = false;
    }

    fn nodes(&self) -> usize {
        self.seeds.len() + self.map.iter().map(|map| map.primaries().len()).sum::<usize>()
    }

    /// Records the outcome of a request for the map: the reply of `node`, if there was one.
    ///
    /// # Errors
    /// If the reply is not a valid map. The old map is kept, and another node is asked next.
    pub fn answered(
        &mut self,
        node: &Endpoint,
        reply: Option<&Value>,
        now: T,
    ) -> Result<(), InvalidSlotMap> {
        self.fetching = false;
        let map = reply.ok_or(InvalidSlotMap).and_then(|reply| self.read(reply, node));
        let (pause, outcome) = match map {
            Ok(map) => {
                let same = self.map.as_deref() == Some(&map);
                self.failures = 0;
                self.repeats = if same { (self.repeats + 1).min(10) } else { 0 };
                self.turn = if same { self.turn.wrapping_add(1) } else { 0 };
                self.map = Some(Arc::new(map));
                let pause = SHORTEST_PAUSE * 2_u32.pow(self.repeats);
                (pause.min(LONGEST_PAUSE_BETWEEN_REPEATS), Ok(()))
            }
            Err(InvalidSlotMap) => {
                self.failures = self.failures.saturating_add(1);
                self.stale = true;
                (self.pause_after_failure(), Err(InvalidSlotMap))
            }
        };
        self.not_before = Some(now + pause);
        outcome
    }

    /// Returns the pause after a failure: short in the first round over all nodes, then
    /// longer.
    fn pause_after_failure(&self) -> Duration {
        let nodes = u32::try_from(self.nodes()).unwrap_or(u32::MAX).max(1);
        let rounds = (self.failures / nodes).min(10);
        (SHORTEST_PAUSE * 2_u32.pow(rounds)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::tests::value;
    use super::*;

    /// The time since the test began.
    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn node(name: &str) -> Endpoint {
        Endpoint::new(name, 1)
    }

    fn reply() -> Value {
        value("*2|*3|:0|:8191|*2|$1|a|:1|*3|:8192|:16383|*2|$1|b|:1|")
    }

    fn informed() -> Router<Duration> {
        let mut router = Router::new(vec![node("a")], false);
        assert_eq!(router.refresh(at(0)), Refresh::Ask(node("a")));
        router.answered(&node("a"), Some(&reply()), at(1)).unwrap();
        router
    }

    #[test]
    fn other_nodes_are_witnesses() {
        let router = informed();
        assert_eq!(router.witnesses(&node("a")), [node("b")]);
        assert_eq!(router.witnesses(&node("c")), [node("a"), node("b")]);
    }

    #[test]
    fn concurrent_stale_marks_cause_one_request() {
        let mut router = informed();
        assert_eq!(router.refresh(at(2)), Refresh::Idle);
        router.moved(7, node("b"));
        router.mark_stale();
        assert_eq!(router.map().unwrap().owner(7), Some(&node("b")));
        assert_eq!(router.refresh(at(2)), Refresh::Wait(at(51)));
        assert_eq!(router.refresh(at(51)), Refresh::Ask(node("a")));
        router.mark_stale();
        assert_eq!(router.refresh(at(200)), Refresh::Idle, "one request at a time");
        router.answered(&node("a"), Some(&reply()), at(201)).unwrap();
        assert_eq!(router.refresh(at(300)), Refresh::Ask(node("a")), "marked stale since");
    }

    #[test]
    fn unchanged_map_is_fetched_less_often() {
        let mut router = informed();
        let mut now = at(1);
        let (mut pauses, mut asked) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            router.mark_stale();
            let Refresh::Wait(until) = router.refresh(now) else { panic!("it is too early") };
            pauses.push((until - now).as_millis());
            now = until;
            let Refresh::Ask(node) = router.refresh(now) else { panic!("it is time") };
            router.answered(&node, Some(&reply()), now).unwrap();
            asked.push(node.host().to_owned());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 400]);
        assert_eq!(asked, ["a", "b", "a", "b", "a"], "the first may be cut off from the others");
    }

    #[test]
    fn failures_move_on_to_next_node() {
        let mut router = informed();
        router.mark_stale();
        let mut now = at(100);
        let mut asked = Vec::new();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            let node = loop {
                match router.refresh(now) {
                    Refresh::Ask(node) => break node,
                    Refresh::Wait(until) => {
                        pauses.push(until - now);
                        now = until;
                    }
                    Refresh::Idle => panic!("the map is still stale"),
                }
            };
            assert_eq!(router.answered(&node, None, now), Err(InvalidSlotMap));
            asked.push(node.host().to_owned());
        }
        assert_eq!(asked[..4], ["a", "b", "a", "a"], "the map's nodes, then the seed, then again");
        assert!(pauses.iter().all(|pause| (SHORTEST_PAUSE..=LONGEST_PAUSE).contains(pause)));
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        assert!(router.map().is_some(), "the old map stays");
    }
}
