//! The server that simulated processes share.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquired, Fill, ServerInfo, Stored, TagVersion, Take, Taken, Token, Watchers,
};
use hotshelf_core::sync::{Mutex, MutexGuard};
use hotshelf_core::trailer::Trailer;
use hotshelf_core::{Pattern, Remaining, Runtime, Ttl, WireKey};

use super::connection::Connection;
use super::history::History;
use super::keyspace::{End, Evictable, Keyspace, OwnedAcquire, millis};
use super::listeners::Listeners;
use super::network::{Network, Sender};
use super::overlaps::{Overlap, Overlaps};
use super::reports::Tracked;
use super::runtime::SimRuntime;
use super::shown::{ShortToken, concerned_keys, hex, shown};

/// A model of the server: its data and its clock, with faults of both.
///
/// Each process is connected to it by its own [`SimLink`](super::SimLink).
#[derive(Clone)]
pub struct SimServer {
    shared: Arc<Shared>,
}

struct Shared {
    runtime: SimRuntime,
    overlaps: Arc<Overlaps>,
    history: Arc<History>,
    listeners: Listeners,
    tracked: Tracked,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) keyspace: Keyspace,
    /// The offset of the server's clock from that of the runtime.
    ahead: Duration,
    commands: u64,
    hits: u64,
    misses: u64,
}

/// Access to the state. What was changed is reported at its end.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    state: MutexGuard<'a, State>,
}

impl Deref for Session<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.shared.tracked.report(self.state.keyspace.take_changed());
    }
}

/// The initial time of the server's clock, so that it can be set back.
const EPOCH: Duration = Duration::from_secs(1_000_000);

impl SimServer {
    /// Starts a server.
    #[must_use]
    pub fn new(runtime: &SimRuntime, history: &Arc<History>, overlaps: &Arc<Overlaps>) -> Self {
        let keyspace = Keyspace::default();
        let state = State { keyspace, ahead: EPOCH, commands: 0, hits: 0, misses: 0 };
        let shared = Shared {
            runtime: runtime.clone(),
            overlaps: Arc::clone(overlaps),
            history: Arc::clone(history),
            listeners: Listeners::default(),
            tracked: Tracked::default(),
            state: Mutex::new(state),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Evicts an entry, a lease or a tag version, selected by `random`.
    pub fn evict_any(&self, random: u64) {
        let mut state = self.now_state();
        let all = state.keyspace.evictable();
        if !all.is_empty() {
            let evicted = &all[random as usize % all.len()];
            state.keyspace.evict(evicted);
            drop(state);
            self.record_eviction(evicted);
        }
    }

    /// Evicts the lease of a key, if there is one.
    pub fn evict_lease(&self, key: &WireKey) {
        self.evict_if_present(Evictable::Lease(key.clone()));
    }

    /// Evicts an entry without its lease, and returns whether there was one.
    pub fn evict_entry(&self, key: &WireKey) -> bool {
        self.evict_if_present(Evictable::Entry(key.clone()))
    }

    fn evict_if_present(&self, evicted: Evictable) -> bool {
        let mut state = self.now_state();
        let there = state.keyspace.evictable().contains(&evicted);
        state.keyspace.evict(&evicted);
        drop(state);
        if there {
            self.record_eviction(&evicted);
        }
        there
    }

    fn record_eviction(&self, evicted: &Evictable) {
        let (overlap, key) = match evicted {
            Evictable::Entry(key) => (Overlap::EvictedEntry, key),
            Evictable::Lease(key) => (Overlap::EvictedLease, key),
            Evictable::Tag(key) => (Overlap::EvictedTag, key),
        };
        self.shared.overlaps.count(overlap);
        self.shared
            .history
            .note(None, concerned_keys(key), || format!("{}: evicted", key.as_str()));
        self.notify(Some(key));
    }

    /// Removes all data, as `FLUSHALL` or a restart without persistence does.
    pub fn flush(&self) {
        self.now_state().keyspace = Keyspace::default();
        self.shared.tracked.report_all(&self.shared.runtime);
        self.shared.overlaps.count(Overlap::Flushed);
        self.shared.history.note(None, &[], || "the server loses its data".to_owned());
        self.notify(None);
    }

    /// Sets the server's clock forward or, with `back`, backward.
    pub fn jump_clock(&self, by: Duration, back: bool) {
        let mut state = self.shared.state.lock();
        state.ahead = if back { state.ahead.saturating_sub(by) } else { state.ahead + by };
        drop(state);
        self.shared.overlaps.count(Overlap::ServerClockJumped);
        let way = if back { "back" } else { "forward" };
        let text = || format!("the server's clock jumps {way} by {by:?}");
        self.shared.history.note(None, &[], text);
    }

    /// Notifies a process of all further changes.
    pub(super) fn listen(&self, watchers: Watchers, network: Network) {
        self.shared.listeners.add(watchers, network);
    }

    pub(super) fn notify(&self, key: Option<&WireKey>) {
        self.shared.listeners.notify(&self.shared.runtime, key);
    }

    /// Records a note on an operation on one key.
    pub(super) fn note_key(&self, sender: Sender, key: &WireKey, text: impl FnOnce() -> String) {
        self.note_of(sender, concerned_keys(key), || match concerned_keys(key) {
            [] => format!("{}: {}", key.as_str(), text()),
            _ => text(),
        });
    }

    fn note_of(&self, sender: Sender, keys: &[WireKey], text: impl FnOnce() -> String) {
        let late = if sender.late { ", executed late" } else { "" };
        self.shared.history.note(Some(sender.process), keys, || format!("{}{late}", text()));
    }

    /// Returns the state, after removing expired data.
    fn now_state(&self) -> Session<'_> {
        let mut state = self.shared.state.lock();
        let now = self.clock(&state);
        state.keyspace.expire(now);
        Session { shared: &self.shared, state }
    }

    pub(super) fn clock(&self, state: &State) -> Duration {
        state.ahead + (self.shared.runtime.now() - hotshelf_core::Moment::default())
    }
}

/// The operations, as they are executed for a process.
impl SimServer {
    pub(super) fn read(&self, sender: Sender, keys: &[WireKey]) -> Vec<Option<Bytes>> {
        let mut state = self.begin();
        let found: Vec<_> = keys.iter().map(|key| state.keyspace.read(key)).collect();
        let hits = found.iter().flatten().count();
        state.hits += hits as u64;
        state.misses += (found.len() - hits) as u64;
        drop(state);
        for (key, found) in keys.iter().zip(&found) {
            self.note_key(sender, key, || format!("READ: {}", shown(found.as_ref())));
        }
        found
    }

