//! The state: the source of the data, the server, the clients, and the remaining faults.

use crate::client::{Process, Writer};
use crate::configurations::{Configuration, Faults};
use crate::entry::{Age, Entry};
use crate::properties::Property;
use crate::request::{Reply, Request};
use crate::server::{Holder, KEYS, Key, PerKey, Server, TagVersion, Token, Version};
use crate::variants::NewVersions;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The newest version of the data that was committed.
    pub(crate) source: PerKey<Version>,
    /// The oldest versions that may answer calls that begin now: the newest version whose
    /// invalidation, or write, has returned.
    pub(crate) promised: PerKey<Version>,
    /// What a replica of the source has reached, where loaders read from one.
    pub(crate) replica: PerKey<Version>,
    pub(crate) server: Server,
    /// The processes, one bit for each, to which changes of a key and of the tag are reported.
    pub(crate) tracked: PerKey<u8>,
    pub(crate) tracked_tag: u8,
    pub(crate) processes: Vec<Process>,
    pub(crate) writers: Vec<Writer>,
    /// Requests without a waiting client. Each is executed at some time, possibly after
    /// everything else. Sorted, so that their order does not distinguish states.
    pub(crate) late: Vec<Request>,
    /// Values that plain writers have read and not yet set.
    pub(crate) plain_reads: Vec<(Key, Version)>,
    /// The faults that may still occur.
    pub(crate) left: Faults,
    /// The number of loads of each key that G1 still allows; not counted where faults cost
    /// loads.
    pub(crate) loads_left: PerKey<u8>,
    /// The property that this state violates. The search does not continue from here.
    pub(crate) broken: Option<Property>,
}

