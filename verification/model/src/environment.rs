//! Faults around the clients, each as often as the configuration allows.

use crate::action::{Action, Turn, View};
use crate::entry::{Age, Entry};
use crate::properties::Event;
use crate::request::Request;
use crate::server::{Holder, Key};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// A request is executed after its client has timed out or been cancelled.
    ExecuteLate(usize),
    /// A lease expires, at any time, since the model has no clock.
    ExpireLease(Key),
    /// An entry becomes soft-expired.
    SoftExpire(Key),
    /// The replica of the source applies a write.
    CatchUp(Key),
    EvictEntry(Key),
    LoseEntry(Key),
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
            if self.configuration.setup.lags && world.replica[key] < world.source[key] {
                add(Fault::CatchUp(key));
            }
            let is_fresh = slot.entry.is_some_and(|entry| entry.age == Age::Fresh);
            if world.left.soft_expiries > 0 && is_fresh {
                add(Fault::SoftExpire(key));
            }
            if world.left.evictions > 0 && slot.entry.is_some() {
                add(Fault::EvictEntry(key));
            }
            if world.left.lost_entries > 0 && slot.entry.is_some() {
                add(Fault::LoseEntry(key));
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
    /// fault. A hold outlasts the lag of the replica.
    fn lease_may_expire(self, key: Key) -> bool {
        match self.world.server.slots[key].lease {
            None => false,
            Some(Holder::Fill(token)) => self.world.left.expiries > 0 || !self.world.is_held(token),
            Some(Holder::Hold(version)) => self.world.replica[key] >= version,
            Some(Holder::Failure(_)) => true,
        }
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
            Fault::SoftExpire(key) => {
                self.world.left.soft_expiries -= 1;
                let entry = &mut self.world.server.slots[key].entry;
                entry.iter_mut().for_each(|entry| entry.age = Age::Outdated);
                self.allow_load(key);
            }
            Fault::CatchUp(key) => self.world.replica[key] += 1,
            Fault::EvictEntry(key) => {
                self.world.left.evictions -= 1;
                self.world.server.slots[key].entry = None;
            }
            Fault::LoseEntry(key) => {
                self.world.left.lost_entries -= 1;
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
                self.execute(Request::Set { key, entry: Entry::plain(version) });
            }
        }
    }

    fn expire_lease(&mut self, key: Key) {
        let lease = self.world.server.slots[key].lease.take();
        if let Some(Holder::Fill(token)) = lease
            && self.world.is_held(token)
        {
            self.world.left.expiries -= 1;
        }
    }
}
