//! Writers that store a value: insert, write-through and the plain insert.

use super::program::{Operation, WriterKind};
use super::writer::Writer;
use crate::action::Turn;
use crate::entry::Entry;
use crate::properties::Event;
use crate::request::{Reply, Request};
use crate::server::Token;
use crate::variants::WriterStore;

impl Turn<'_> {
    pub(super) fn take_lease(&mut self, writer: usize) {
        let token = self.world.unused_token();
        let key = self.world.writers[writer].key;
        match self.execute(Request::Take { key, token }) {
            Reply::Held => self.met(Event::Held),
            _ => self.world.writers[writer].token = Some(token),
        }
    }

    pub(super) fn capture_for(&mut self, writer: usize) {
        if let Reply::Tag(Some(tag)) = self.execute(Request::CaptureTag) {
            self.world.writers[writer].tag = tag;
        }
    }

    /// Stores with the token, if there is one.
    pub(super) fn store_for(&mut self, writer: usize) {
        let request = self.store_request(writer);
        self.world.writers[writer].token = None;
        match request.map(|request| self.execute(request)) {
            Some(Reply::Stored) => {
                self.met(Event::WriterStored);
                self.promise(writer);
            }
            Some(_) => {
                self.met(Event::WriterRefused);
                self.abandon_store(writer);
            }
            // A hold, or an unknown answer to TAKE.
            None if self.kind(writer) == WriterKind::InsertWithHold => {}
            None => self.abandon_store(writer),
        }
    }

    pub(super) fn set_request(&self, writer: usize) -> Request {
        Request::Set { key: self.world.writers[writer].key, entry: self.entry(writer) }
    }

    fn store_request(&self, writer: usize) -> Option<Request> {
        let Writer { key, token, .. } = self.world.writers[writer];
        let entry = self.entry(writer);
        let marks = self.kind(writer).holds()
            && self.configuration.rules.writer_store == WriterStore::LeavesMark;
        token.map(|token| match marks {
            true => Request::StoreWithHold { key, token, entry, version: entry.version },
            false => Request::Store { key, token, entry },
        })
    }

    fn entry(&self, writer: usize) -> Entry {
        let Writer { version, tag, token, .. } = self.world.writers[writer];
        self.configuration.entry_of(token.unwrap_or(Token::NONE), version, tag)
    }

    /// Handles a STORE with an unknown or negative outcome: an insert ends and promises
    /// nothing, a write-through continues with its invalidation.
    fn abandon_store(&mut self, writer: usize) {
        if matches!(self.kind(writer), WriterKind::Insert | WriterKind::InsertWithHold) {
            self.world.writers[writer].end();
        }
    }

    pub(super) fn operation_times_out(&mut self, writer: usize, operation: Operation) {
        self.world.left.timeouts -= 1;
        match operation {
            Operation::Take => self.take_times_out(writer),
            Operation::Store => self.store_times_out(writer),
            Operation::Set => {
                let request = self.set_request(writer);
                self.world.push_late(request);
                self.world.writers[writer].end();
            }
            // An invalidation is sent again until it is answered. The others do not time out.
            _ => {
                let request = self.invalidation(writer);
                self.world.push_late(request);
            }
        }
    }

    /// Continues without a token.
    fn take_times_out(&mut self, writer: usize) {
        let token = self.world.unused_token();
        let key = self.world.writers[writer].key;
        self.world.writers[writer].done += 1;
        self.world.push_late(Request::Take { key, token });
        self.world.push_late(Request::Release { key, token });
    }

    fn store_times_out(&mut self, writer: usize) {
        let request = self.store_request(writer);
        let state = &mut self.world.writers[writer];
        state.done += 1;
        let (key, token) = (state.key, state.token.take());
        request.into_iter().for_each(|request| self.world.push_late(request));
        if let Some(token) = token {
            self.world.push_late(Request::Release { key, token });
        }
        self.abandon_store(writer);
    }
}
