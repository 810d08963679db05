//! A bound on the misses that request something from the backend at the same time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::future::{Either, select};

use crate::runtime::Runtime;
use crate::sync::Mutex;

/// The number of leases and fills that are requested at once. A script costs a server some
/// microseconds, so that all of these are answered well before their deadlines. The others wait
/// here, where no deadline has begun.
pub(crate) const AT_ONCE: usize = 256;

/// How long a caller waits while no other is admitted. The permits are held by futures that
/// nobody polls then, since every request has a deadline well before.
const STALLED: Duration = Duration::from_millis(500);

/// Admits misses in the order in which they came, and fills before new leases: their leases
/// run out.
#[derive(Default)]
pub(crate) struct Admission {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    admitted: usize,
    /// The number of permits that were passed on so far.
    turns: u64,
    /// The callers that wait to fill, and to acquire.
    queues: [VecDeque<oneshot::Sender<Permit>>; 2],
}

/// What a permit is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Admitted {
    Fill,
    Acquire,
}

/// Permits one request. Dropping it admits the next caller.
pub(crate) struct Permit(Option<Arc<Mutex<State>>>);

impl Admission {
    /// Waits for its turn, while others are admitted.
    pub(crate) async fn permit(&self, runtime: &dyn Runtime, purpose: Admitted) -> Permit {
        let mut turn = match self.permit_or_turn(purpose) {
            Ok(permit) => return permit,
            Err(turn) => turn,
        };
        loop {
            let before = self.state.lock().turns;
            match select(turn, runtime.sleep(STALLED)).await {
                Either::Left((permit, _)) => return permit.unwrap_or_else(|_| self.beyond_bound()),
                Either::Right(_) if self.state.lock().turns == before => {
                    return self.beyond_bound();
                }
                Either::Right(((), waiting)) => turn = waiting,
            }
        }
    }

    /// Returns a permit if one is left.
    pub(crate) fn permit_at_once(&self) -> Option<Permit> {
        self.admit(&mut self.state.lock())
    }

    fn permit_or_turn(&self, purpose: Admitted) -> Result<Permit, oneshot::Receiver<Permit>> {
        let mut state = self.state.lock();
        if let Some(permit) = self.admit(&mut state) {
            return Ok(permit);
        }
        let (sender, turn) = oneshot::channel();
        state.queues[purpose as usize].push_back(sender);
        Err(turn)
    }

    fn admit(&self, state: &mut State) -> Option<Permit> {
        let is_left = state.admitted < AT_ONCE;
        state.admitted += usize::from(is_left);
        is_left.then(|| Permit(Some(Arc::clone(&self.state))))
    }

    fn beyond_bound(&self) -> Permit {
        self.state.lock().admitted += 1;
        Permit(Some(Arc::clone(&self.state)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        while let Some(shared) = self.0.take() {
            let mut state = shared.lock();
            let next = match state.admitted <= AT_ONCE {
                true => state.queues.iter_mut().find_map(VecDeque::pop_front),
                false => None,
            };
            let Some(next) = next else {
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
    use crate::runtime::{BoxFuture, Moment};

    /// A runtime whose timers are always due.
    #[derive(Debug)]
    struct Impatient;

    impl Runtime for Impatient {
        fn now(&self) -> Moment {
            Moment::default()
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }

        fn spawn(&self, _: BoxFuture<'static, ()>) {}

        fn random(&self) -> u64 {
            0
        }
    }

    /// A caller that has asked for a permit.
    fn asked(admission: &Admission, purpose: Admitted) -> oneshot::Receiver<Permit> {
        admission.permit_or_turn(purpose).err().expect("all permits are in use")
    }

    fn exhausted(admission: &Admission) -> Vec<Permit> {
        let permit = |_| admission.permit(&FixedRuntime(0), Admitted::Acquire).now_or_never();
        (0..AT_ONCE).map(|number| permit(number).expect("not all are in use")).collect()
    }

    #[test]
    fn callers_are_admitted_in_order() {
        let admission = Admission::default();
        let mut admitted = exhausted(&admission);
        let [first, mut second, mut third] = [(); 3].map(|()| asked(&admission, Admitted::Acquire));
        drop(first);
        admitted.pop();
        let permit = second.try_recv().unwrap();
        assert!(permit.is_some() && third.try_recv().unwrap().is_none());
        drop(permit);
        assert!(third.try_recv().unwrap().is_some());
        drop(admitted);
        assert_eq!(admission.state.lock().admitted, 0);
    }

    #[test]
    fn fills_come_first() {
        let admission = Admission::default();
        let mut admitted = exhausted(&admission);
        let mut acquire = asked(&admission, Admitted::Acquire);
        let mut fill = asked(&admission, Admitted::Fill);
        admitted.pop();
        assert!(acquire.try_recv().unwrap().is_none());
        assert!(fill.try_recv().unwrap().is_some());
    }

    #[test]
    fn callers_go_on_when_no_permit_is_returned() {
        let admission = Admission::default();
        let mut admitted = exhausted(&admission);
        let further = admission.permit(&Impatient, Admitted::Acquire).now_or_never();
        assert!(further.is_some());
        let mut waiting = asked(&admission, Admitted::Acquire);
        admitted.pop();
        assert!(waiting.try_recv().unwrap().is_none(), "one is in use beyond the bound");
        drop(further);
        assert!(waiting.try_recv().unwrap().is_some());
    }
}
