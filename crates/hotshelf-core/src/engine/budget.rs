//! How long a call waits for the backend in all.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::runtime::Runtime;

/// The time that a call may still wait for the backend, over all of its requests.
///
/// Waiting for the load of another process is not waiting for the backend, nor is one's own
/// loader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(Duration);

impl Budget {
    pub(crate) fn new(left: Duration) -> Self {
        Self(left)
    }

    /// Waits for an answer for as long as there is time left, and takes that time off.
    /// `None` if it ran out: whether the backend executes the request is unknown then.
    pub(crate) async fn spend<F: Future>(
        &mut self,
        runtime: &dyn Runtime,
        request: F,
    ) -> Option<F::Output> {
        let began = runtime.now();
        let mut request = pin!(request);
        let mut over = None;
        let answer = poll_fn(|context| {
            if let Poll::Ready(answer) = request.as_mut().poll(context) {
                return Poll::Ready(Some(answer));
            }
            // Only what really waits needs a timer.
            let over = over.get_or_insert_with(|| runtime.sleep(self.0));
            over.as_mut().poll(context).map(|()| None)
        })
        .await;
        self.0 = self.0.saturating_sub(runtime.now() - began);
        answer
    }
}
