//! The near tier of a process: entries in its memory, in front of the server.
//!
//! Reads go over a tracked connection. Their replies and the server's pushes travel in two
//! queues, of which either may be faster. A near hit reflects at least what had returned when
//! the last answered ping was sent. Where the server broadcasts its reports, they leave at the
//! end of its turn, behind the replies: then the ping before the last one counts.

use super::call::{Caller, ReadResult};
use crate::action::{Action, Turn, View};
use crate::entry::Entry;
use crate::properties::{Event, Property};
use crate::server::{Key, PerKey, Server, TagVersion, Version};
use crate::variants::{Admission, Flush, Forgetting, TokenCheck, Vouching};
use crate::world::World;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Near {
    held: PerKey<Option<Held>>,
    /// The version of the tag, if it is known.
    tag: Option<TagVersion>,
    pub(super) reads: Vec<Read>,
    pushes: Vec<Push>,
    is_lost: bool,
    ping: Option<Ping>,
    /// Reports of a server that broadcasts them, which leave at the end of its turn.
    turn: Vec<Push>,
    /// What had returned when the last answered ping was sent.
    last: PerKey<Version>,
    /// What the entries are known to reflect.
    as_of: PerKey<Version>,
    /// What writers of this process have returned.
    own: PerKey<Version>,
    /// The newest token that was presented to this process, named by its version.
    presented: PerKey<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Held {
    entry: Entry,
    /// The newest token that had been presented when its read was sent.
    presented: Version,
}

/// A read of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Read {
    key: Key,
    pub(super) caller: Caller,
    presented: Version,
    /// Whether nothing was reported about the key, or the tag, since the read was sent.
    key_is_clean: bool,
    tag_is_clean: bool,
    reply: Option<Found>,
}

