//! When to ask for the map of slots, and whom.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::Moment;

use super::{NoMap, SlotMap};
use crate::endpoint::Endpoint;
use crate::resp::Value;

/// At least so long lies between two requests for the map. It doubles with each round of
/// failures, and with each map that is the old one again, as it is while a failover is
/// still to come.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE_BETWEEN_REPEATS: Duration = Duration::from_millis(400);

/// A client's map of a Cluster.
///
/// It asks for the map when a node, or a lost connection, gives reason to doubt it: one
/// request at a time, however many doubts there are, and no two in quick succession.
#[derive(Debug)]
pub struct Router {
    seeds: Vec<Endpoint>,
    map: Option<Arc<SlotMap>>,
    doubted: bool,
    asking: bool,
    /// When the map may be asked for next.
    not_before: Moment,
    /// How many requests have failed in a row.
    failures: u32,
    /// How many in a row have brought the same map again.
    repeats: u32,
    /// Which of the map's nodes is asked first.
    turn: usize,
}

/// What to do about the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Ask this node now, and tell the outcome by [`Router::answered`].
    Ask(Endpoint),
    /// Look again at this time.
    Wait(Moment),
    /// Nothing: the map is good, or is being asked for.
    Rest,
}

impl Router {
    /// Makes a router that knows nothing but where to ask first.
    #[must_use]
    pub fn new(seeds: Vec<Endpoint>) -> Self {
        let (map, not_before) = (None, Moment::default());
        let (failures, repeats, turn) = (0, 0, 0);
        Self { seeds, map, doubted: true, asking: false, not_before, failures, repeats, turn }
    }

    /// Gives the map, once there is one.
    #[must_use]
    pub fn map(&self) -> Option<&Arc<SlotMap>> {
        self.map.as_ref()
    }

    /// Takes note that a slot has another owner, and doubts the rest of the map.
    pub fn moved(&mut self, slot: u16, owner: Endpoint) {
        if let Some(map) = &mut self.map
            && map.owner(slot) != Some(&owner)
        {
            Arc::make_mut(map).moved(slot, owner);
        }
        self.doubted = true;
    }

    /// Takes note that the map may be old.
    pub fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Says whether to ask for the map, and whom. Each failure, and each map that is the old
    /// one again, makes it the next node's turn: one that is cut off from the others tells
    /// what once was. Seeds have a turn, after the nodes of the map, while requests fail.
    pub fn refresh(&mut self, now: Moment) -> Refresh {
        if !self.doubted || self.asking {
            return Refresh::Rest;
        }
        if now < self.not_before {
            return Refresh::Wait(self.not_before);
        }
        let primaries = self.map.as_ref().map_or(&[][..], |map| map.primaries());
        let next = self.failures as usize % self.nodes().max(1);
        let node = match next.checked_sub(primaries.len()) {
            None => primaries.get(self.turn.wrapping_add(next) % primaries.len()),
            Some(next) => self.seeds.get(next),
        };
        match node {
            Some(node) => {
                self.asking = true;
                self.doubted = false;
                Refresh::Ask(node.clone())
            }
            None => Refresh::Rest,
        }
    }

    /// Says whether all nodes were asked in vain since one has answered.
    #[must_use]
    pub fn has_asked_all(&self) -> bool {
        self.failures as usize >= self.nodes()
    }

    /// Takes note that whoever was to ask for the map won't.
    pub fn interrupted(&mut self) {
        self.doubted |= self.asking;
        self.asking = false;
    }

    fn nodes(&self) -> usize {
        self.seeds.len() + self.map.iter().map(|map| map.primaries().len()).sum::<usize>()
    }

    /// Takes the outcome of a request for the map: the reply that `node` gave, if it did.
    ///
    /// # Errors
    /// If that is no map. The old one stays, and another node's turn comes.
    pub fn answered(
        &mut self,
        node: &Endpoint,
        reply: Option<&Value>,
        now: Moment,
    ) -> Result<(), NoMap> {
        self.asking = false;
        let map = reply.ok_or(NoMap).and_then(|reply| SlotMap::read(reply, node));
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
            Err(NoMap) => {
                self.failures = self.failures.saturating_add(1);
                self.doubted = true;
                (self.pause_after_failure(), Err(NoMap))
            }
        };
        self.not_before = now + pause;
        outcome
    }

    /// One round over all nodes goes quickly, the next ones slower and slower.
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

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    fn node(name: &str) -> Endpoint {
        Endpoint::new(name, 1)
    }

    fn reply() -> Value {
        value("*2|*3|:0|:8191|*2|$1|a|:1|*3|:8192|:16383|*2|$1|b|:1|")
    }

    fn informed() -> Router {
        let mut router = Router::new(vec![node("a")]);
        assert_eq!(router.refresh(at(0)), Refresh::Ask(node("a")));
        router.answered(&node("a"), Some(&reply()), at(1)).unwrap();
        router
    }

    #[test]
    fn the_map_is_asked_for_once_however_many_doubt_it() {
        let mut router = informed();
        assert_eq!(router.refresh(at(2)), Refresh::Rest);
        router.moved(7, node("b"));
        router.doubt();
        assert_eq!(router.map().unwrap().owner(7), Some(&node("b")));
        assert_eq!(router.refresh(at(2)), Refresh::Wait(at(51)));
        assert_eq!(router.refresh(at(51)), Refresh::Ask(node("a")));
        router.doubt();
        assert_eq!(router.refresh(at(200)), Refresh::Rest, "one request at a time");
        router.answered(&node("a"), Some(&reply()), at(201)).unwrap();
        assert_eq!(router.refresh(at(300)), Refresh::Ask(node("a")), "a doubt that came since");
    }

    #[test]
    fn a_map_that_stays_the_same_is_asked_for_more_and_more_rarely() {
        let mut router = informed();
        let mut now = at(1);
        let (mut pauses, mut asked) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            router.doubt();
            let Refresh::Wait(until) = router.refresh(now) else { panic!("it is too early") };
            pauses.push(until.since(now).as_millis());
            now = until;
            let Refresh::Ask(node) = router.refresh(now) else { panic!("it is time") };
            router.answered(&node, Some(&reply()), now).unwrap();
            asked.push(node.host().to_owned());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 400]);
        assert_eq!(asked, ["a", "b", "a", "b", "a"], "the first may be cut off from the others");
    }

    #[test]
    fn a_node_that_fails_is_followed_by_the_next() {
        let mut router = informed();
        router.doubt();
        let mut now = at(100);
        let mut asked = Vec::new();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            let node = loop {
                match router.refresh(now) {
                    Refresh::Ask(node) => break node,
                    Refresh::Wait(until) => {
                        pauses.push(until.since(now));
                        now = until;
                    }
                    Refresh::Rest => panic!("the map is still doubted"),
                }
            };
            assert_eq!(router.answered(&node, None, now), Err(NoMap));
            asked.push(node.host().to_owned());
        }
        assert_eq!(asked[..4], ["a", "b", "a", "a"], "the map's nodes, then the seed, again");
        assert!(pauses.iter().all(|pause| (SHORTEST_PAUSE..=LONGEST_PAUSE).contains(pause)));
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        assert!(router.map().is_some(), "the old map stays");
    }
}
