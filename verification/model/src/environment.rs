//! What goes wrong around the clients, each as often as the configuration's budget says.

use crate::action::{Action, Turn, View};
use crate::properties::Event;
use crate::server::{Entry, Key, Request};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A request whose client has given it up is executed.
    ExecuteLate(usize),
    /// A lease ends: at any time, since the model has no clock.
    ExpireLease(Key),
    EvictEntry(Key),
    EvictLease(Key),
    EvictTag,
    /// A plain writer reads the source.
    PlainRead(Key),
    /// A plain writer sets what it has read.
    PlainSet(usize),
}

impl View<'_> {
    pub(crate) fn faults(self, actions: &mut Vec<Action>) {
        let world = self.world;
        let mut add = |fault| actions.push(Action::Fault(fault));
        for (place, request) in world.late.iter().enumerate() {
            // Of equal ones, one is enough.
            if place == 0 || world.late[place - 1] != *request {
                add(Fault::ExecuteLate(place));
            }
        }
        for key in self.configuration.setup.keys() {
            if self.lease_may_end(key) {
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
        for place in 0..world.plain_reads.len() {
            add(Fault::PlainSet(place));
        }
    }

    /// A lease whose holder is gone always ends; one whose holder lives, at a cost.
    fn lease_may_end(self, key: Key) -> bool {
        let lease = self.world.server.slots[key].lease;
        lease.is_some_and(|token| self.world.left.expiries > 0 || !self.world.is_held(token))
    }
}

impl Turn<'_> {
    pub(crate) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::ExecuteLate(place) => {
                self.met(Event::LateExecution);
                let request = self.world.late.remove(place);
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
            Fault::PlainSet(place) => {
                let (key, version) = self.world.plain_reads.remove(place);
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
