//! A backend with seeded random delays.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::backend::{Answer, Layer, Operation, Result};
use hotshelf_core::{Backend, BoxFuture, Runtime};

/// Delays the operations of another backend.
///
/// Each is executed after one random delay and answered after another, so that concurrent
/// operations are executed in any order.
pub struct Slow<B> {
    backend: B,
    runtime: Arc<dyn Runtime>,
    longest: Duration,
}

impl<B: Backend> Slow<B> {
    /// Creates a backend that delays each request and each answer by at most `longest`: most
    /// of them briefly, some for so long that others overtake them.
    pub fn new(backend: B, runtime: Arc<dyn Runtime>, longest: Duration) -> Self {
        Self { backend, runtime, longest }
    }

    async fn delay(&self) {
        let share = self.runtime.random() as f64 / u64::MAX as f64;
        self.runtime.sleep(self.longest.mul_f64(share.powi(6))).await;
    }
}

impl<B: Backend> Layer for Slow<B> {
    type Inner = B;

    fn inner(&self) -> Result<impl Deref<Target = B> + Send> {
        Ok(&self.backend)
    }

    fn around<'a, A: Answer + 'a>(
        &'a self,
        _: Operation<'a>,
        run: BoxFuture<'a, A>,
    ) -> BoxFuture<'a, A> {
        Box::pin(async move {
            self.delay().await;
            let answer = run.await;
            self.delay().await;
            answer
        })
    }
}

impl<B: fmt::Debug> fmt::Debug for Slow<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Slow").field(&self.backend).finish()
    }
}
