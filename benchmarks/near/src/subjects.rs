//! What is measured.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use hotshelf::{Cache, Store, WireKey};
use quick_cache::sync::Cache as Table;

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
    /// moka's `get_with`, with a key of the same length.
    Moka,
}

pub(crate) const SUBJECTS: [Subject; 5] =
    [Subject::Table, Subject::Get, Subject::GetOrInsert, Subject::Tagged, Subject::Moka];

impl Subject {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Table => "quick_cache, with the same key",
            Self::Get => "`get`",
            Self::GetOrInsert => "`get_or_insert_with`",
            Self::Tagged => "`get` with 2 tags",
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
    moka: moka::future::Cache<String, Arc<Product>>,
    _store: Store,
}

impl Fixture {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let store = Store::memory();
        let cache = store.cache("products").build()?;
        let tagged = store.cache("tagged").tags(|_| ["lamps", "brass"]).build()?;
        let fixture = Self {
            identifiers: (0..KEYS).map(|id| format!("sku-{id:05}")).collect(),
            table: Table::new(2 * KEYS),
            cache,
            tagged,
            moka: moka::future::Cache::new(2 * KEYS as u64),
            _store: store,
        };
        runtime()?.block_on(fixture.fill());
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
            self.tagged.insert(id, product).await;
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
                    Subject::Moka => {
                        let key = self.cache.wire_key(id).as_str().to_owned();
                        let load = async { Arc::new(Product::numbered(0)) };
                        drop(black_box(self.moka.get_with(key, load).await));
                    }
                }
            }
        };
        if let Ok(runtime) = runtime() {
            runtime.block_on(work);
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().build()
}
