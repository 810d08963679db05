//! A bound on the misses that request something from the backend at the same time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;

use crate::runtime::Runtime;
use crate::sync::Mutex;
use crate::timeout::within;

/// The number of leases and fills that are requested at once. A script costs a server some
/// microseconds, so that all of these are answered well before their deadlines. The others wait
/// here, where no deadline has begun.
pub(crate) const AT_ONCE: usize = 512;

/// Admits misses in the order in which they came.
#[derive(Default)]
pub(crate) struct Admission {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    admitted: usize,
    /// The number of permits that were passed on so far.
    turns: u64,
    queue: VecDeque<oneshot::Sender<Permit>>,
}

/// Permits one request. Dropping it admits the next caller.
pub(crate) struct Permit(Option<Arc<Mutex<State>>>);

impl Admission {
    /// Waits for its turn, while others are admitted; returns `None` if none is for `limit`.
    pub(crate) async fn permit(&self, runtime: &dyn Runtime, limit: Duration) -> Option<Permit> {
        match self.permit_or_turn() {
            Ok(permit) => Some(permit),
            Err(mut turn) => loop {
                let before = self.state.lock().turns;
                match within(runtime, limit, &mut turn).await {
                    Some(permit) => return permit.ok(),
                    None if self.state.lock().turns == before => return None,
                    None => {}
                }
            },
        }
    }

    fn permit_or_turn(&self) -> Result<Permit, oneshot::Receiver<Permit>> {
        let mut state = self.state.lock();
        if state.admitted < AT_ONCE {
            state.admitted += 1;
            return Ok(Permit(Some(Arc::clone(&self.state))));
        }
        let (sender, turn) = oneshot::channel();
        state.queue.push_back(sender);
        Err(turn)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        while let Some(shared) = self.0.take() {
            let mut state = shared.lock();
            let Some(next) = state.queue.pop_front() else {
                state.admitted -= 1;
                return;
            };
            state.turns += 1;
            drop(state);
            // A caller that is gone returns its permit.
            self.0 = next.send(Self(Some(shared))).err().and_then(|mut permit| permit.0.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::runtime::fixed::FixedRuntime;

    #[test]
    fn callers_are_admitted_in_order() {
        let (admission, runtime) = (Admission::default(), FixedRuntime(0));
        let permit = || Box::pin(admission.permit(&runtime, Duration::MAX));
        let mut admitted: Vec<_> = (0..AT_ONCE).map(|_| permit().now_or_never().unwrap()).collect();
        let (mut second, mut third, mut fourth) = (permit(), permit(), permit());
        for waiting in [&mut second, &mut third, &mut fourth] {
            assert!(waiting.now_or_never().is_none());
        }
        drop(second);
        admitted.pop();
        let third = third.now_or_never().flatten();
        assert!(third.is_some() && (&mut fourth).now_or_never().is_none());
        drop(third);
        assert!(fourth.now_or_never().flatten().is_some());
        drop(admitted);
        assert_eq!(admission.state.lock().admitted, 0);
    }
}
