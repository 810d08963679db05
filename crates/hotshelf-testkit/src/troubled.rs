//! A backend that answers some of its operations with errors.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Result, Stored, TagVersion, Take, Taken, Token,
};
use hotshelf_core::{
    Backend, BoxFuture, Error, ErrorKind, Pattern, Remaining, ServerInfo, Ttl, WireKey,
};

/// Another backend, some of whose operations fail.
///
/// A timeout is answered behind the operation, which was executed; any other error instead
/// of it.
pub struct Troubled<B> {
    backend: B,
    trouble: Trouble,
    releases: AtomicU64,
}

/// Says of an operation on a key whether it fails.
pub type Trouble = fn(Operation, &WireKey) -> Option<ErrorKind>;

/// The operations that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`Backend::take`].
    Take,
    /// [`Backend::capture`], of the tag with this key.
    Capture,
    /// [`Backend::store`].
    Store,
    /// [`Backend::release`].
    Release,
}

impl<B: Backend> Troubled<B> {
    /// Lets those operations of a backend fail that `trouble` picks.
    pub fn new(backend: B, trouble: Trouble) -> Self {
        Self { backend, trouble, releases: AtomicU64::new(0) }
    }

    /// Says how many leases were given up so far.
    pub fn releases(&self) -> u64 {
        self.releases.load(Ordering::Relaxed)
    }

    /// Runs an operation on one key, or fails.
    async fn run<T>(
        &self,
        operation: Operation,
        key: &WireKey,
        run: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let failed = |kind| Err(Error::new(kind, format!("the {operation:?} fails")));
        match (self.trouble)(operation, key) {
            None => run.await,
            Some(ErrorKind::Timeout) => run.await.and(failed(ErrorKind::Timeout)),
            Some(kind) => failed(kind),
        }
    }

    async fn take_each(&self, takes: &[Take]) -> Vec<Result<Taken>> {
        let mut answers = Vec::new();
        for take in takes {
            let one = std::slice::from_ref(take);
            let taking = async { self.backend.take(one).await.remove(0) };
            answers.push(self.run(Operation::Take, &take.key, taking).await);
        }
        answers
    }

    async fn store_each(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let mut answers = Vec::new();
        for fill in fills {
            let one = std::slice::from_ref(fill);
            let storing = async { self.backend.store(one).await.remove(0) };
            answers.push(self.run(Operation::Store, &fill.key, storing).await);
        }
        answers
    }

    async fn capture_each(&self, tags: &[WireKey], keep: Ttl) -> Result<Vec<TagVersion>> {
        let mut versions = Vec::new();
        for tag in tags {
            let one = std::slice::from_ref(tag);
            let capturing = self.backend.capture(one, keep);
            versions.extend(self.run(Operation::Capture, tag, capturing).await?);
        }
        Ok(versions)
    }
}

impl<B: fmt::Debug> fmt::Debug for Troubled<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Troubled").field(&self.backend).finish()
    }
}

impl<B: Backend> Backend for Troubled<B> {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        self.backend.read(keys)
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        self.backend.acquire(acquire)
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        Box::pin(self.take_each(takes))
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        Box::pin(self.store_each(fills))
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        self.releases.fetch_add(1, Ordering::Relaxed);
        let releasing = async move { self.backend.release(key, token).await };
        Box::pin(self.run(Operation::Release, key, releasing))
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        self.backend.renew(key, token, lease)
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        Box::pin(self.capture_each(tags, keep))
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        self.backend.invalidate(keys)
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        self.backend.invalidate_tags(tags)
    }

    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        self.backend.invalidate_matching(pattern)
    }

    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        self.backend.remaining(key)
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.backend.ping()
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        self.backend.info()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.backend.close()
    }
}
