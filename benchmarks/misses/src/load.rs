//! One run: concurrent callers, and the cost for their process and for the server.

use std::error::Error;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::try_join_all;
use hotshelf::{Cache, Expiry, RedisClient, RedisOptions, SetOptions, Store};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::allocations;
use crate::subject::Subject;

/// The length of a value in bytes, as it is stored: JSON without the quotes.
const SIZE: usize = 200;

/// The number of calls before the measurement, and while allocations are counted.
const WARM_UP: usize = 500;
const COUNTED: usize = 1000;

/// The number of entries that hits read in turn.
const ENTRIES: usize = 1000;

const TIME_TO_LIVE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) callers: usize,
    pub(crate) calls: usize,
}

/// The cost of one call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) client_micros: f64,
    pub(crate) server_micros: f64,
    pub(crate) allocations: f64,
    pub(crate) per_second: f64,
}

impl Load {
    pub(crate) fn run(self, subject: Subject, port: u16) -> Result<Cost, Box<dyn Error>> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        local.block_on(&tokio, self.measure(subject, port))
    }

    async fn measure(self, subject: Subject, port: u16) -> Result<Cost, Box<dyn Error>> {
        let client = Client::connect(port, subject, WARM_UP + self.calls + COUNTED).await?;
        client.call(self.callers, 0..WARM_UP).await?;
        let measured = WARM_UP..WARM_UP + self.calls;
        let server = client.server_cpu().await?;
        let (wall, cpu) = (clock(ClockId::Monotonic), clock(ClockId::ProcessCPUTime));
        client.call(self.callers, measured.clone()).await?;
        let wall = clock(ClockId::Monotonic) - wall;
        let cpu = clock(ClockId::ProcessCPUTime) - cpu;
        let server = client.server_cpu().await? - server;
        let before = allocations::start();
        client.call(self.callers, measured.end..measured.end + COUNTED).await?;
        let allocations = allocations::stop() - before;
        client.check()?;
        let calls = self.calls as f64;
        Ok(Cost {
            client_micros: cpu.as_secs_f64() * 1e6 / calls,
            server_micros: server * 1e6 / calls,
            allocations: allocations as f64 / COUNTED as f64,
            per_second: calls / wall.as_secs_f64(),
        })
    }
}

struct Client {
    subject: Subject,
    redis: RedisClient,
    cache: Cache<String>,
    tags: Vec<String>,
    value: String,
    /// All keys are created before the measurement.
    keys: Vec<String>,
    _store: Store,
}

impl Client {
    async fn connect(
        port: u16,
        subject: Subject,
        calls: usize,
    ) -> Result<Rc<Self>, Box<dyn Error>> {
        let store = connect(port)?;
        let cache = store.cache("products").time_to_live(TIME_TO_LIVE);
        let count = if matches!(subject, Subject::Hit(_)) { ENTRIES } else { calls };
        let client = Self {
            subject,
            redis: store.redis().ok_or("the store is not on Redis")?.clone(),
            cache: cache.backend_budget(TIME_TO_LIVE).build()?,
            tags: (0..subject.tags()).map(|tag| format!("tag-{tag:02}")).collect(),
            value: "x".repeat(SIZE - 2),
            keys: (0..count).map(|number| format!("{number:012}")).collect(),
            _store: store,
        };
        if matches!(subject, Subject::Hit(_)) {
            for key in &client.keys {
                let entry = client.cache.entry(key).tags(&client.tags);
                entry.fallible().insert(client.value.clone()).await?;
            }
        }
        Ok(Rc::new(client))
    }

    /// Makes calls, shared between callers that each wait for their own.
    async fn call(
        self: &Rc<Self>,
        callers: usize,
        calls: Range<usize>,
    ) -> Result<(), Box<dyn Error>> {
        let tasks = (0..callers).map(|caller| {
            let (client, calls) = (Rc::clone(self), calls.clone());
            tokio::task::spawn_local(async move {
                for call in calls.skip(caller).step_by(callers) {
                    let done = client.call_once(&client.keys[call % client.keys.len()]).await;
                    done.map_err(|error| error.to_string())?;
                }
                Ok::<_, String>(())
            })
        });
        for done in try_join_all(tasks).await? {
            done?;
        }
        Ok(())
    }

    async fn call_once(&self, key: &str) -> Result<(), Box<dyn Error>> {
        match self.subject {
            Subject::GetSet => {
                self.redis.get(key).await?;
                self.redis.set(key, &self.value).await?;
            }
            Subject::GetSetExpiry => {
                self.redis.get(key).await?;
                let expiry = Expiry::After(TIME_TO_LIVE);
                let options = SetOptions { expiry, ..SetOptions::default() };
                self.redis.set_with(key, &self.value, options).await?;
            }
            Subject::Miss(0) => {
                self.cache.get_or_insert_with(key, async || self.value.clone()).await;
            }
            Subject::Miss(_) => {
                let entry = self.cache.entry(key).tags(&self.tags);
                entry.or_insert_with(async || self.value.clone()).await;
            }
            Subject::Hit(0) => {
                self.cache.get(key).await.ok_or("the entry is missing")?;
            }
            Subject::Hit(_) => {
                let entry = self.cache.entry(key).tags(&self.tags);
                entry.get().await.ok_or("the entry is missing")?;
            }
        }
        Ok(())
    }

    /// Checks that nothing failed.
    fn check(&self) -> Result<(), Box<dyn Error>> {
        let stats = self.cache.stats();
        match stats.errors + stats.degraded {
            0 => Ok(()),
            _ => Err(format!("calls failed: {stats:?}").into()),
        }
    }

    async fn server_cpu(&self) -> Result<f64, Box<dyn Error>> {
        server_cpu(&self.redis).await
    }
}

/// Creates a store with long timeouts, since other processes may occupy the cores and outages are
/// not measured.
pub(crate) fn connect(port: u16) -> Result<Store, Box<dyn Error>> {
    let options = RedisOptions::from_url(&format!("redis://127.0.0.1:{port}"))?;
    let long = Duration::from_secs(10);
    Ok(Store::builder().redis(options.read_timeout(long).store_timeout(long)).build()?)
}

/// Returns the CPU time of the server since its start, in seconds.
pub(crate) async fn server_cpu(redis: &RedisClient) -> Result<f64, Box<dyn Error>> {
    let text = redis.info().await?;
    let of = |name: &str| -> Result<f64, Box<dyn Error>> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(line.ok_or("no CPU time in the server's information")?.parse()?)
    };
    Ok(of("used_cpu_user:")? + of("used_cpu_sys:")?)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
