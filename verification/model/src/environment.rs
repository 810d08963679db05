//! Faults around the clients, each as often as the configuration allows.

use crate::action::{Action, Turn, View};
use crate::properties::Event;
use crate::server::{Entry, Key, Request};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A request is executed after its client has timed out or been cancelled.
    ExecuteLate(usize),
    /// A lease expires, at any time, since the model has no clock.
    ExpireLease(Key),
    EvictEntry(Key),
    EvictLease(Key),
    EvictTag,
    /// A plain writer reads the source.
    PlainRead(Key),
    /// A plain writer sets the value that it has read.
    PlainSet(usize),
}

impl View<'_> {
    pub(crate) fn faults(self, actions: &mut Vec<Action>) {
        let world = self.world;
        let mut add = |fault| actions.push(Action::Fault(fault));
        for (index, request) in world.late.iter().enumerate() {
            // One of several equal requests is enough.
            if index == 0 || world.late[index - 1] != *request {
                add(Fault::ExecuteLate(index));
            }
        }
        for key in self.configuration.setup.keys() {
            if self.lease_may_expire(key) {
                add(Fault::ExpireLease(key));
            }
            let slot = world.server.slots[key];
            if world.left.evictions > 0 && slot.entry.is_some() {
                add(Fault::EvictEntry(key));
            }
            if world.left.evictions > 0 && slot.lease.is_some() {
                add(Fault::EvictLease(key));
            }
            if world.left.plain_fills > 0 {
                add(Fault::PlainRead(key));
            }
        }
        if world.left.evictions > 0 && world.server.tag.is_some() {
            add(Fault::EvictTag);
        }
        for index in 0..world.plain_reads.len() {
            add(Fault::PlainSet(index));
        }
    }

    /// A lease without a holder may always expire; one with a live holder at the cost of a
    /// fault.
    fn lease_may_expire(self, key: Key) -> bool {
        let lease = self.world.server.slots[key].lease;
        lease.is_some_and(|token| self.world.left.expiries > 0 || !self.world.is_held(token))
    }
}

impl Turn<'_> {
    pub(crate) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::ExecuteLate(index) => {
                self.met(Event::LateExecution);
                let request = self.world.late.remove(index);
                self.execute(request);
            }
            Fault::ExpireLease(key) => self.expire_lease(key),
            Fault::EvictEntry(key) => {
                self.world.left.evictions -= 1;
                self.world.server.slots[key].entry = None;
            }
            Fault::EvictLease(key) => {
                self.world.left.evictions -= 1;
                self.world.server.slots[key].lease = None;
            }
            Fault::EvictTag => {
                self.world.left.evictions -= 1;
                self.world.server.tag = None;
            }
            Fault::PlainRead(key) => {
                self.world.left.plain_fills -= 1;
                self.world.plain_reads.push((key, self.world.source[key]));
            }
            Fault::PlainSet(index) => {
                let (key, version) = self.world.plain_reads.remove(index);
                self.execute(Request::Set { key, entry: Entry { version, tag: 0, plain: true } });
            }
        }
    }

    fn expire_lease(&mut self, key: Key) {
        let lease = self.world.server.slots[key].lease.take();
        if lease.is_some_and(|token| self.world.is_held(token)) {
            self.world.left.expiries -= 1;
        }
    }
}
