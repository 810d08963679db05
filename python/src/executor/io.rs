//! Readiness of sockets.

use std::fmt;
use std::io::Result;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use hotshelf_core::sync::Mutex;
use mio::event::Source as MioSource;
use mio::{Events, Interest, Registry, Token};

use super::Executor;

/// The token of an executor's waker.
pub(super) const WAKER: Token = Token(usize::MAX);

/// The sockets of an executor.
pub(crate) struct Sockets {
    registry: Registry,
    /// The sockets by token; `None` for a free token.
    sources: Mutex<Vec<Option<Arc<Readiness>>>>,
}

/// The readiness of a socket, as of the last event or the last attempt.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    descriptor: RawFd,
    readable: AtomicBool,
    writable: AtomicBool,
    waiting: AtomicWaker,
}

/// A socket that can be watched.
pub(crate) trait Watched: MioSource + AsRawFd {}

impl<S: MioSource + AsRawFd> Watched for S {}

impl Sockets {
    pub(super) fn new(registry: Registry) -> Self {
        Self { registry, sources: Mutex::default() }
    }

    /// Marks the sockets of events as ready, and wakes their tasks.
    pub(super) fn mark_ready(&self, events: &Events) {
        for event in events {
            let source = self.sources.lock().get(event.token().0).cloned().flatten();
            let Some(source) = source else { continue };
            let broken = event.is_error();
            if broken || event.is_readable() || event.is_read_closed() {
                source.readable.store(true, Ordering::Release);
            }
            if broken || event.is_writable() || event.is_write_closed() {
                source.writable.store(true, Ordering::Release);
            }
            source.waiting.wake();
        }
    }

    /// Drops the wakers of all sockets.
    pub(super) fn clear(&self) {
        let sources = std::mem::take(&mut *self.sources.lock());
        for source in sources.into_iter().flatten() {
            drop(source.waiting.take());
        }
    }

    /// Returns the descriptors of all sockets.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        self.sources.lock().iter().flatten().map(|source| source.descriptor).collect()
    }

    fn add(&self, socket: &mut impl Watched) -> Result<(Token, Arc<Readiness>)> {
        let descriptor = socket.as_raw_fd();
        let readiness = Arc::new(Readiness { descriptor, ..Readiness::default() });
        let mut sources = self.sources.lock();
        let free = sources.iter().position(Option::is_none).unwrap_or(sources.len());
        let token = Token(free);
        self.registry.register(socket, token, Interest::READABLE | Interest::WRITABLE)?;
        if free == sources.len() {
            sources.push(None);
        }
        sources[free] = Some(Arc::clone(&readiness));
        Ok((token, readiness))
    }

    fn remove(&self, socket: &mut impl Watched, token: Token) {
        // A failure doesn't matter: closing the socket deregisters it, too.
        let _ = self.registry.deregister(socket);
        if let Some(source) = self.sources.lock().get_mut(token.0) {
            *source = None;
        }
    }
}

impl Readiness {
    /// Waits until the socket is readable.
    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        self.poll(&self.readable, context)
    }

    /// Waits until the socket is writable.
    pub(crate) fn poll_writable(&self, context: &Context<'_>) -> Poll<()> {
        self.poll(&self.writable, context)
    }

    fn poll(&self, ready: &AtomicBool, context: &Context<'_>) -> Poll<()> {
        if ready.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.waiting.register(context.waker());
        match ready.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Marks the socket as drained.
    pub(crate) fn clear_readable(&self) {
        self.readable.store(false, Ordering::Release);
    }

    /// Marks the socket as not writable.
    pub(crate) fn clear_writable(&self) {
        self.writable.store(false, Ordering::Release);
    }
}

/// A socket watched by an executor.
pub(crate) struct Source<S: Watched> {
    pub(crate) socket: S,
    pub(crate) readiness: Arc<Readiness>,
    token: Token,
    executor: Arc<Executor>,
}

impl<S: Watched> Source<S> {
    pub(crate) fn new(mut socket: S, executor: Arc<Executor>) -> Result<Self> {
        let (token, readiness) = executor.sockets().add(&mut socket)?;
        Ok(Self { socket, readiness, token, executor })
    }
}

impl<S: Watched> Drop for Source<S> {
    fn drop(&mut self) {
        let Self { socket, token, executor, .. } = self;
        executor.sockets().remove(socket, *token);
    }
}

impl<S: Watched> fmt::Debug for Source<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Source").field("token", &self.token).finish_non_exhaustive()
    }
}
