//! What is measured.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use hotshelf::{Cache, NearOptions, Store, WireKey};
use hotshelf_testkit::RedisServer;
use quick_cache::sync::Cache as Table;
use tokio::runtime::Runtime;

use crate::product::Product;
use crate::trace::{KEYS, Trace};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The key of the cache, and a read of the table alone.
    Table,
    Get,
    GetOrInsert,
    /// An entry with two tags, which the call names.
    Tagged,
    /// A hit in the near tier in front of Redis.
    Near,
    /// The same with two tags.
    NearTagged,
    /// moka's `get_with`, with a key of the same length.
    Moka,
}

pub(crate) const SUBJECTS: [Subject; 7] = [
    Subject::Table,
    Subject::Get,
    Subject::GetOrInsert,
    Subject::Tagged,
    Subject::Near,
    Subject::NearTagged,
    Subject::Moka,
];

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Table => "quick_cache, with the same key",
            Self::Get => "`get`",
            Self::GetOrInsert => "`get_or_insert_with`",
            Self::Tagged => "`get` with 2 tags",
            Self::Near => "`get`, near tier",
            Self::NearTagged => "`get` with 2 tags, near tier",
            Self::Moka => "moka, `get_with`",
        }
    }
}

/// All caches, filled.
pub(crate) struct Fixture {
    identifiers: Vec<String>,
    table: Table<WireKey, Arc<Product>>,
    cache: Cache<Product>,
    tagged: Cache<Product>,
    near: Cache<Product>,
    near_tagged: Cache<Product>,
    moka: moka::future::Cache<String, Arc<Product>>,
    /// Where the connection to Redis lives.
    runtime: Runtime,
    _store: Store,
    _near_store: Store,
    _redis: RedisServer,
}

impl Fixture {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let store = Store::memory();
        let cache = store.cache("products").build()?;
        let tagged = store.cache("tagged").tags(|_| ["lamps", "brass"]).build()?;
        let redis = RedisServer::start()?;
        let near =
            NearOptions::default().max_bytes(256 << 20).time_to_live(Duration::from_secs(3600));
        let near_store = Store::builder().url(redis.url()).near(near).build()?;
        let longest = Duration::from_secs(3600);
        let near = near_store.cache("products").time_to_live(longest).build()?;
        let near_tagged = near_store
            .cache("tagged")
            .time_to_live(longest)
            .tags(|_| ["lamps", "brass"])
            .build()?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let fixture = Self {
            identifiers: (0..KEYS).map(|id| format!("sku-{id:05}")).collect(),
            table: Table::new(2 * KEYS),
            cache,
            tagged,
            near,
            near_tagged,
            moka: moka::future::Cache::new(2 * KEYS as u64),
            runtime,
            _store: store,
            _near_store: near_store,
            _redis: redis,
        };
        fixture.runtime.block_on(fixture.fill());
        Ok(fixture)
    }

    async fn fill(&self) {
        for (number, id) in self.identifiers.iter().enumerate() {
            let product = Arc::new(Product::numbered(number));
            self.table.insert(self.cache.wire_key(id), Arc::clone(&product));
            self.moka
                .insert(self.cache.wire_key(id).as_str().to_owned(), Arc::clone(&product))
                .await;
            self.cache.insert(id, Arc::clone(&product)).await;
            self.tagged.insert(id, Arc::clone(&product)).await;
            self.near.insert(id, Arc::clone(&product)).await;
            self.near_tagged.insert(id, product).await;
        }
        // The first reads are admitted, the second ones answered from the near tier.
        for cache in [&self.near, &self.near_tagged] {
            for round in 0..2 {
                let before = cache.stats().near_hits;
                for id in &self.identifiers {
                    assert!(cache.get(id).await.is_some(), "it was stored");
                }
                let near = cache.stats().near_hits - before;
                assert!(round == 0 || near == KEYS as u64, "{near} near hits");
            }
        }
    }

    /// Reads keys of a trace, in a task of a runtime of this thread.
    pub(crate) fn run(&self, subject: Subject, trace: &Trace, from: usize, calls: usize) {
        let ids = trace.from(from).take(calls).map(|number| &self.identifiers[number]);
        let work = async {
            for id in ids {
                match subject {
                    Subject::Table => drop(black_box(self.table.get(&self.cache.wire_key(id)))),
                    Subject::Get => drop(black_box(self.cache.get(id).await)),
                    Subject::GetOrInsert => {
                        let load = async || Product::numbered(0);
                        drop(black_box(self.cache.get_or_insert_with(id, load).await));
                    }
                    Subject::Tagged => drop(black_box(self.tagged.get(id).await)),
                    Subject::Near => drop(black_box(self.near.get(id).await)),
                    Subject::NearTagged => drop(black_box(self.near_tagged.get(id).await)),
                    Subject::Moka => {
                        let key = self.cache.wire_key(id).as_str().to_owned();
                        let load = async { Arc::new(Product::numbered(0)) };
                        drop(black_box(self.moka.get_with(key, load).await));
                    }
                }
            }
        };
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            runtime.block_on(work);
        }
    }
}