    /// Reports the next change of each of these keys over a connection.
    pub(super) fn track<'a>(
        &self,
        connection: &Arc<Connection>,
        keys: impl Iterator<Item = &'a WireKey>,
    ) {
        self.shared.tracked.read(connection, keys);
    }

    pub(super) fn acquire(&self, sender: Sender, acquire: &OwnedAcquire) -> Acquired {
        let mut state = self.begin();
        let now = self.clock(&state);
        let answer = state.keyspace.acquire(acquire, now);
        drop(state);
        match &answer {
            Acquired::Present(_) => self.shared.overlaps.count(Overlap::FilledMeanwhile),
            Acquired::Busy(_) => self.shared.overlaps.count(Overlap::KeyBusy),
            Acquired::Granted(_) | Acquired::GrantedOver(_) => self.notify(Some(&acquire.key)),
            _ => {}
        }
        self.note_key(sender, &acquire.key, || {
            let answer = match &answer {
                Acquired::Present(raw) => shown(Some(raw)),
                other => format!("{other:?}"),
            };
            format!("ACQUIRE {}: {answer}", ShortToken(acquire.token))
        });
        answer
    }

    pub(super) fn take(&self, sender: Sender, take: &Take) -> Taken {
        let mut state = self.begin();
        let now = self.clock(&state);
        let taken = state.keyspace.take(take, now);
        drop(state);
        self.notify(Some(&take.key));
        self.note_key(sender, &take.key, || {
            let held = if taken == Taken::Held { ": on hold" } else { "" };
            format!("TAKE {}{held}", ShortToken(take.token))
        });
        taken
    }

    pub(super) fn store(&self, sender: Sender, fill: &Fill) -> Stored {
        let mut state = self.begin();
        let now = self.clock(&state);
        let stored = state.keyspace.store(fill, now);
        let end = state.keyspace.end_of(fill.token);
        let lives = |version| state.keyspace.has_tag_version(version);
        let trailer = Trailer::find(&fill.value).ok().map(|(_, trailer)| trailer);
        let invalidated =
            trailer.is_some_and(|entry| !entry.tags.iter().all(|tag| lives(tag.version)));
        drop(state);
        let overlap = match end {
            _ if stored && sender.late => Some(Overlap::LateStoreKept),
            _ if stored => invalidated.then_some(Overlap::TagChangedUnderLoad),
            Some(End::Invalidated) => Some(Overlap::RefusedAfterInvalidation),
            Some(End::TakenOver) => Some(Overlap::RefusedAfterTakeOver),
            Some(End::Expired) => Some(Overlap::RefusedAfterExpiry),
            Some(End::Evicted) => Some(Overlap::RefusedAfterEviction),
            // A duplicate, or a request that arrives after the server has lost its data.
            Some(End::Filled | End::Released | End::Failed) | None => None,
        };
        if let Some(overlap) = overlap {
            self.shared.overlaps.count(overlap);
        }
        self.note_key(sender, &fill.key, || {
            let answer = if stored { "stored".to_owned() } else { format!("refused: {end:?}") };
            format!("STORE {} {}: {answer}", ShortToken(fill.token), shown(Some(&fill.value)))
        });
        if !stored {
            return Stored::Refused;
        }
        self.notify(Some(&fill.key));
        Stored::Stored
    }

