//! One backend for the engine, with connections of its own on each event loop.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Backend, Fill, Result, ServerInfo, Stored, TagVersion, Take, Taken, Token,
    Watch,
};
use hotshelf_core::{BoxFuture, Error, ErrorKind, Pattern, Remaining, Ttl, WireKey};
use hotshelf_redis::{RedisBackend, RedisClient, RedisOptions};

use crate::executor::Executor;
use crate::runtime::LoopRuntime;
use crate::sync::lock;
use crate::transport::LoopTransport;

/// Redis or Valkey. What an event loop asks goes over the connections of that loop.
pub(crate) struct PerLoop {
    options: RedisOptions,
    transport: Arc<LoopTransport>,
    /// The backends, by where the executors of their loops are.
    backends: Mutex<HashMap<usize, OfLoop>>,
    closed: AtomicBool,
}

/// The backend of a loop, which lasts as long as the loop's executor.
type OfLoop = (Weak<Executor>, Arc<RedisBackend>);

impl PerLoop {
    pub(crate) fn new(options: RedisOptions, transport: Arc<LoopTransport>) -> Self {
        Self { options, transport, backends: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// Gives the backend of the loop that is running.
    fn here(&self) -> Result<Arc<RedisBackend>> {
        let executor = Executor::current().ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "there is no event loop to talk to servers on")
        })?;
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the cache was closed"));
        }
        let mut backends = lock(&self.backends);
        let place = Arc::as_ptr(&executor) as usize;
        if let Some((of, backend)) = backends.get(&place)
            && of.upgrade().is_some_and(|of| !of.is_closed())
        {
            return Ok(Arc::clone(backend));
        }
        // Loops come and go; what was theirs goes with them.
        backends.retain(|_, (of, _)| of.upgrade().is_some_and(|of| !of.is_closed()));
        let transport = Arc::clone(&self.transport);
        let backend = RedisBackend::on(transport, &self.options, Arc::new(LoopRuntime));
        let backend = Arc::new(backend);
        backends.insert(place, (Arc::downgrade(&executor), Arc::clone(&backend)));
        Ok(backend)
    }

    /// Gives the raw client of the loop that is running.
    pub(crate) fn client(&self) -> Result<RedisClient> {
        Ok(self.here()?.client().clone())
    }
}

/// Asks the backend of the loop that is running.
macro_rules! here {
    ($self:ident, $backend:ident => $ask:expr) => {
        Box::pin(async move {
            let $backend = $self.here()?;
            $ask.await
        })
    };
}

impl Backend for PerLoop {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        here!(self, backend => backend.read(keys))
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        here!(self, backend => backend.acquire(acquire))
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        Box::pin(async move {
            match self.here() {
                Ok(backend) => backend.take(takes).await,
                Err(error) => takes.iter().map(|_| Err(error.clone())).collect(),
            }
        })
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        Box::pin(async move {
            match self.here() {
                Ok(backend) => backend.store(fills).await,
                Err(error) => fills.iter().map(|_| Err(error.clone())).collect(),
            }
        })
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        here!(self, backend => backend.release(key, token))
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        here!(self, backend => backend.renew(key, token, lease))
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        here!(self, backend => backend.capture(tags, keep))
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        here!(self, backend => backend.invalidate(keys))
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        here!(self, backend => backend.invalidate_tags(tags))
    }

    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        here!(self, backend => backend.invalidate_matching(pattern))
    }

    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        here!(self, backend => backend.remaining(key))
    }

    fn watch(&self, key: &WireKey) -> Option<Watch> {
        self.here().ok()?.watch(key)
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        here!(self, backend => backend.ping())
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        here!(self, backend => backend.info())
    }

    /// On all loops: connections of other loops end when those next have their turn.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.closed.store(true, Ordering::Release);
            let backends = std::mem::take(&mut *lock(&self.backends));
            for (_, backend) in backends.into_values() {
                backend.close().await;
            }
        })
    }
}

impl fmt::Debug for PerLoop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PerLoop").field("options", &self.options).finish_non_exhaustive()
    }
}
