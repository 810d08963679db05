//! The time that one call waits for the backend in total.

use std::future::Future;
use std::time::Duration;

use crate::runtime::Runtime;
use crate::timeout::Timeout;

/// The remaining time that a call may wait for the backend, over all its requests.
///
/// Waiting for another process's load, and the caller's own loader, don't count. Neither does
/// the time during which the process was too busy to read a reply: see [`Timeout`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(Duration);

impl Budget {
    pub(crate) fn new(left: Duration) -> Self {
        Self(left)
    }

    /// Returns `true` if so much time remains.
    pub(crate) fn covers(self, time: Duration) -> bool {
        self.0 >= time
    }

    /// Subtracts a time.
    pub(crate) fn charge(&mut self, time: Duration) {
        self.0 = self.0.saturating_sub(time);
    }

    /// Waits for an answer within the remaining time, and subtracts the time it took. Returns
    /// `None` on a timeout: it is then unknown whether the backend executes the request.
    pub(crate) async fn spend<F: Future>(
        &mut self,
        runtime: &dyn Runtime,
        request: F,
    ) -> Option<F::Output> {
        let mut timeout = Timeout::new(self.0);
        let answer = timeout.run(runtime, request).await;
        self.0 = timeout.left(runtime);
        answer
    }
}