/// What a read has found: the entry, and the tag's version.
type Found = (Option<Entry>, Option<TagVersion>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Push {
    Key(Key),
    Tag,
    /// The answer to the ping.
    Pong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ping {
    returned: PerKey<Version>,
    is_executed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NearStep {
    /// A call that presents the token of the newest invalidation begins.
    BeginWithToken(Key),
    /// The server executes a read.
    Execute(usize),
    /// A reply arrives.
    Deliver(usize),
    DeliverPush,
    /// The server ends a turn: it sends what it has to report.
    EndTurn,
    Ping,
    ExecutePing,
    /// The connection is lost, with all that is in flight.
    Lose,
    Reconnect,
}

impl Near {
    pub(super) fn refers_to_tag(&self, tag: TagVersion) -> bool {
        let in_entry = |entry: Option<Entry>| entry.is_some_and(|entry| entry.tag == tag);
        let in_read = |read: &Read| {
            read.reply.is_some_and(|(entry, version)| in_entry(entry) || version == Some(tag))
        };
        self.tag == Some(tag)
            || self.held.0.iter().any(|held| in_entry(held.map(|held| held.entry)))
            || self.reads.iter().any(in_read)
    }

    fn end_turn(&mut self) {
        self.pushes.append(&mut self.turn);
    }

    fn forget_key(&mut self, key: Key) {
        self.held[key] = None;
        for read in self.reads.iter_mut().filter(|read| read.key == key) {
            read.key_is_clean = false;
        }
    }

    fn forget_tag(&mut self) {
        self.tag = None;
        self.reads.iter_mut().for_each(|read| read.tag_is_clean = false);
    }
}

impl View<'_> {
    pub(crate) fn near_steps(self, actions: &mut Vec<Action>) {
        let setup = &self.configuration.setup;
        for (process, state) in self.world.processes.iter().enumerate() {
            let Some(near) = &state.near else { continue };
            let mut add = |step| actions.push(Action::Near { process, step });
            let may_begin =
                state.calls_left > 0 && state.calls_open() < setup.processes[process].at_once;
            if may_begin && setup.has_tokens {
                let told = setup.keys().filter(|key| self.world.promised[*key] > 0);
                told.for_each(|key| add(NearStep::BeginWithToken(key)));
            }
            for (index, read) in near.reads.iter().enumerate() {
                let step = if read.reply.is_some() { NearStep::Deliver } else { NearStep::Execute };
                add(step(index));
            }
            if !near.pushes.is_empty() {
                add(NearStep::DeliverPush);
            }
            if !near.turn.is_empty() {
                add(NearStep::EndTurn);
            }
            match near.ping {
                None if self.world.left.pings > 0 && !near.is_lost => add(NearStep::Ping),
                Some(Ping { is_executed: false, .. }) => add(NearStep::ExecutePing),
                _ => {}
            }
            if near.is_lost {
                add(NearStep::Reconnect);
            } else if self.world.left.lost_links > 0 {
                add(NearStep::Lose);
            }
        }
    }
}

impl Turn<'_> {
    pub(crate) fn near(&mut self, process: usize, step: NearStep) {
        match step {
            NearStep::BeginWithToken(key) => {
                let token = self.world.promised[key];
                let near = self.near_mut(process);
                near.presented[key] = near.presented[key].max(token);
                self.world.processes[process].calls_left -= 1;
                if self.near_hit(process, key, Some(token)).is_none() {
                    let caller = self.new_caller(key);
                    self.send_read(process, key, caller);
                }
            }
            NearStep::Execute(index) => self.execute_read(process, index),
            NearStep::Deliver(index) => self.deliver_read(process, index),
            NearStep::DeliverPush => self.deliver_push(process),
            NearStep::EndTurn => self.near_mut(process).end_turn(),
            NearStep::Ping => {
                self.world.left.pings -= 1;
                let returned = self.world.promised;
                self.near_mut(process).ping = Some(Ping { returned, is_executed: false });
            }
            NearStep::ExecutePing => {
                let near = self.near_mut(process);
                near.pushes.push(Push::Pong);
                near.ping.iter_mut().for_each(|ping| ping.is_executed = true);
            }
            NearStep::Lose => self.lose_link(process),
            NearStep::Reconnect => {
                let flush = self.configuration.rules.flush;
                let near = self.near_mut(process);
                near.is_lost = false;
                if flush == Flush::OnReconnect {
                    (near.held, near.tag) = (PerKey::default(), None);
                }
            }
        }
    }

    fn near_mut(&mut self, process: usize) -> &mut Near {
        self.world.processes[process].near.get_or_insert_default()
    }

    /// Answers a call that begins from the near tier. Returns the entry, or `None` if it can't.
    pub(super) fn near_hit(
        &mut self,
        process: usize,
        key: Key,
        token: Option<Version>,
    ) -> Option<Entry> {
        let (configuration, rules) = (self.configuration, &self.configuration.rules);
        let near = self.world.processes[process].near.as_ref()?;
        let Held { entry, presented } = near.held[key]?;
        let is_told = token.is_none_or(|token| presented >= token);
        if !configuration.is_usable(entry, near.tag)
            || !(is_told || rules.token_check == TokenCheck::Ignored)
        {
            return None;
        }
        let (as_of, own) = (near.as_of[key], near.own[key]);
        self.met(Event::NearHit);
        self.answer(entry.version, as_of, Property::NearBound);
        self.answer(entry.version, own, Property::OwnWrites);
        self.answer(entry.version, token.unwrap_or(0), Property::Tokens);
        Some(entry)
    }

    /// Sends the read of a call that begins. Over a lost connection it fails.
    pub(super) fn send_read(&mut self, process: usize, key: Key, caller: Caller) {
        let Some(near) = &mut self.world.processes[process].near else { return };
        let presented = near.presented[key];
        let read =
            Read { key, caller, presented, key_is_clean: true, tag_is_clean: true, reply: None };
        if near.is_lost {
            self.read_missed(process, read, ReadResult::Unreadable);
        } else {
            near.reads.push(read);
        }
    }

    fn execute_read(&mut self, process: usize, index: usize) {
        let (configuration, bit) = (self.configuration, 1 << process);
        let World { server, tracked, tracked_tag, processes, .. } = &mut *self.world;
        let near = processes[process].near.as_mut();
        let Some(read) = near.and_then(|near| near.reads.get_mut(index)) else { return };
        let entry = server.slots[read.key].entry;
        read.reply = Some((entry, server.tag));
        tracked[read.key] |= bit;
        if configuration.reads_tag(read.key, entry) {
            *tracked_tag |= bit;
        }
    }

    fn deliver_read(&mut self, process: usize, index: usize) {
        let (configuration, rules) = (self.configuration, &self.configuration.rules);
        let near = self.near_mut(process);
        let read = near.reads.remove(index);
        let Some((entry, tag)) = read.reply else { return };
        let always = rules.admission == Admission::Always;
        if (read.tag_is_clean || always) && configuration.reads_tag(read.key, entry) {
            near.tag = tag;
        }
        let admitted = entry.filter(|_| read.key_is_clean || always);
        if let Some(entry) = admitted {
            let presented = match rules.token_check {
                TokenCheck::AtAdmission => near.presented[read.key],
                TokenCheck::WhenSent | TokenCheck::Ignored => read.presented,
            };
            near.held[read.key] = Some(Held { entry, presented });
            self.met(Event::Admitted);
        } else if entry.is_some() {
            self.met(Event::NotAdmitted);
        }
        match entry {
            Some(entry) if self.configuration.is_usable(entry, tag) => {
                self.met(Event::Hit);
                self.answer(entry.version, read.caller.needs, Property::FreshEntries);
                self.give_part(process, read.caller, entry.version, Some(entry.tag));
            }
            Some(entry) => self.read_missed(process, read, ReadResult::Unusable(entry)),
            None => self.read_missed(process, read, ReadResult::Missing),
        }
    }

    fn read_missed(&mut self, process: usize, read: Read, result: ReadResult) {
        self.miss(process, read.key, Caller { read: result, ..read.caller });
    }

    fn deliver_push(&mut self, process: usize) {
        let vouching = match self.configuration.setup.broadcasts {
            true => self.configuration.rules.vouching,
            false => Vouching::LastPing,
        };
        let near = self.near_mut(process);
        match near.pushes.remove(0) {
            Push::Key(key) => near.forget_key(key),
            Push::Tag => near.forget_tag(),
            Push::Pong => {
                let Some(Ping { returned, .. }) = near.ping.take() else { return };
                // The turn in which the ping was executed is over.
                near.end_turn();
                let previous = std::mem::replace(&mut near.last, returned);
                near.as_of = match vouching {
                    Vouching::LastPing => returned,
                    Vouching::PreviousPing => previous,
                };
            }
        }
    }

    fn lose_link(&mut self, process: usize) {
        self.world.left.lost_links -= 1;
        let near = self.near_mut(process);
        (near.is_lost, near.ping) = (true, None);
        near.pushes.clear();
        near.turn.clear();
        for read in std::mem::take(&mut near.reads) {
            self.read_missed(process, read, ReadResult::Unreadable);
        }
        let bit = !(1 << process);
        self.world.tracked.0.iter_mut().for_each(|processes| *processes &= bit);
        self.world.tracked_tag &= bit;
    }

    /// Admits what a flight of the process has stored: the rule that n10 breaks.
    pub(super) fn admit_own_store(&mut self, process: usize, key: Key, entry: Entry) {
        if self.configuration.rules.admission != Admission::OwnStores {
            return;
        }
        if let Some(near) = self.world.processes[process].near.as_mut().filter(|it| !it.is_lost) {
            near.held[key] = Some(Held { entry, presented: near.presented[key] });
        }
    }

    /// Forgets what a writer of the first process is about to invalidate, or has.
    pub(super) fn forget_own(&mut self, key: Option<Key>, has_returned: bool) {
        if has_returned && self.configuration.rules.forgetting == Forgetting::Once {
            return;
        }
        let near = self.near_mut(0);
        match key {
            Some(key) => near.forget_key(key),
            None => near.forget_tag(),
        }
    }

    pub(super) fn own_write_returned(&mut self, key: Key, version: Version) {
        let own = &mut self.near_mut(0).own[key];
        *own = version.max(*own);
    }

    /// Reports the changes of a step: to the processes that have read what changed, or to all.
    pub(crate) fn push_changes(&mut self, before: &Server) {
        let World { server, processes, tracked, tracked_tag, .. } = &mut *self.world;
        let broadcasts = self.configuration.setup.broadcasts;
        let mut push = |to: u8, push: Push| {
            for (process, state) in processes.iter_mut().enumerate() {
                let Some(near) = state.near.as_mut().filter(|near| !near.is_lost) else { continue };
                match broadcasts {
                    true => near.turn.push(push),
                    false if to & 1 << process != 0 => near.pushes.push(push),
                    false => {}
                }
            }
        };
        for key in self.configuration.setup.keys() {
            if server.slots[key].entry != before.slots[key].entry {
                push(std::mem::take(&mut tracked[key]), Push::Key(key));
            }
        }
        if server.tag != before.tag {
            push(std::mem::take(tracked_tag), Push::Tag);
        }
    }
}
