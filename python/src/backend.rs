//! One backend for the engine, with connections of its own on each event loop.

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

/// Redis or Valkey, with connections of its own for each event loop.
pub(crate) struct PerLoop {
    options: RedisOptions,
    transport: Arc<LoopTransport>,
    /// The backends, by the addresses of their loops' executors.
    backends: Mutex<HashMap<usize, OfLoop>>,
    closed: AtomicBool,
}

/// The backend of a loop, which lasts as long as the loop's executor.
type OfLoop = (Weak<Executor>, Arc<RedisBackend>);

impl PerLoop {
    pub(crate) fn new(options: RedisOptions, transport: Arc<LoopTransport>) -> Self {
        Self { options, transport, backends: Mutex::default(), closed: AtomicBool::new(false) }
    }

    /// Returns the backend of the running loop.
    fn here(&self) -> Result<Arc<RedisBackend>> {
        let executor = Executor::current().ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, "there is no event loop to talk to servers on")
        })?;
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Closed, "the cache was closed"));
        }
        let mut backends = self.backends.lock();
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

    /// Returns the raw client of the running loop.
    pub(crate) fn client(&self) -> Result<RedisClient> {
        Ok(self.here()?.client().clone())
    }
}

impl Layer for PerLoop {
    type Inner = RedisBackend;

    fn inner(&self) -> Result<impl Deref<Target = RedisBackend> + Send> {
        self.here()
    }

    /// Known without a running loop.
    fn on_name(&self) -> &'static str {
        "redis"
    }

    /// Closes the backends of all loops. The connections of another loop end when it runs
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
