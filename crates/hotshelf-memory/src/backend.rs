//! The backend's operations.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Backend, Fill, KeyScan, LocalEntries, LocalFound, Pause, Result, Retrail,
    ServerInfo, Stored, TagVersion, Take, Taken, Token, Watch, Watchers,
};
use hotshelf_core::observe::MemoryUse;
use hotshelf_core::tag::{self, random_version};
use hotshelf_core::trailer::MAGIC;
use hotshelf_core::{
    BoxFuture, Error, ErrorKind, Moment, Pattern, Remaining, Runtime, Ttl, WireKey,
};

use crate::entry::Entries;
use crate::leases::{Holder, Leases, SHARDS};

/// The default capacity in bytes: 64 MiB.
pub const DEFAULT_CAPACITY: u64 = 64 << 20;

/// The number of entries that one step of a scan visits.
const STEP: usize = 256;

/// Entries in the process's own memory, bounded by bytes.
///
/// Operations never wait. Entries that are evicted or lost with the process are misses.
pub struct MemoryBackend {
    entries: Entries,
    leases: Leases,
    watchers: Watchers,
    runtime: Arc<dyn Runtime>,
    started: Moment,
    commands: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    closed: AtomicBool,
}

impl MemoryBackend {
    /// Creates a backend that holds at most `capacity` bytes of keys and values, including
    /// overhead. A single entry may take nine tenths of a shard, of which there is one for
    /// every 16 MiB; storing a larger one is an error of kind `TooLarge`.
    pub fn new(capacity: u64, runtime: Arc<dyn Runtime>) -> Self {
        Self {
            entries: Entries::new(capacity, Arc::clone(&runtime)),
            leases: Leases::default(),
            watchers: Watchers::default(),
            started: runtime.now(),
            runtime,
            commands: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Counts an operation; an error once the store is closed.
    fn begin(&self) -> Result<()> {
        self.commands.fetch_add(1, Ordering::Relaxed);
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Closed, "the store was closed"));
        }
        Ok(())
    }

    fn find(&self, key: &WireKey) -> Option<LocalFound> {
        let found = self.entries.get(key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn acquire_now(&self, acquire: &Acquire<'_>) -> Acquired {
        let mut leases = self.leases.lock(acquire.key);
        let is_accepted = |raw: &Bytes| !acquire.skip_foreign || raw.ends_with(MAGIC);
        let is_unseen = |raw: &Bytes| is_accepted(raw) && !acquire.seen.is(raw);
        let found = self.entries.get(acquire.key).map(|found| found.entry.raw().clone());
        let is_over = found.as_ref().is_some_and(|raw| acquire.seen.is(raw));
        if let Some(raw) = found.filter(is_unseen) {
            return Acquired::Present(raw);
        }
        let now = self.runtime.now();
        match leases.holder(acquire.key, now) {
            Some((Holder::Token(_), left)) => return Acquired::Busy(left),
            Some((Holder::Hold, left)) => return Acquired::Held(left),
            Some((Holder::Failure, left)) if !acquire.replace_failure => {
                return Acquired::BackingOff(left);
            }
            Some((Holder::Failure, _)) | None => {}
        }
        leases.set(acquire.key, Holder::Token(acquire.token), now, acquire.lease);
        match is_over {
            true => Acquired::GrantedOver(self.clock_at(now)),
            false => Acquired::Granted(self.clock_at(now)),
        }
    }

    fn take_now(&self, take: &Take) -> Taken {
        let now = self.runtime.now();
        let mut leases = self.leases.lock(&take.key);
        if let Some((Holder::Hold, _)) = leases.holder(&take.key, now) {
            return Taken::Held;
        }
        leases.set(&take.key, Holder::Token(take.token), now, take.lease);
        Taken::Granted(self.clock_at(now))
    }

    fn fail_now(&self, key: &WireKey, token: Token, pause: Pause) {
        let mut leases = self.leases.lock(key);
        let now = self.runtime.now();
        if leases.is_held_by(key, token, now) {
            let pause = match self.entries.remaining(key) {
                Remaining::After(left) => pause.with_entry.min(left),
                Remaining::Persistent => pause.with_entry,
                Remaining::Missing => pause.without_entry,
            };
            match pause {
                Duration::ZERO => drop(leases.remove(key)),
                pause => leases.set(key, Holder::Failure, now, pause),
            }
        }
        drop(leases);
        self.watchers.changed(key);
    }

    fn retrail_now(&self, key: &WireKey, trailers: &Retrail) -> bool {
        let leases = self.leases.lock(key);
        let Some(found) = self.entries.get(key) else { return false };
        let raw = found.entry.raw();
        let Retrail { seen, trailer } = trailers;
        if seen.is_empty() || trailer.len() < seen.len() || !raw.ends_with(seen) {
            return false;
        }
        let replaced = Bytes::from([&raw[..raw.len() - seen.len()], trailer].concat());
        let is_replaced = self.entries.replace(key, &found.entry, replaced);
        drop(leases);
        self.watchers.changed(key);
        is_replaced
    }

    fn hold_now(&self, key: &WireKey, hold: Duration) -> u64 {
        let mut leases = self.leases.lock(key);
        let now = self.runtime.now();
        // A shorter hold doesn't cut a longer one.
        let held = match leases.holder(key, now) {
            Some((Holder::Hold, left)) => left,
            _ => Duration::ZERO,
        };
        let removed = u64::from(self.entries.remove(key)) + u64::from(leases.remove(key));
        leases.set(key, Holder::Hold, now, hold.max(held));
        drop(leases);
        self.watchers.changed(key);
        removed
    }

    /// Returns what the backend's clock shows, in milliseconds.
    fn clock_at(&self, now: Moment) -> u64 {
        let running = now - self.started;
        running.as_secs() * 1_000 + u64::from(running.subsec_millis())
    }

    fn store_now(&self, fill: &Fill) -> Result<Stored> {
        let stored = self.store_leased(fill);
        self.watchers.changed(&fill.key);
        stored
    }

    fn store_leased(&self, fill: &Fill) -> Result<Stored> {
        let mut leases = self.leases.lock(&fill.key);
        if !leases.is_held_by(&fill.key, fill.token, self.runtime.now()) {
            return Ok(Stored::Refused);
        }
        match fill.hold {
            Some(hold) => leases.set(&fill.key, Holder::Hold, self.runtime.now(), hold),
            None => drop(leases.remove(&fill.key)),
        }
        if !self.entries.has_room_for(&fill.key, &fill.value, fill.decoded_size) {
            // The existing entry is outdated nevertheless.
            self.entries.remove(&fill.key);
            let message = "value too large for the store's memory: raise `memory_capacity`";
            return Err(Error::new(ErrorKind::TooLarge, message).with_key(&fill.key));
        }
        self.entries.insert(fill.key.clone(), fill.value.clone(), fill.decoded_size, fill.ttl);
        Ok(Stored::Stored)
    }

    /// Removes entry and lease; returns whether each existed.
    fn invalidate_now(&self, key: &WireKey) -> (bool, bool) {
        let mut leases = self.leases.lock(key);
        let removed = (self.entries.remove(key), leases.remove(key));
        drop(leases);
        self.watchers.changed(key);
        removed
    }

    /// Leases are removed first: a fill in flight is either refused from then on, or has stored
    /// its entry before the scan of the entries begins. Other tasks run between the steps.
    async fn invalidate_matching_in_steps(&self, pattern: &Pattern) -> Result<u64> {
        self.begin()?;
        for shard in 0..SHARDS {
            self.leases.remove_where(shard, |key| pattern.matches(key));
            self.runtime.yield_now().await;
        }
        self.watchers.wake_all();
        let mut removed = 0;
        let mut keys = self.entries.keys();
        loop {
            let step: Vec<WireKey> = keys.by_ref().take(STEP).collect();
            let matching = step.iter().filter(|key| pattern.matches(key));
            removed += matching.filter(|key| self.invalidate_now(key).0).count() as u64;
            if step.len() < STEP {
                return Ok(removed);
            }
            self.runtime.yield_now().await;
        }
    }

    /// Captures the version of a tag; one without a version gets a new, unique one.
    fn capture_now(&self, tag: &WireKey) -> (TagVersion, Duration) {
        let now = self.clock_at(self.runtime.now());
        let new = || tag::written(random_version(&*self.runtime), now);
        // A version is written as a whole, so that it always has its length.
        let (version, since) = tag::read(&self.entries.get_or_insert(tag, new)).unwrap_or_default();
        (version, Duration::from_millis(now.saturating_sub(since)))
    }
}

impl LocalEntries for MemoryBackend {
    fn get(&self, key: &WireKey) -> Result<Option<LocalFound>> {
        self.begin().map(|()| self.find(key))
    }

    fn millis(&self, found: &LocalFound) -> Option<u64> {
        Some(self.clock_at(found.now))
    }

    fn memory_use(&self) -> Option<MemoryUse> {
        Some(self.entries.memory_use())
    }
}

/// Operations complete when they are called, except for those that would take long; the trait
/// requires futures.
impl Backend for MemoryBackend {
    fn name(&self) -> &'static str {
        "memory"
    }

    /// A task that reads again and again lets others run now and then.
    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        Box::pin(poll_fn(|context| {
            ready!(self.runtime.poll_share(context));
            let raw = |key| self.find(key).map(|found| found.entry.raw().clone());
            Poll::Ready(self.begin().map(|()| keys.iter().map(raw).collect()))
        }))
    }

    fn longest_read(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn local(&self) -> Option<&dyn LocalEntries> {
        Some(self)
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        done(self.begin().map(|()| self.acquire_now(&acquire)))
    }

    fn acquire_many<'a>(
        &'a self,
        acquires: &'a [Acquire<'a>],
    ) -> BoxFuture<'a, Vec<Result<Acquired>>> {
        let acquire = |acquire| self.begin().map(|()| self.acquire_now(acquire));
        done(acquires.iter().map(acquire).collect())
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        let take = |take| self.begin().map(|()| self.take_now(take));
        done(takes.iter().map(take).collect())
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        let store = |fill| self.begin().and_then(|()| self.store_now(fill));
        done(fills.iter().map(store).collect())
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        done(self.begin().map(|()| {
            let mut leases = self.leases.lock(key);
            if leases.is_held_by(key, token, self.runtime.now()) {
                leases.remove(key);
            }
            drop(leases);
            self.watchers.changed(key);
        }))
    }

    fn fail<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        pause: Pause,
    ) -> BoxFuture<'a, Result<()>> {
        done(self.begin().map(|()| self.fail_now(key, token, pause)))
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        done(self.begin().map(|()| {
            let mut leases = self.leases.lock(key);
            let now = self.runtime.now();
            let held = leases.is_held_by(key, token, now);
            if held {
                leases.set(key, Holder::Token(token), now, lease);
            }
            held
        }))
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        _keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        done(self.begin().map(|()| tags.iter().map(|tag| self.capture_now(tag).0).collect()))
    }

    fn capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        _keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>> {
        done(self.begin().map(|()| tags.iter().map(|tag| self.capture_now(tag)).collect()))
    }

    fn retrail<'a>(&'a self, key: &'a WireKey, trailers: Retrail) -> BoxFuture<'a, Result<bool>> {
        done(self.begin().map(|()| self.retrail_now(key, &trailers)))
    }

    fn hold<'a>(&'a self, keys: &'a [WireKey], hold: Duration) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            self.begin()?;
            let mut removed = 0;
            for step in keys.chunks(STEP) {
                removed += step.iter().map(|key| self.hold_now(key, hold)).sum::<u64>();
                if keys.len() > STEP {
                    self.runtime.yield_now().await;
                }
            }
            Ok(removed)
        })
    }

    fn clock(&self, _: &WireKey) -> Option<u64> {
        Some(self.clock_at(self.runtime.now()))
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        let removed = |key| {
            let (entry, lease) = self.invalidate_now(key);
            u64::from(entry) + u64::from(lease)
        };
        match keys.len() {
            0..=STEP => done(self.begin().map(|()| keys.iter().map(removed).sum())),
            _ => Box::pin(async move {
                self.begin()?;
                let mut sum = 0;
                for step in keys.chunks(STEP) {
                    sum += step.iter().map(removed).sum::<u64>();
                    self.runtime.yield_now().await;
                }
                Ok(sum)
            }),
        }
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        done(self.begin().map(|()| {
            for tag in tags {
                self.entries.remove(tag);
            }
        }))
    }

    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.invalidate_matching_in_steps(pattern))
    }

    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        done(self.begin().map(|()| self.entries.remaining(key)))
    }

    fn watch(&self, key: &WireKey) -> Option<Watch> {
        Some(self.watchers.watch(key))
    }

    fn scan(&self, pattern: &Pattern) -> Option<Box<dyn KeyScan>> {
        let matching = self.entries.keys().filter(|key| pattern.matches(key));
        Some(Box::new(MemoryScan(matching.collect::<Vec<_>>().into_iter())))
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        done(self.begin())
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        done(self.begin().map(|()| {
            let (used_memory, max_memory) = self.entries.weight_and_capacity();
            let mut info = ServerInfo::default();
            info.version = env!("CARGO_PKG_VERSION").into();
            info.uptime = self.runtime.now().since(self.started);
            info.connected_clients = 1;
            info.used_memory = used_memory;
            info.max_memory = max_memory;
            info.total_commands = self.commands.load(Ordering::Relaxed);
            info.keyspace_hits = self.hits.load(Ordering::Relaxed);
            info.keyspace_misses = self.misses.load(Ordering::Relaxed);
            info
        }))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.closed.store(true, Ordering::Relaxed);
        // Nobody can read them any more.
        self.entries.clear();
        self.watchers.wake_all();
        done(())
    }
}

/// The keys of entries when a scan began.
struct MemoryScan(std::vec::IntoIter<WireKey>);

impl KeyScan for MemoryScan {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<WireKey>>>> {
        let step: Vec<WireKey> = self.0.by_ref().take(STEP).collect();
        done(Ok(if step.is_empty() { None } else { Some(step) }))
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, capacity) = self.entries.weight_and_capacity();
        let mut debug = formatter.debug_struct("MemoryBackend");
        debug.field("used", &used).field("capacity", &capacity).finish_non_exhaustive()
    }
}

fn done<T: Send + 'static>(value: T) -> BoxFuture<'static, T> {
    Box::pin(std::future::ready(value))
}
