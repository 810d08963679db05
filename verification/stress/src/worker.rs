//! One process: tasks that read, load, write and invalidate, and record their operations.

use std::error::Error;
use std::io::{BufWriter, Write, stdout};
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::cache::{CacheDefinition, CacheOptions, TagRule, ValueKind};
use hotshelf_core::codec::{Json, erase};
use hotshelf_core::near::NearOptions;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Backend, ByteCache, ByteStore, Key, Namespace, Runtime};
use hotshelf_redis::{RedisBackend, RedisClient, RedisOptions};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::runtime::Builder;

use crate::clock::{RealTime, below, now, pause, up_to_millis};
use crate::history::{Kind, Record};
use crate::loads::{LATE_TAG, has_late_tag};
use crate::mutant::{Mutant, MutantBackend};
use crate::used::Used;

/// The number of rows in the database, each with an entry in the cache.
pub(crate) const KEYS: usize = 6;

/// The number of tasks of a process.
const TASKS: usize = 12;

/// The maximum pause of a task between two operations, in milliseconds.
const IDLE_MILLIS: u64 = 30;
const NEAR_IDLE_MILLIS: u64 = 2;

/// One of this many operations is a write.
const WRITES: u64 = 10;

/// One of this many reads is a batch.
const BATCHES: u64 = 10;

/// With stale values, one of this many operations makes one stale, and one of this many
/// invalidations of a key with a late tag is by that tag: an entry is stored only if its late tags
/// are a second old.
const EXPIRIES: u64 = 40;
const LATE_INVALIDATIONS: u64 = 200;

/// The wait timeout: far shorter than a lease, so that work continues after a holder has
/// crashed.
const WAIT_TIMEOUT: Duration = Duration::from_millis(500);

/// The bound of the near tiers.
pub(crate) const NEAR_BOUND: Duration = Duration::from_millis(300);

/// The timeout of the database, which is not under test.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(60);

/// The settings of a process.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) cache: String,
    pub(crate) database: String,
    /// The end of the run, on the clock of all processes.
    pub(crate) end: u64,
    /// The duration of the process's leases.
    pub(crate) lease: Duration,
    pub(crate) mutant: Option<Mutant>,
    /// Whether the process has a near tier.
    pub(crate) near: bool,
    /// Whether it uses values that are stale.
    pub(crate) stale: bool,
}

impl Job {
    pub(crate) fn from_arguments(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let [cache, database, end, lease, near, stale, mutant @ ..] = arguments else {
            return Err("invalid arguments of `work`: it is started by the parent".into());
        };
        let mutant = mutant.first().map(|name| Mutant::named(name)).transpose()?;
        let (cache, database, end) = (cache.clone(), database.clone(), end.parse()?);
        let lease = Duration::from_millis(lease.parse()?);
        let (near, stale) = (near == "near", stale == "stale");
        Ok(Self { cache, database, end, lease, mutant, near, stale })
    }

    pub(crate) fn to_arguments(&self) -> Vec<String> {
        let fixed = ["work", &self.cache, &self.database].map(str::to_owned);
        let numbers = [self.end.to_string(), self.lease.as_millis().to_string()];
        let near = if self.near { "near" } else { "far" }.to_owned();
        let mutant = self.mutant.map(|mutant| mutant.name().to_owned());
        let stale = if self.stale { "stale" } else { "fresh" }.to_owned();
        fixed.into_iter().chain(numbers).chain([near, stale]).chain(mutant).collect()
    }
}

/// The prefix of all keys and tags.
pub(crate) const PREFIX: &str = "stress";

/// The name of the cache.
const NAME: &str = "rows";

/// Longer than any run.
const TTL: Duration = Duration::from_secs(600);

/// How long values are fresh, if they may be stale.
const FRESH: Duration = Duration::from_millis(150);

const SOFT_TIMEOUT: Duration = Duration::from_millis(12);
const HARD_TIMEOUT: Duration = Duration::from_millis(80);
const THROTTLE: Duration = Duration::from_millis(50);
const BACKOFF: Duration = Duration::from_millis(20);

/// Returns the key of an entry, which is the name of its own tag, too.
pub(crate) fn key_name(key: usize) -> String {
    format!("{PREFIX}:v1:{NAME}:{key}")
}

/// Works until the end, and prints what the cache was used for, and the records.
pub(crate) fn run(job: &Job) -> Result<(), Box<dyn Error>> {
    // A parent that crashed may have left this process stopped.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let tokio = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (used, records) = tokio.block_on(work(job))?;
    let mut output = BufWriter::new(stdout().lock());
    writeln!(output, "{used}")?;
    for record in records {
        writeln!(output, "{record}")?;
    }
    Ok(output.flush()?)
}

async fn work(job: &Job) -> Result<(Used, Vec<Record>), Box<dyn Error>> {
    let worker = Arc::new(Worker::new(job)?);
    let start = |_| tokio::spawn(Arc::clone(&worker).work_until(job.end));
    let tasks: Vec<_> = (0..TASKS).map(start).collect();
    for task in tasks {
        task.await??;
    }
    let records = std::mem::take(&mut *worker.records.lock());
    Ok((Used::of(&worker.cache.stats()), records))
}

