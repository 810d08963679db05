//! What is measured.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use hotshelf::{Cache, NearOptions, RedisOptions, Store};
use rustix::time::{ClockId, clock_gettime};

const WINDOW: Duration = Duration::from_secs(3_600);
const KEYS: u64 = 100;

/// A value of some 100 bytes.
const VALUE: &str =
    "a product with a name, a price, a category, and a description that is a little longer, too";

/// A kind of call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject(Place, Calls);

#[derive(Clone, Copy, Debug)]
enum Place {
    Memory,
    Near,
    Redis,
}

#[derive(Clone, Copy, Debug)]
enum Calls {
    Hit,
    HitWithWindows,
    HitWithEarlyRefresh,
    MgetOfRedis,
    MgetOfHotshelf,
    GetMany,
    GetOrLoadMany,
}

/// In each group, the first is what the others are compared with.
pub(crate) const HITS: [&[Subject]; 3] = [
    &[
        Subject(Place::Memory, Calls::Hit),
        Subject(Place::Memory, Calls::HitWithWindows),
        Subject(Place::Memory, Calls::HitWithEarlyRefresh),
    ],
    &[
        Subject(Place::Near, Calls::Hit),
        Subject(Place::Near, Calls::HitWithWindows),
        Subject(Place::Near, Calls::HitWithEarlyRefresh),
    ],
    &[
        Subject(Place::Redis, Calls::Hit),
        Subject(Place::Redis, Calls::HitWithWindows),
        Subject(Place::Redis, Calls::HitWithEarlyRefresh),
    ],
];

pub(crate) const BATCHES: [Subject; 4] = [
    Subject(Place::Redis, Calls::MgetOfRedis),
    Subject(Place::Redis, Calls::MgetOfHotshelf),
    Subject(Place::Redis, Calls::GetMany),
    Subject(Place::Redis, Calls::GetOrLoadMany),
];

impl Subject {
    pub(crate) fn name(self) -> String {
        let Self(place, calls) = self;
        let place = match place {
            Place::Memory => "in memory",
            Place::Near => "near",
            Place::Redis => "on Redis",
        };
        match calls {
            Calls::Hit => format!("hit {place}"),
            Calls::HitWithWindows => format!("hit {place}, with stale windows"),
            Calls::HitWithEarlyRefresh => format!("hit {place}, with windows and early refresh"),
            Calls::MgetOfRedis => "MGET of 100, redis crate".into(),
            Calls::MgetOfHotshelf => "MGET of 100, store.redis()".into(),
            Calls::GetMany => "get_many of 100".into(),
            Calls::GetOrLoadMany => "get_or_load_many of 100, all hits".into(),
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self, Box<dyn Error>> {
        let mut all = HITS.iter().copied().flatten().chain(&BATCHES);
        Ok(*all.find(|subject| subject.name() == name).ok_or("unknown subject")?)
    }

    pub(crate) fn arguments(self, port: u16, calls: usize) -> [String; 4] {
        ["run".into(), self.name(), port.to_string(), calls.to_string()]
    }

    /// Makes the calls, and returns the CPU time of one in microseconds.
    pub(crate) fn run(self, port: u16, calls: usize) -> Result<f64, Box<dyn Error>> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio.block_on(self.measure(port, calls))
    }

    async fn measure(self, port: u16, calls: usize) -> Result<f64, Box<dyn Error>> {
        let Self(place, kind) = self;
        let url = format!("redis://127.0.0.1:{port}");
        let cache = cache(place, kind, &url)?;
        for key in 0..KEYS {
            cache.insert(key, VALUE.to_owned()).await;
        }
        // Read into the near tier, whose connection has to be vouched for.
        for _ in 0..20 {
            cache.get_many(0..KEYS).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let keys: Vec<String> =
            (0..KEYS).map(|key| cache.wire_key(key).as_str().to_owned()).collect();
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let own = Store::connect(&format!("redis://127.0.0.1:{port}")).await?;
        let own = own.redis().ok_or("the store is not on Redis")?;
        let began = cpu();
        for call in 0..calls as u64 {
            match kind {
                Calls::Hit | Calls::HitWithWindows | Calls::HitWithEarlyRefresh => {
                    let load = async || -> Result<String, ()> { panic!("a miss") };
                    let got = cache.get_or_try_insert_with(call % KEYS, load).await;
                    black_box(got.map_err(|_| "no value")?);
                }
                Calls::MgetOfRedis => {
                    let got: Vec<Option<Vec<u8>>> =
                        redis::cmd("MGET").arg(&keys).query_async(&mut connection).await?;
                    assert_eq!(black_box(got).len(), keys.len());
                }
                Calls::MgetOfHotshelf => drop(black_box(own.mget(&keys).await?)),
                Calls::GetMany => drop(black_box(cache.get_many(0..KEYS).await)),
                Calls::GetOrLoadMany => {
                    let load = async |_| -> Result<Vec<(u64, String)>, ()> { panic!("a miss") };
                    let got = cache.get_or_load_many(0..KEYS, load).await;
                    assert_eq!(black_box(got.map_err(|_| "no value")?).len(), keys.len());
                }
            }
        }
        Ok((cpu() - began).as_secs_f64() * 1e6 / calls as f64)
    }
}

fn cache(place: Place, kind: Calls, url: &str) -> Result<Cache<String>, Box<dyn Error>> {
    let store = match place {
        Place::Memory => Store::memory(),
        Place::Redis => Store::builder().redis(RedisOptions::from_url(url)?).build()?,
        Place::Near => {
            let near = NearOptions::default();
            Store::builder().redis(RedisOptions::from_url(url)?).near(near).build()?
        }
    };
    let builder = store.cache("hits").time_to_live(WINDOW);
    let builder = match kind {
        Calls::HitWithWindows => builder.stale_while_revalidate(WINDOW).stale_if_error(WINDOW),
        Calls::HitWithEarlyRefresh => {
            builder.stale_while_revalidate(WINDOW).stale_if_error(WINDOW).early_refresh(1.0)
        }
        _ => builder,
    };
    Ok(builder.build()?)
}

pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
