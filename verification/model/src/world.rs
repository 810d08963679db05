//! The state: the source of the data, the server, the clients, and what is left to go wrong.

use crate::client::{Process, Writer};
use crate::configurations::{Configuration, Faults};
use crate::properties::Property;
use crate::server::{Entry, KEYS, Key, PerKey, Reply, Request, Server, TagVersion, Token, Version};
use crate::variants::NewVersions;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// The newest version of the data that was committed.
    pub(crate) source: PerKey<Version>,
    /// What calls that begin now must be given at least: the newest version whose
    /// invalidation, or write, has returned.
    pub(crate) promised: PerKey<Version>,
    pub(crate) server: Server,
    pub(crate) processes: Vec<Process>,
    pub(crate) writers: Vec<Writer>,
    /// Requests that nobody waits for any more. Each is executed at some time, or, which
    /// is the same, after everything else. In order, so that it doesn't tell states apart.
    pub(crate) late: Vec<Request>,
    /// What plain writers have read and not yet set.
    pub(crate) plain_reads: Vec<(Key, Version)>,
    /// What may still go wrong.
    pub(crate) left: Faults,
    /// How many more loads of each key G1 allows; not counted where faults cost loads.
    pub(crate) loads_left: PerKey<u8>,
    /// The property that is violated here. The search goes no further.
    pub(crate) broken: Option<Property>,
}

impl World {
    pub(crate) fn new(configuration: &Configuration) -> Self {
        let setup = &configuration.setup;
        Self {
            source: PerKey::default(),
            promised: PerKey::default(),
            server: Server::default(),
            processes: setup.processes.iter().map(|caller| Process::new(caller.calls)).collect(),
            writers: setup.writers.iter().map(|writer| Writer::new(writer.writes)).collect(),
            late: Vec::new(),
            plain_reads: Vec::new(),
            left: configuration.faults.clone(),
            loads_left: PerKey([u8::from(configuration.counts_loads()); KEYS]),
            broken: None,
        }
    }

    /// Executes a request at the server, for a client or for nobody.
    pub(crate) fn execute(&mut self, configuration: &Configuration, request: Request) -> Reply {
        if configuration.counts_loads() {
            self.allow_loads_after(configuration, request);
        }
        let unused = self.unused_tag_version();
        let sets_version = request == Request::CaptureTag && self.server.tag.is_none();
        if sets_version && configuration.rules.new_versions == NewVersions::ForTwoExecutions {
            self.leave_behind(Request::CaptureTagAgain { version: unused });
        }
        self.server.execute(request, &configuration.rules, unused)
    }

    /// Leaves a request behind that is executed at any later time.
    pub(crate) fn leave_behind(&mut self, request: Request) {
        let place = self.late.partition_point(|other| *other <= request);
        self.late.insert(place, request);
    }

    /// Whoever loses its lease, or its entry, makes one more load necessary.
    fn allow_loads_after(&mut self, configuration: &Configuration, request: Request) {
        match request {
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

    /// Gives a token that nobody knows of.
    ///
    /// The lowest one: numbers that were used and forgotten would tell states apart that
    /// are the same.
    pub(crate) fn unused_token(&self) -> Token {
        let unused = |token: &Token| !self.mentions(*token);
        (1..=u8::MAX).map(Token).find(unused).unwrap_or(Token::NONE)
    }

    /// Gives a tag version that nobody knows of, the lowest one too.
    fn unused_tag_version(&self) -> TagVersion {
        (1..TagVersion::MAX).find(|tag| !self.mentions_tag(*tag)).unwrap_or(TagVersion::MAX)
    }

    fn mentions(&self, token: Token) -> bool {
        self.server.slots.0.iter().any(|slot| slot.lease == Some(token))
            || self.late.iter().any(|request| request.mentions(token))
            || self.is_held(token)
    }

    /// Says whether a living client counts on a lease.
    pub(crate) fn is_held(&self, token: Token) -> bool {
        self.processes.iter().any(|process| process.mentions(token))
            || self.writers.iter().any(|writer| writer.token == Some(token))
    }

    fn mentions_tag(&self, tag: TagVersion) -> bool {
        let in_entry = |entry: Option<Entry>| entry.is_some_and(|entry| entry.tag == tag);
        self.server.tag == Some(tag)
            || self.server.slots.0.iter().any(|slot| in_entry(slot.entry))
            || self.late.iter().any(|request| request.mentions_tag(tag))
            || self.processes.iter().any(|process| process.mentions_tag(tag))
            || self.writers.iter().any(|writer| writer.tag == tag)
    }

    /// Says whether there are calls under way, all of which wait for another's lease.
    pub(crate) fn has_callers_that_only_wait(&self) -> bool {
        let mut flights = self.processes.iter().flat_map(|process| &process.flights).peekable();
        flights.peek().is_some()
            && flights.all(|flight| flight.is_waiting())
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
    fn a_token_is_unused_only_if_nobody_can_send_it() {
        let mut world = world();
        let key = Key(0);
        assert_eq!(world.unused_token(), Token(1));
        world.server.slots[key].lease = Some(Token(1));
        world.leave_behind(Request::Release { key, token: Token(2) });
        assert_eq!(world.unused_token(), Token(3));
    }

    #[test]
    fn a_tag_version_is_unused_only_if_no_entry_has_it() {
        let mut world = world();
        world.server.tag = Some(1);
        world.server.slots[Key(0)].entry = Some(Entry { version: 0, tag: 2, plain: false });
        world.leave_behind(Request::CaptureTagAgain { version: 3 });
        assert_eq!(world.unused_tag_version(), 4);
    }

    #[test]
    fn late_requests_stand_in_order() {
        let mut world = world();
        let release = |token| Request::Release { key: Key(0), token: Token(token) };
        for token in [2, 1, 2] {
            world.leave_behind(release(token));
        }
        assert_eq!(world.late, [release(1), release(2), release(2)]);
    }
}