/// The state that the tasks of a process share.
pub(crate) struct Worker {
    /// Entries are version numbers, each with its own tag.
    pub(crate) cache: ByteCache,
    pub(crate) database: RedisClient,
    mutant: Option<Mutant>,
    pub(crate) stale: bool,
    idle_millis: u64,
    records: Mutex<Vec<Record>>,
}

fn cache_on(backend: Arc<dyn Backend>, job: &Job) -> Result<ByteCache, hotshelf_core::Error> {
    let stale = CacheOptions {
        time_to_live: FRESH,
        stale_while_revalidate: TTL / 2,
        stale_if_error: TTL,
        error_throttle: THROTTLE,
        error_backoff: BACKOFF,
        early_refresh: 1.0,
        soft_timeout: Some(SOFT_TIMEOUT),
        hard_timeout: Some(HARD_TIMEOUT),
        ..CacheOptions::default()
    };
    let fresh = CacheOptions { time_to_live: TTL, ..CacheOptions::default() };
    let options = CacheOptions {
        wait_timeout: WAIT_TIMEOUT,
        backend_budget: Duration::MAX,
        max_waiters: usize::MAX,
        ..if job.stale { stale } else { fresh }
    };
    let definition = CacheDefinition {
        namespace: Namespace::new(NAME).prefix(PREFIX),
        kind: ValueKind::of::<u64>(),
        options,
        codec: erase::<u64>(Json),
        tag_rule: Some(tag_rule(job.stale)),
    };
    let near = job.near.then(|| NearOptions::default().max_staleness(NEAR_BOUND));
    ByteStore::with_options(backend, Arc::new(RealTime), job.lease, near)?.cache(definition)
}

/// Each key has a tag of its own, except for those whose tag is known only from their rows.
fn tag_rule(stale: bool) -> TagRule {
    TagRule::new(move |key| match key.identifier().parse() {
        Ok(key) if !(stale && has_late_tag(key)) => vec![key_name(key)],
        _ => Vec::new(),
    })
}

pub(crate) fn version(raw: &[u8]) -> Option<u64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}

impl Worker {
    fn new(job: &Job) -> Result<Self, hotshelf_core::Error> {
        let runtime: Arc<dyn Runtime> = Arc::new(RealTime);
        let cache = RedisBackend::new(&RedisOptions::from_url(&job.cache)?, Arc::clone(&runtime))?;
        let backend: Arc<dyn Backend> = match job.mutant {
            None => Arc::new(cache),
            Some(mutant) => Arc::new(MutantBackend::new(cache, mutant)),
        };
        let options = RedisOptions::from_url(&job.database)?
            .connect_timeout(DATABASE_TIMEOUT)
            .store_timeout(DATABASE_TIMEOUT);
        let database = RedisBackend::new(&options, Arc::clone(&runtime))?;
        Ok(Self {
            cache: cache_on(backend, job)?,
            database: database.client().clone(),
            mutant: job.mutant,
            stale: job.stale,
            // What a near tier answers is quick, and so has to be asked often.
            idle_millis: if job.near { NEAR_IDLE_MILLIS } else { IDLE_MILLIS },
            records: Mutex::default(),
        })
    }

    async fn work_until(self: Arc<Self>, end: u64) -> Result<(), hotshelf_core::Error> {
        while now() < end {
            let key = below(KEYS as u64) as usize;
            if below(WRITES) == 0 {
                self.write(key).await?;
            } else if self.stale && below(EXPIRIES) == 0 {
                // It promises nothing.
                let _ = self.cache.expire(Ok(self.cache.key(&Key::new(key)))).await;
            } else if below(BATCHES) == 0 {
                self.get_many().await?;
            } else {
                let start = now();
                match self.get(key).await? {
                    Some(version) => self.record(Kind::Get, key, version, start),
                    None => self.record(Kind::Valueless, key, 0, start),
                }
            }
            pause(up_to_millis(self.idle_millis)).await;
        }
        Ok(())
    }

    /// Records an operation that ends now.
    fn record(&self, kind: Kind, key: usize, version: u64, start: u64) {
        self.push(Record { kind, key, version, start, end: now() });
    }

    pub(crate) fn push(&self, record: Record) {
        self.records.lock().push(record);
    }

    /// Changes a row and invalidates its entry, with retries until that succeeds.
    async fn write(&self, key: usize) -> Result<(), hotshelf_core::Error> {
        let row = key_name(key);
        let version = self.database.command(&["INCR", &row]).await?.integer()?;
        let start = now();
        while self.invalidate(key).await.is_err() {
            self.record(Kind::Failed, key, version as u64, start);
            pause(up_to_millis(20)).await;
        }
        self.record(Kind::Invalidated, key, version as u64, start);
        Ok(())
    }

    /// Invalidates an entry by its key or by its tag; for a mutant in the way that it breaks.
    async fn invalidate(&self, key: usize) -> Result<(), hotshelf_core::Error> {
        let late = self.stale && has_late_tag(key);
        let by_tag = match self.mutant {
            None if late => below(LATE_INVALIDATIONS) == 0,
            None => below(2) == 0,
            Some(Mutant::Late) => late,
            Some(mutant) => mutant == Mutant::Capture,
        };
        if by_tag {
            let tag = if late { LATE_TAG.to_owned() } else { key_name(key) };
            return self.cache.invalidate_tags([Ok(tag)]).await;
        }
        self.cache.invalidate(vec![Ok(self.cache.key(&Key::new(key)))]).await.map(drop)
    }
}
