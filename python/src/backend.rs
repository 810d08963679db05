//! A backend with separate connections for each event loop.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use hotshelf_core::backend::{Backend, Layer, Result};
use hotshelf_core::sync::Mutex;
use hotshelf_core::{BoxFuture, Error, ErrorKind};
use hotshelf_redis::{RedisBackend, RedisClient, RedisOptions};

use crate::executor::Executor;
use crate::runtime::LoopRuntime;
use crate::transport::LoopTransport;

/// The Redis backend, with separate connections for each event loop.
pub(crate) struct PerLoop {
    options: RedisOptions,
    transport: Arc<LoopTransport>,
    /// The backends, by the address of their loop's executor.
    backends: Mutex<HashMap<usize, LoopBackend>>,
    closed: AtomicBool,
}

/// The backend of a loop, valid as long as the loop's executor.
type LoopBackend = (Weak<Executor>, Arc<RedisBackend>);

impl PerLoop {
    pub(crate) fn new(options: RedisOptions, transport: Arc<LoopTransport>) -> Self {
        Self { options, transport, backends: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// Returns the backend of the running loop.
    fn current(&self) -> Result<Arc<RedisBackend>> {
        let executor = Executor::current().ok_or_else(|| {
            Error::new(
                ErrorKind::Unavailable,
                "no running event loop: use the cache from a coroutine",
            )
        })?;
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the cache is closed"));
        }
        let mut backends = self.backends.lock();
        let address = Arc::as_ptr(&executor) as usize;
        let is_open = |owner: &Weak<Executor>| owner.upgrade().is_some_and(|it| !it.is_closed());
        if let Some((owner, backend)) = backends.get(&address)
            && is_open(owner)
        {
            return Ok(Arc::clone(backend));
        }
        // Drop the backends of closed loops.
        backends.retain(|_, (owner, _)| is_open(owner));
        let transport = Arc::clone(&self.transport);
        let backend = RedisBackend::on(transport, &self.options, Arc::new(LoopRuntime));
        let backend = Arc::new(backend);
        backends.insert(address, (Arc::downgrade(&executor), Arc::clone(&backend)));
        Ok(backend)
    }

    /// Returns the raw client of the running loop.
    pub(crate) fn client(&self) -> Result<RedisClient> {
        Ok(self.current()?.client().clone())
    }
}

impl Layer for PerLoop {
    type Inner = RedisBackend;

    fn inner(&self) -> Result<impl Deref<Target = RedisBackend> + Send> {
        self.current()
    }

    /// Returns the name without a running loop.
    fn on_name(&self) -> &'static str {
        "redis"
    }

    /// Closes the backends of all loops. Connections of other loops are closed when those run
    /// next.
    fn on_close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.closed.store(true, Ordering::Release);
            let backends = std::mem::take(&mut *self.backends.lock());
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
