//! A writer: it commits a new version, and then invalidates the old one or stores the new one.
//!
//! A request and its answer are one step: in between the writer does nothing that others could
//! see, and returning earlier is the stricter case. A request that times out may be executed
//! at any later time.

use super::program::{Operation, WriterKind};
use super::scan::Present;
use crate::action::{Action, Turn, View};
use crate::configurations::Tagging;
use crate::entry::Entry;
use crate::properties::Event;
use crate::request::{Reply, Request};
use crate::server::{Key, TagVersion, Token, Version};
use crate::variants::Holding;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writer {
    writes_left: u8,
    /// The number of completed operations of its write; 0 if it is not writing.
    pub(super) done: usize,
    pub(super) key: Key,
    /// The version that it has committed.
    pub(super) version: Version,
    /// The lease that it has taken over.
    pub(crate) token: Option<Token>,
    pub(crate) tag: TagVersion,
    /// The entry that it has read, to soften it.
    pub(crate) seen: Option<Entry>,
    /// Whether its scan is certain to find the lease and the entry.
    pub(super) present: Present,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WriterStep {
    /// A write of this key begins.
    Begin(Key),
    /// The next operation is executed.
    Proceed,
    /// The next operation is sent, and times out.
    TimeOut,
    /// The scan misses a key that was added after it began.
    MissKey,
}

impl Writer {
    pub(crate) const fn new(writes: u8) -> Self {
        let (key, token) = (Key(0), None);
        Self {
            writes_left: writes,
            done: 0,
            key,
            version: 0,
            token,
            tag: 0,
            seen: None,
            present: Present::NOTHING,
        }
    }

    const fn is_writing(&self) -> bool {
        self.done > 0
    }

    /// Returns its next operation.
    pub(crate) fn next(&self, kind: WriterKind) -> Option<Operation> {
        kind.program().get(self.done).copied()
    }

    pub(super) fn end(&mut self) {
        *self = Self::new(self.writes_left);
    }
}

impl View<'_> {
    pub(crate) fn writer_steps(self, actions: &mut Vec<Action>) {
        for (writer, state) in self.world.writers.iter().enumerate() {
            let next = state.next(self.configuration.setup.writers[writer].kind);
            if next == Some(Operation::Commit) && !self.may_commit(writer) {
                continue;
            }
            let mut add = |step| actions.push(Action::Writer { writer, step });
            if !state.is_writing() {
                if state.writes_left > 0 {
                    self.configuration.setup.keys().for_each(|key| add(WriterStep::Begin(key)));
                }
                continue;
            }
            add(WriterStep::Proceed);
            if self.world.left.timeouts > 0 && next.is_some_and(Operation::can_time_out) {
                add(WriterStep::TimeOut);
            }
            if next.is_some_and(|operation| !state.present.is_found_by(operation)) {
                add(WriterStep::MissKey);
            }
        }
    }

    /// The guarantee of an insert holds only if no newer version is committed in the meantime:
    /// where the setup ensures that, other writers delay their commits.
    fn may_commit(self, writer: usize) -> bool {
        let setup = &self.configuration.setup;
        let inserts = |other: usize| {
            setup.writers[other].kind.is_insert() && self.world.writers[other].is_writing()
        };
        let mut others = (0..setup.writers.len()).filter(|other| *other != writer);
        !setup.inserts_are_newest || !others.any(inserts)
    }
}