    pub(super) fn release(&self, sender: Sender, key: &WireKey, token: Token) {
        self.begin().keyspace.release(key, token);
        self.notify(Some(key));
        self.note_key(sender, key, || format!("RELEASE {}", ShortToken(token)));
    }

    pub(super) fn renew(
        &self,
        sender: Sender,
        key: &WireKey,
        token: Token,
        lease: Duration,
    ) -> bool {
        let mut state = self.begin();
        let now = self.clock(&state);
        let renewed = state.keyspace.renew(key, token, now + lease);
        drop(state);
        if renewed {
            self.notify(Some(key));
        } else {
            self.shared.overlaps.count(Overlap::RenewedTooLate);
        }
        self.note_key(sender, key, || format!("RENEW {}: {renewed}", ShortToken(token)));
        renewed
    }

    /// Captures tags. New versions are chosen by the client, as Redis needs them.
    pub(super) fn capture(
        &self,
        sender: Sender,
        tags: &[(WireKey, TagVersion)],
        keep: Ttl,
    ) -> Vec<(TagVersion, Duration)> {
        let mut state = self.begin();
        let now = self.clock(&state);
        let capture =
            |(tag, new): &(WireKey, TagVersion)| state.keyspace.capture(tag, *new, keep, now);
        let versions: Vec<_> = tags.iter().map(capture).collect();
        drop(state);
        for ((tag, _), (version, _)) in tags.iter().zip(&versions) {
            self.note_key(sender, tag, || format!("CAPTURE: {}", hex(version)));
        }
        versions
    }

    pub(super) fn invalidate(&self, sender: Sender, keys: &[WireKey]) -> u64 {
        let mut state = self.begin();
        let removed = keys.iter().map(|key| state.keyspace.invalidate(key)).sum();
        drop(state);
        for key in keys {
            self.note_key(sender, key, || "UNLINK entry and lease".to_owned());
            self.notify(Some(key));
        }
        removed
    }

    pub(super) fn invalidate_tags(&self, sender: Sender, tags: &[WireKey]) {
        let mut state = self.begin();
        tags.iter().for_each(|tag| state.keyspace.forget_tag(tag));
        drop(state);
        for tag in tags {
            self.note_key(sender, tag, || "UNLINK tag".to_owned());
        }
    }

    /// Executes the first scan of an invalidation by pattern.
    pub(super) fn remove_leases(&self, sender: Sender, pattern: &Pattern) {
        self.begin().keyspace.invalidate_matching_leases(pattern);
        self.note_of(sender, &[], || "UNLINK matching leases".to_owned());
        self.notify(None);
    }

    /// Executes the second scan, whose results are removed afterwards.
    pub(super) fn scan_entries(&self, sender: Sender, pattern: &Pattern) -> Vec<WireKey> {
        let found = self.begin().keyspace.matching_entries(pattern);
        self.note_of(sender, &[], || "SCAN for matching entries".to_owned());
        found
    }

    pub(super) fn remaining(&self, key: &WireKey) -> Remaining {
        let state = self.begin();
        state.keyspace.remaining(key, self.clock(&state))
    }

    /// Returns the time of the server's clock, in milliseconds.
    pub(super) fn millis(&self) -> u64 {
        millis(self.clock(&self.begin()))
    }

    /// Returns the same without a request.
    pub(super) fn peek_millis(&self) -> u64 {
        millis(self.clock(&self.shared.state.lock()))
    }

    pub(super) fn info(&self) -> ServerInfo {
        let state = self.begin();
        let mut info = ServerInfo::default();
        info.version = env!("CARGO_PKG_VERSION").to_owned();
        info.uptime = self.shared.runtime.now() - hotshelf_core::Moment::default();
        info.used_memory = state.keyspace.used_memory();
        info.total_commands = state.commands;
        info.keyspace_hits = state.hits;
        info.keyspace_misses = state.misses;
        info
    }

    pub(super) fn begin(&self) -> Session<'_> {
        let mut state = self.now_state();
        state.commands += 1;
        state
    }
}

impl fmt::Debug for SimServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimServer").finish_non_exhaustive()
    }
}
