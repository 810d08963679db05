//! Fault injection for backends.

use std::fmt;
use std::ops::Deref;
use std::slice::from_ref;
use std::sync::atomic::{AtomicU64, Ordering};

use std::time::Duration;

use hotshelf_core::backend::{
    Acquire, Acquired, Answer, Fill, Layer, Operation, Result, Stored, TagVersion, Take, Taken,
};
use hotshelf_core::{Backend, BoxFuture, Error, ErrorKind, Ttl, WireKey};

/// Injects faults into the operations of another backend.
///
/// An operation that is to time out is executed, and only its answer is lost. For any other
/// error it is not executed.
pub struct FaultyBackend<B> {
    backend: B,
    fault: Fault,
    releases: AtomicU64,
}

/// Returns the error with which an operation on a key fails, or `None` if it is executed
/// normally.
///
/// It is called for each key of [`Backend::acquire_many`], [`Backend::take`], [`Backend::store`],
/// [`Backend::capture`] and [`Backend::capture_with_age`], and for other operations if they have
/// one key.
pub type Fault = fn(Operation<'_>, &WireKey) -> Option<ErrorKind>;

impl<B: Backend> FaultyBackend<B> {
    /// Wraps a backend so that the operations selected by `fault` fail.
    pub fn new(backend: B, fault: Fault) -> Self {
        Self { backend, fault, releases: AtomicU64::new(0) }
    }

    /// Returns the number of RELEASE operations, including those that an injected fault
    /// prevented.
    pub fn releases(&self) -> u64 {
        self.releases.load(Ordering::Relaxed)
    }

    fn fault(&self, operation: Operation<'_>) -> Option<Error> {
        let [key] = operation.keys()[..] else { return None };
        let kind = (self.fault)(operation, key)?;
        Some(Error::new(kind, format!("injected fault: {} fails", operation.name())))
    }
}

/// The items of a batch are executed one by one, so that each can fail on its own.
impl<B: Backend> Layer for FaultyBackend<B> {
    type Inner = B;

    fn inner(&self) -> Result<impl Deref<Target = B> + Send> {
        Ok(&self.backend)
    }

    fn around<'a, A: Answer + 'a>(
        &'a self,
        operation: Operation<'a>,
        run: BoxFuture<'a, A>,
    ) -> BoxFuture<'a, A> {
        if matches!(operation, Operation::Release(_)) {
            self.releases.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(async move {
            let Some(error) = self.fault(operation) else { return run.await };
            if error.is_timeout() {
                run.await;
            }
            A::failure(operation, error)
        })
    }

    fn on_acquire_many<'a>(
        &'a self,
        acquires: &'a [Acquire<'a>],
    ) -> BoxFuture<'a, Vec<Result<Acquired>>> {
        Box::pin(async move {
            if acquires.len() == 1 {
                return self.backend.acquire_many(acquires).await;
            }
            let mut answers = Vec::new();
            for acquire in acquires {
                answers.extend(self.acquire_many(from_ref(acquire)).await);
            }
            answers
        })
    }

    fn on_take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        Box::pin(async move {
            if takes.len() == 1 {
                return self.backend.take(takes).await;
            }
            let mut answers = Vec::new();
            for take in takes {
                answers.extend(self.take(from_ref(take)).await);
            }
            answers
        })
    }

    fn on_store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        Box::pin(async move {
            if fills.len() == 1 {
                return self.backend.store(fills).await;
            }
            let mut answers = Vec::new();
            for fill in fills {
                answers.extend(self.store(from_ref(fill)).await);
            }
            answers
        })
    }

    fn on_capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        Box::pin(async move {
            if tags.len() == 1 {
                return self.backend.capture(tags, keep).await;
            }
            let mut versions = Vec::new();
            for tag in tags {
                versions.extend(self.capture(from_ref(tag), keep).await?);
            }
            Ok(versions)
        })
    }

    fn on_capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>> {
        Box::pin(async move {
            if tags.len() == 1 {
                return self.backend.capture_with_age(tags, keep).await;
            }
            let mut versions = Vec::new();
            for tag in tags {
                versions.extend(self.capture_with_age(from_ref(tag), keep).await?);
            }
            Ok(versions)
        })
    }
}

impl<B: fmt::Debug> fmt::Debug for FaultyBackend<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("FaultyBackend").field(&self.backend).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use hotshelf_core::backend::Token;

    use super::*;
    use crate::simulation::{History, Network, SimLink, SimRuntime, SimServer};

    #[test]
    fn timeout_executes_and_error_skips() {
        let runtime = SimRuntime::new(1);
        let (history, overlaps) = (Arc::new(History::new(runtime.clone(), false)), Arc::default());
        let server = SimServer::new(&runtime, &history, &overlaps);
        let link = SimLink::new(&runtime.start_process(), &server, Network::calm(), &overlaps);
        let backend = FaultyBackend::new(link, |operation, key| match (operation, key.as_str()) {
            (Operation::Take(_), "skipped") => Some(ErrorKind::Server),
            (Operation::Take(_), "executed") => Some(ErrorKind::Timeout),
            _ => None,
        });
        let (token, lease) = (Token::random(&runtime), Duration::from_secs(5));
        let keys = ["skipped", "executed", "answered"].map(WireKey::from);
        runtime.block_on(async {
            let taken = backend.take(&keys.clone().map(|key| Take { key, token, lease })).await;
            let kind = |answer: Result<Taken>| answer.map(drop).map_err(|error| error.kind());
            let kinds: Vec<_> = taken.into_iter().map(kind).collect();
            let (skipped, executed) = (Err(ErrorKind::Server), Err(ErrorKind::Timeout));
            assert_eq!(kinds, [skipped, executed, Ok(())]);
            for (key, held) in keys.iter().zip([false, true, true]) {
                assert_eq!(backend.renew(key, token, lease).await.unwrap(), held, "{key:?}");
            }
        });
        runtime.shut_down();
    }
}