impl Turn<'_> {
    pub(crate) fn writer(&mut self, writer: usize, step: WriterStep) {
        if let WriterStep::Begin(key) = step {
            let state = &mut self.world.writers[writer];
            state.writes_left -= 1;
            state.key = key;
        }
        let next = self.world.writers[writer].next(self.kind(writer));
        match (step, next) {
            (WriterStep::TimeOut, Some(operation)) => self.operation_times_out(writer, operation),
            (WriterStep::MissKey, Some(_)) => self.miss_key(writer),
            (_, Some(operation)) => self.execute_operation(writer, operation),
            (_, None) => {}
        }
        self.skip_needless_capture(writer);
    }

    fn execute_operation(&mut self, writer: usize, operation: Operation) {
        let state = &mut self.world.writers[writer];
        state.done += 1;
        let key = state.key;
        let request = match operation {
            Operation::Commit => return self.commit(writer),
            Operation::Take => return self.take_lease(writer),
            Operation::Capture => return self.capture_for(writer),
            Operation::Store => return self.store_for(writer),
            Operation::Look => return self.look(writer),
            Operation::Soften => return self.soften(writer),
            Operation::BeginScan => return self.begin_scan(writer),
            Operation::Forget => return self.forget_for(writer, false),
            Operation::Invalidate => self.invalidation(writer),
            Operation::UnlinkLease | Operation::ScanLease => Request::UnlinkLease { key },
            Operation::ScanEntry => Request::UnlinkEntry { key },
            Operation::Set => self.set_request(writer),
        };
        self.execute(request);
        self.return_if_done(writer);
    }

    /// Returns from a write that has completed all operations.
    pub(super) fn return_if_done(&mut self, writer: usize) {
        if self.world.writers[writer].next(self.kind(writer)).is_none() {
            self.promise(writer);
        }
    }

    pub(super) fn kind(&self, writer: usize) -> WriterKind {
        self.configuration.setup.writers[writer].kind
    }

    fn skip_needless_capture(&mut self, writer: usize) {
        let next = self.world.writers[writer].next(self.kind(writer));
        if next == Some(Operation::Capture) && self.configuration.setup.tagging == Tagging::None {
            self.world.writers[writer].done += 1;
        }
    }

    /// Returns `true` if the writer writes all keys at once, as one that invalidates by tag
    /// does.
    fn writes_all_keys(&self, writer: usize) -> bool {
        self.configuration.setup.tagging == Tagging::InvalidatedByTag
            && matches!(self.kind(writer), WriterKind::Invalidate | WriterKind::InvalidateHere)
    }

    fn forget_for(&mut self, writer: usize, has_returned: bool) {
        let key = self.world.writers[writer].key;
        self.forget_own((!self.writes_all_keys(writer)).then_some(key), has_returned);
    }

    fn commit(&mut self, writer: usize) {
        let (all, key) = (self.writes_all_keys(writer), self.world.writers[writer].key);
        for written in self.configuration.setup.keys().filter(|other| all || *other == key) {
            self.world.source[written] += 1;
        }
        self.world.writers[writer].version = self.world.source[key];
    }

    pub(super) fn invalidation(&self, writer: usize) -> Request {
        let Writer { key, version, .. } = self.world.writers[writer];
        if self.writes_all_keys(writer) {
            Request::InvalidateTag
        } else if self.kind(writer).holds() && self.configuration.rules.holding == Holding::Marks {
            Request::InvalidateWithHold { key, version }
        } else {
            Request::Invalidate { key }
        }
    }

    /// Reads the entry that `expire` is about to soften.
    fn look(&mut self, writer: usize) {
        let state = &mut self.world.writers[writer];
        state.seen = self.world.server.slots[state.key].entry;
        if state.seen.is_none() {
            state.end();
        }
    }

    fn soften(&mut self, writer: usize) {
        let Writer { key, seen, .. } = self.world.writers[writer];
        self.world.writers[writer].end();
        match seen.map(|seen| self.execute(Request::Soften { key, seen })) {
            Some(Reply::Done) => self.met(Event::Softened),
            _ => self.met(Event::SoftenRefused),
        }
    }

    /// Returns from a write: later calls must see it.
    pub(super) fn promise(&mut self, writer: usize) {
        let Writer { key, version, .. } = self.world.writers[writer];
        let all = self.writes_all_keys(writer);
        let is_here = self.kind(writer) == WriterKind::InvalidateHere;
        if is_here {
            self.forget_for(writer, true);
        }
        // Without hold, a writer can promise nothing of loaders that read from a replica.
        let promises = !self.configuration.setup.lags || self.kind(writer).holds();
        let keys = self.configuration.setup.keys().filter(|_| promises);
        for written in keys.filter(|other| all || *other == key) {
            if is_here {
                self.own_write_returned(written, version);
            }
            let promised = &mut self.world.promised[written];
            *promised = version.max(*promised);
        }
        self.world.writers[writer].end();
    }
}
