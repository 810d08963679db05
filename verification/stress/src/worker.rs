//! One process: tasks that read, load, write and invalidate, and record their operations.

use std::any::TypeId;
use std::error::Error;
use std::io::{BufWriter, Write, stdout};
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::cache::{
    CacheDefinition, CacheOptions, CallOptions, Filled, LoadTicket, Loaded, Value, ValueKind,
};
use hotshelf_core::codec::{Json, erase};
use hotshelf_core::near::NearOptions;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Backend, ByteCache, ByteStore, Key, Namespace, Runtime};
use hotshelf_redis::{RedisBackend, RedisClient, RedisOptions};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::runtime::Builder;

use crate::clock::{RealTime, below, now, pause, up_to_millis};
use crate::history::{Kind, Record};
use crate::mutant::{Mutant, MutantBackend};

/// The number of rows in the database, each with an entry in the cache.
pub(crate) const KEYS: usize = 6;

/// The number of tasks of a process.
const TASKS: usize = 12;

/// The maximum pauses, in milliseconds: of a task between two operations, of a loader before
/// and after it reads.
const IDLE_MILLIS: u64 = 30;
const NEAR_IDLE_MILLIS: u64 = 2;
const LOAD_MILLIS: u64 = 16;

/// One of this many operations is a write.
const WRITES: u64 = 10;

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
}

impl Job {
    pub(crate) fn from_arguments(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let [cache, database, end, lease, near, mutant @ ..] = arguments else {
            return Err("invalid arguments of `work`: it is started by the parent".into());
        };
        let mutant = mutant.first().map(|name| Mutant::named(name)).transpose()?;
        let (cache, database, end) = (cache.clone(), database.clone(), end.parse()?);
        let lease = Duration::from_millis(lease.parse()?);
        Ok(Self { cache, database, end, lease, mutant, near: near == "near" })
    }

    pub(crate) fn to_arguments(&self) -> Vec<String> {
        let fixed = ["work", &self.cache, &self.database].map(str::to_owned);
        let numbers = [self.end.to_string(), self.lease.as_millis().to_string()];
        let near = if self.near { "near" } else { "far" }.to_owned();
        let mutant = self.mutant.map(|mutant| mutant.name().to_owned());
        fixed.into_iter().chain(numbers).chain([near]).chain(mutant).collect()
    }
}

/// The prefix of all keys and tags.
pub(crate) const PREFIX: &str = "stress";

/// The name of the cache.
const NAME: &str = "rows";

/// Longer than any run.
const TTL: Duration = Duration::from_secs(600);

/// Returns the key of an entry.
pub(crate) fn key_name(key: usize) -> String {
    format!("{PREFIX}:v1:{NAME}:{key}")
}

/// Works until the end and prints the records.
pub(crate) fn run(job: &Job) -> Result<(), Box<dyn Error>> {
    // A parent that crashed may have left this process stopped.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let tokio = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let records = tokio.block_on(work(job))?;
    let mut output = BufWriter::new(stdout().lock());
    for record in records {
        writeln!(output, "{record}")?;
    }
    Ok(output.flush()?)
}

async fn work(job: &Job) -> Result<Vec<Record>, Box<dyn Error>> {
    let worker = Arc::new(Worker::new(job)?);
    let start = |_| tokio::spawn(Arc::clone(&worker).work_until(job.end));
    let tasks: Vec<_> = (0..TASKS).map(start).collect();
    for task in tasks {
        task.await??;
    }
    if job.near && worker.cache.stats().near_hits == 0 {
        return Err("the near tier never answered".into());
    }
    Ok(std::mem::take(&mut *worker.records.lock()))
}

/// The state that the tasks of a process share.
struct Worker {
    /// Entries are version numbers, each with its own tag.
    cache: ByteCache,
    database: RedisClient,
    mutant: Option<Mutant>,
    idle_millis: u64,
    records: Mutex<Vec<Record>>,
}

fn cache_on(backend: Arc<dyn Backend>, job: &Job) -> Result<ByteCache, hotshelf_core::Error> {
    let options = CacheOptions {
        time_to_live: TTL,
        wait_timeout: WAIT_TIMEOUT,
        backend_budget: Duration::MAX,
        max_waiters: usize::MAX,
        ..CacheOptions::default()
    };
    let definition = CacheDefinition {
        namespace: Namespace::new(NAME).prefix(PREFIX),
        kind: ValueKind::of::<u64>(),
        options,
        codec: erase::<u64>(Json),
        tag_rule: None,
    };
    let near = job.near.then(|| NearOptions::default().max_staleness(NEAR_BOUND));
    ByteStore::with_options(backend, Arc::new(RealTime), job.lease, near)?.cache(definition)
}

fn version(raw: &[u8]) -> Option<u64> {
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// Returns the name of the tag that an entry carries.
fn tag(key: usize) -> String {
    key_name(key)
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
            } else {
                let start = now();
                let version = self.get(key).await?;
                self.record(Kind::Get, key, version, start);
            }
            pause(up_to_millis(self.idle_millis)).await;
        }
        Ok(())
    }

    /// Records an operation that ends now.
    fn record(&self, kind: Kind, key: usize, version: u64, start: u64) {
        self.push(Record { kind, key, version, start, end: now() });
    }

    fn push(&self, record: Record) {
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
        let by_tag = match self.mutant {
            None => below(2) == 0,
            Some(mutant) => mutant == Mutant::Capture,
        };
        if by_tag {
            return self.cache.invalidate_tags([Ok(tag(key))]).await;
        }
        self.cache.invalidate(vec![Ok(self.cache.key(&Key::new(key)))]).await.map(drop)
    }

    /// Reads the cache, or loads, like a service that handles a request.
    async fn get(&self, key: usize) -> Result<u64, hotshelf_core::Error> {
        let options = CallOptions::default().tags(Ok([tag(key)]));
        let entry_key = Ok(self.cache.key(&Key::new(key)));
        match self.cache.load(entry_key, options, TypeId::of::<()>()).await {
            Loaded::Value(Value::Present(value)) => {
                Ok(*value.downcast::<u64>().expect("all values are versions"))
            }
            Loaded::Lead(ticket) => self.lead(key, *ticket).await,
            other => unreachable!("no loader fails or finds nothing: {other:?}"),
        }
    }

    async fn lead(&self, key: usize, ticket: LoadTicket) -> Result<u64, hotshelf_core::Error> {
        let start = now();
        let loaded = ticket.run(self.query_database(key)).await?;
        let end = now();
        let kind = match ticket.complete(Value::Present(Arc::new(loaded))).await {
            Filled::Stored => Kind::Stored,
            Filled::Refused => Kind::Refused,
            Filled::Unstored => Kind::Unstored,
        };
        self.push(Record { kind, key, version: loaded, start, end });
        Ok(loaded)
    }

    async fn query_database(&self, key: usize) -> Result<u64, hotshelf_core::Error> {
        pause(up_to_millis(LOAD_MILLIS)).await;
        let row = self.database.command(&["GET", &key_name(key)]).await?.bytes()?;
        pause(up_to_millis(LOAD_MILLIS)).await;
        Ok(row.as_deref().and_then(version).unwrap_or_default())
    }
}