impl World {
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let setup = &configuration.setup;
        Self {
            source: PerKey::default(),
            promised: PerKey::default(),
            replica: PerKey::default(),
            server: Server::default(),
            tracked: PerKey::default(),
            tracked_tag: 0,
            processes: setup.processes.iter().map(|callers| Process::new(*callers)).collect(),
            writers: setup.writers.iter().map(|writer| Writer::new(writer.writes)).collect(),
            late: Vec::new(),
            plain_reads: Vec::new(),
            left: configuration.faults.clone(),
            loads_left: PerKey([u8::from(configuration.counts_loads()); KEYS]),
            broken: None,
        }
    }

    /// Executes a request at the server.
    pub(crate) fn execute(&mut self, configuration: &Configuration, request: Request) -> Reply {
        if configuration.counts_loads() {
            self.allow_loads_after(configuration, request);
        }
        let request = match request {
            Request::InvalidateWithHold { key, .. } => {
                Request::InvalidateWithHold { key, version: self.source[key] }
            }
            Request::StoreWithHold { key, token, entry, .. } => {
                Request::StoreWithHold { key, token, entry, version: self.source[key] }
            }
            request => request,
        };
        let unused = self.unused_tag_version();
        let sets_version = request == Request::CaptureTag && self.server.tag.is_none();
        if sets_version && configuration.rules.new_versions == NewVersions::ForTwoExecutions {
            self.push_late(Request::CaptureTagAgain { version: unused });
        }
        self.server.execute(request, &configuration.rules, unused)
    }

    /// Adds a request that is executed at any later time.
    pub(crate) fn push_late(&mut self, request: Request) {
        let index = self.late.partition_point(|other| *other <= request);
        self.late.insert(index, request);
    }

    /// A lost lease or entry requires one more load.
    fn allow_loads_after(&mut self, configuration: &Configuration, request: Request) {
        match request {
            Request::Soften { key, seen } => {
                let is_same = |entry: Entry| entry.age == Age::Fresh && entry.has_trailer_of(seen);
                self.loads_left[key] += u8::from(self.server.slots[key].entry.is_some_and(is_same));
            }
            Request::Invalidate { key }
            | Request::Take { key, .. }
            | Request::UnlinkLease { key }
            | Request::UnlinkEntry { key } => self.loads_left[key] += 1,
            Request::InvalidateTag => {
                for key in configuration.setup.keys() {
                    self.loads_left[key] += 1;
                }
            }
            _ => {}
        }
    }

    /// Returns an unused token.
    ///
    /// The lowest one: otherwise numbers that are no longer used would distinguish equivalent
    /// states.
    pub(crate) fn unused_token(&self) -> Token {
        let unused = |token: &Token| !self.refers_to(*token);
        (1..=u8::MAX).map(Token).find(unused).unwrap_or(Token::NONE)
    }

    /// Returns the lowest unused tag version.
    fn unused_tag_version(&self) -> TagVersion {
        (1..TagVersion::MAX).find(|tag| !self.refers_to_tag(*tag)).unwrap_or(TagVersion::MAX)
    }

    fn refers_to(&self, token: Token) -> bool {
        self.server.slots.0.iter().any(|slot| slot.lease == Some(Holder::Fill(token)))
            || self.late.iter().any(|request| request.refers_to(token))
            || self.is_held(token)
            || self.knows_fill(token)
    }

    /// Returns `true` if a live client holds the lease of a token, or may hold it.
    pub(crate) fn is_held(&self, token: Token) -> bool {
        self.processes.iter().any(|process| process.refers_to(token))
            || self.writers.iter().any(|writer| writer.token == Some(token))
    }

    /// Returns `true` if an entry that was filled with a token is stored, or known.
    fn knows_fill(&self, token: Token) -> bool {
        let stored = self.server.slots.0.iter().filter_map(|slot| slot.entry);
        let seen = self.writers.iter().filter_map(|writer| writer.seen);
        stored.chain(seen).any(|entry| entry.fill == token)
            || self.processes.iter().any(|process| process.knows_fill(token))
    }

    fn refers_to_tag(&self, tag: TagVersion) -> bool {
        let in_entry = |entry: Option<Entry>| entry.is_some_and(|entry| entry.tag == tag);
        self.server.tag == Some(tag)
            || self.server.slots.0.iter().any(|slot| in_entry(slot.entry))
            || self.late.iter().any(|request| request.refers_to_tag(tag))
            || self.processes.iter().any(|process| process.refers_to_tag(tag))
            || self.writers.iter().any(|writer| writer.tag == tag || in_entry(writer.seen))
    }

    /// Returns `true` if there are active calls, all of which wait for another process's lease,
    /// or hold one until they have others.
    pub(crate) fn has_callers_that_only_wait(&self) -> bool {
        let mut flights = self.processes.iter().flat_map(|process| &process.flights).peekable();
        flights.peek().is_some()
            && flights.all(|flight| flight.is_held_up())
            && self.processes.iter().all(|process| process.missed.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configurations;

    fn world() -> World {
        World::new(&configurations::all()[0])
    }

    #[test]
    fn token_in_a_request_is_used() {
        let mut world = world();
        let key = Key(0);
        assert_eq!(world.unused_token(), Token(1));
        world.server.slots[key].lease = Some(Holder::Fill(Token(1)));
        world.push_late(Request::Release { key, token: Token(2) });
        assert_eq!(world.unused_token(), Token(3));
    }

    #[test]
    fn entry_tag_version_is_used() {
        let mut world = world();
        world.server.tag = Some(1);
        world.server.slots[Key(0)].entry = Some(Entry::new(0, 2));
        world.push_late(Request::CaptureTagAgain { version: 3 });
        assert_eq!(world.unused_tag_version(), 4);
    }

    #[test]
    fn late_requests_are_sorted() {
        let mut world = world();
        let release = |token| Request::Release { key: Key(0), token: Token(token) };
        for token in [2, 1, 2] {
            world.push_late(release(token));
        }
        assert_eq!(world.late, [release(1), release(2), release(2)]);
    }
}
