//! The time that one call waits for the backend in total.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::runtime::Runtime;

/// The remaining time that a call may wait for the backend, over all its requests.
///
/// Waiting for another process's load, and the caller's own loader, don't count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(Duration);

impl Budget {
    pub(crate) fn new(left: Duration) -> Self {
        Self(left)
    }

    /// Waits for an answer within the remaining time, and subtracts the time it took. Returns
    /// `None` on a timeout: it is then unknown whether the backend executes the request.
    pub(crate) async fn spend<F: Future>(
        &mut self,
        runtime: &dyn Runtime,
        request: F,
    ) -> Option<F::Output> {
        let began = runtime.now();
        let answer = within(runtime, self.0, request).await;
        self.0 = self.0.saturating_sub(runtime.now() - began);
        answer
    }
}

/// Runs a future for at most `limit`. Returns `None` on a timeout.
pub(crate) async fn within<F: Future>(
    runtime: &dyn Runtime,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timeout = None;
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        // Only a future that has to wait needs a timer.
        let timeout = timeout.get_or_insert_with(|| runtime.sleep(limit));
        timeout.as_mut().poll(context).map(|()| None)
    })
    .await
}
