//! Work that goes on when the caller that began it is gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::runtime::{BoxFuture, Runtime};

/// Runs a future in the caller's own task and, if that is cancelled after the first poll,
/// in the background.
///
/// For what must not stay half done: a fill that was sent, an invalidation.
pub(crate) fn finish_even_if_dropped<T: Send + 'static>(
    runtime: &Arc<dyn Runtime>,
    future: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let runtime = Arc::clone(runtime);
    Finishing { runtime, future: Some(Box::pin(future)), begun: false }
}

struct Finishing<T: Send + 'static> {
    runtime: Arc<dyn Runtime>,
    /// `None` once it is finished.
    future: Option<BoxFuture<'static, T>>,
    begun: bool,
}

impl<T: Send + 'static> Future for Finishing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.begun = true;
        let Some(future) = &mut self.future else { return Poll::Pending };
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            self.future = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Finishing<T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take().filter(|_| self.begun) {
            self.runtime.spawn(Box::pin(async move {
                future.await;
            }));
        }
    }
}
