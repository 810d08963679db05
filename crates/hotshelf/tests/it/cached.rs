//! The attribute `#[cached]`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hotshelf::testing::TestStore;
use hotshelf::{Cache, IntoKey, LoadError, Remaining, Store, cached};

/// Counts the loads of one test.
#[derive(Default)]
struct Loads(AtomicU32);

impl Loads {
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

fn cache(name: &'static str) -> Cache<u32> {
    Store::memory().cache(name).negative_ttl(Duration::from_secs(60)).build().unwrap()
}

static NUMBERS: LazyLock<Cache<u32>> = LazyLock::new(|| cache("numbers"));

/// The number of loads.
#[cached(cache = NUMBERS, key = id, skip(loads))]
async fn number(id: u64, loads: &Loads) -> u32 {
    loads.next()
}

#[tokio::test]
async fn infallible_function_returns_a_shared_value() {
    let loads = Loads::default();
    let loaded: Arc<u32> = number(1, &loads).await;
    let first = number(1, &loads).await;
    assert!(Arc::ptr_eq(&first, &number(1, &loads).await));
    assert_eq!(first, loaded);
    assert_eq!((*first, *number(2, &loads).await), (1, 2));
    number::invalidate(1).await.unwrap();
    assert_eq!(*number(1, &loads).await, 3);
    assert_eq!(*number::refresh(1, &loads).await, 4);
    assert_eq!(*number(1, &loads).await, 4);
}

static SQUARES: LazyLock<Cache<u32>> = LazyLock::new(|| cache("squares"));

#[cached(cache = SQUARES, skip(loads), negative_ttl = "1h")]
async fn even_square(number: u32, loads: &Loads) -> Option<u32> {
    loads.next();
    number.is_multiple_of(2).then(|| number * number)
}

#[tokio::test]
async fn absence_is_cached() {
    let loads = Loads::default();
    for _ in 0..2 {
        assert_eq!(even_square(3, &loads).await, None);
        assert_eq!(even_square(4, &loads).await, Some(Arc::new(16)));
    }
    assert_eq!(loads.count(), 2);
    even_square::invalidate(3).await.unwrap();
    even_square(3, &loads).await;
    assert_eq!(loads.count(), 3);
}

static PARSED: LazyLock<Cache<u32>> = LazyLock::new(|| cache("parsed"));

#[cached(cache = PARSED)]
async fn parsed(text: &str) -> Result<u32, std::num::ParseIntError> {
    let number: u32 = text.parse()?;
    if number == 0 {
        return Ok(1_000);
    }
    Ok(number)
}

#[cached(cache = PARSED, key = ("optional", &text), companions = optional)]
async fn parsed_unless_empty(text: String) -> anyhow::Result<Option<u32>> {
    if text.is_empty() { Ok(None) } else { Ok(Some(text.parse()?)) }
}

#[tokio::test]
async fn errors_are_those_of_the_body() {
    let failed: LoadError<std::num::ParseIntError> = parsed("x").await.unwrap_err();
    assert_eq!(failed.to_string(), "invalid digit found in string");
    assert_eq!(parsed("0").await.as_deref(), Ok(&1_000));
    let failed = parsed_unless_empty(String::from("x")).await.unwrap_err();
    assert!(failed.loader().is_some());
    assert_eq!(parsed_unless_empty(String::new()).await.unwrap(), None);
    assert_eq!(parsed_unless_empty("7".to_owned()).await.unwrap().as_deref(), Some(&7));
    optional::invalidate("7".to_owned()).await.unwrap();
}

struct Repository {
    pages: Cache<String>,
    loads: Loads,
}

impl Repository {
    /// A page.
    #[cached(
        cache = self.pages,
        key = (tenant, number),
        tags = [format!("tenant:{tenant}")],
        ttl = Duration::from_secs(10 + u64::from(number)),
        when = !preview,
        skip(preview),
    )]
    async fn page(&self, tenant: &str, mut number: u32, preview: bool) -> Result<String, ()> {
        number += self.loads.next();
        if preview { Ok("preview".into()) } else { Ok(format!("{tenant} {number}")) }
    }
}

#[tokio::test]
async fn methods_have_companions_beside_them() {
    let test = TestStore::new();
    let pages = test.store().cache("pages").build().unwrap();
    let repository = Repository { pages, loads: Loads::default() };
    for _ in 0..2 {
        assert_eq!(*repository.page("a", 5, false).await.unwrap(), "a 6");
    }
    let left = repository.pages.remaining(("a", 5)).await;
    assert_eq!(left, Remaining::After(Duration::from_secs(15)));
    assert_eq!(*repository.page("a", 5, true).await.unwrap(), "preview", "it isn't used");
    assert_eq!(*repository.refresh_page("a", 5, false).await.unwrap(), "a 8");
    test.store().invalidate_tag("tenant:a").await.unwrap();
    assert_eq!(*repository.page("a", 5, false).await.unwrap(), "a 9");
    repository.invalidate_page("a", 5).await.unwrap();
    assert!(!repository.pages.contains_key(("a", 5)).await);
}

/// The cache is an argument, and the key of any type.
#[cached(cache = cache, key = id, skip(loads), tags = ["all"])]
pub(crate) async fn generic<K: IntoKey, L>(cache: &Cache<u32>, id: &K, loads: L) -> u32
where
    L: AsyncFn() -> u32,
{
    loads().await
}

#[tokio::test]
async fn functions_may_be_generic() {
    let cache = cache("generic");
    let loads = Loads::default();
    for _ in 0..2 {
        assert_eq!(*generic(&cache, &("a", 1), async || loads.next()).await, 1);
    }
    generic::invalidate(&cache, &("a", 1)).await.unwrap();
    assert_eq!(*generic(&cache, &("a", 1), async || loads.next()).await, 2);
}

#[cached(cache = cache, skip(etag), context = context)]
async fn versioned(cache: &Cache<u32>, id: u32, etag: u32) -> Result<Arc<u32>, String> {
    context.time_to_live(Duration::from_secs(10));
    match context.previous() {
        Some(previous) => Ok(Arc::clone(previous)),
        None => Ok(Arc::new(etag)),
    }
}

#[tokio::test]
async fn body_decides_by_its_context() {
    let test = TestStore::new();
    let minute = Duration::from_secs(60);
    let cache = test.store().cache::<u32>("n").time_to_live(minute).stale_if_error(minute);
    let cache = cache.jitter(hotshelf::Jitter::NONE).build().unwrap();
    for etag in [6, 7] {
        assert_eq!(versioned(&cache, 1, etag).await.as_deref(), Ok(&6));
        let left = cache.remaining(1).await;
        assert_eq!(left, Remaining::After(Duration::from_secs(10)));
        test.advance(Duration::from_secs(10));
    }
}

static ONLY: LazyLock<Cache<u32>> = LazyLock::new(|| cache("only"));

#[cached(cache = ONLY)]
async fn without_arguments() -> u32 {
    7
}

#[tokio::test]
async fn function_without_arguments_has_its_name_as_key() {
    assert_eq!(*without_arguments().await, 7);
    assert!(ONLY.contains_key("without_arguments").await);
}

/// As handlers need them.
#[tokio::test]
async fn futures_are_send() {
    let number = tokio::spawn(async {
        let loads = Loads::default();
        (*number(70, &loads).await, parsed("70").await.map(|number| *number))
    });
    assert_eq!(number.await.unwrap(), (1, Ok(70)));
}

trait Unit {
    const FACTOR: u32;
}

struct Dozen;

impl Unit for Dozen {
    const FACTOR: u32 = 12;
}

struct Score;

impl Unit for Score {
    const FACTOR: u32 = 20;
}

#[cached(cache = cache, key = (U::FACTOR, count))]
async fn pieces<U: Unit>(cache: &Cache<u32>, count: u32) -> u32 {
    U::FACTOR * count
}

struct Shop {
    pages: Cache<u32>,
    tax: u32,
}

static SHOPS: LazyLock<Cache<u32>> = LazyLock::new(|| cache("shops"));

impl Shop {
    #[cached(cache = self.pages)]
    async fn count(&self, pages: u32) -> u32 {
        10 * pages
    }

    #[cached(cache = SHOPS, key = (self.tax, price))]
    async fn gross(&self, price: u32) -> u32 {
        price * (100 + self.tax) / 100
    }
}

/// A key is made of variables, not of names that look like them.
#[tokio::test]
async fn what_tells_calls_apart_is_in_the_key() {
    let cache = cache("apart");
    for _ in 0..2 {
        assert_eq!(*pieces::<Dozen>(&cache, 2).await, 24);
        assert_eq!(*pieces::<Score>(&cache, 2).await, 40);
        let [low, high] = [7, 19].map(|tax| Shop { pages: cache.clone(), tax });
        assert_eq!((*low.count(1).await, *low.count(2).await), (10, 20));
        assert_eq!((*low.gross(100).await, *high.gross(100).await), (107, 119));
    }
    pieces::invalidate::<Dozen>(&cache, 2).await.unwrap();
    assert!(!cache.contains_key((12, 2)).await && cache.contains_key((20, 2)).await);
}

const RELOAD: bool = true;

mod strict {
    #![deny(warnings)]

    use super::*;

    static STRICT: LazyLock<Cache<u32>> = LazyLock::new(|| cache("strict"));

    /// What concerns the body reaches it.
    #[cached(cache = STRICT, skip(key, entry, load))]
    #[expect(unused_variables, reason = "a test")]
    pub(in super::super) async fn strictly(r#type: u32, key: u32, entry: u32, load: u32) -> u32 {
        #![expect(unused_mut, reason = "a test")]
        let mut unused = 1;
        if RELOAD { r#type + key + entry + load } else { 0 }
    }

    #[cached(cache = STRICT)]
    #[cfg(any())]
    async fn left_out(id: Unknown) -> u32 {
        id
    }
}

#[tokio::test]
async fn body_sees_nothing_of_the_expansion() {
    assert_eq!(*strict::strictly(1, 2, 3, 4).await, 10);
    strict::strictly::invalidate(1).await.unwrap();
}
