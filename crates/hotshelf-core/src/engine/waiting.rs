//! How a leader waits for the load of another process.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::Engine;
use super::call::Call;
use super::scope::is_nested;
use crate::backend::Watch;
use crate::backoff::Backoff;
use crate::runtime::{BoxFuture, Moment, Runtime};

/// The intervals at which a waiter polls a key that another process is loading.
const POLLING: Backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(50));

/// The polling intervals if the backend reports changes. Polling covers lost reports: none are
/// sent while a slot moves from one node to another.
const WATCHING: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_millis(500));

/// The wait of a leader for the holder of the lease.
pub(super) struct Waiting<'a> {
    call: Call<'a>,
    engine: &'a Engine,
    /// When the holder is given up, unless it shows signs of life.
    pub(super) deadline: Moment,
    holder: Holder,
    /// Ends when the call doesn't wait any longer, however alive the holder is.
    wait_limit: Option<BoxFuture<'static, ()>>,
    polling: Backoff,
    watching: Backoff,
    pub(super) has_waited: bool,
}

/// The end of a wait.
pub(super) enum WaitEnd {
    /// The lease is requested again.
    Again,
    /// The holder is given up.
    Over,
    LimitReached,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(call: Call<'a>, engine: &'a Engine) -> Self {
        Self {
            call,
            engine,
            deadline: call.waits_until,
            holder: Holder::default(),
            wait_limit: call.wait_limit.map(|wait_limit| engine.runtime.sleep(wait_limit)),
            polling: POLLING,
            watching: WATCHING,
            has_waited: false,
        }
    }

    /// Waits for a change of the key, or for as long as the lease is polled next. The lease ends in
    /// `left` unless it is renewed.
    pub(super) async fn wait(&mut self, watch: Option<Watch>, left: Duration) -> WaitEnd {
        let Self { call, engine, holder, .. } = self;
        let now = engine.runtime.now();
        // What a loader waits for may wait for the loader.
        let nested = is_nested() || call.join_timeout.is_some();
        if holder.has_renewed(now + left, engine.lease) && !nested {
            self.deadline = now + call.cache.options.wait_timeout;
        }
        // A server that has stopped announcing changes is polled again.
        let backoff = if watch.is_some() { &mut self.watching } else { &mut self.polling };
        let Some(wait) = next_wait(&*engine.runtime, self.deadline, left, backoff) else {
            return WaitEnd::Over;
        };
        self.has_waited = true;
        match pause(engine, watch, wait, self.wait_limit.as_mut()).await {
            true => WaitEnd::Again,
            false => WaitEnd::LimitReached,
        }
    }
}

/// Waits for a change of the key, if the backend reports changes, and no longer than `wait`. Returns
/// `false` if the caller stops waiting.
async fn pause(
    engine: &Engine,
    watch: Option<Watch>,
    wait: Duration,
    wait_limit: Option<&mut BoxFuture<'static, ()>>,
) -> bool {
    let waiting = async {
        match watch {
            Some(watch) => drop(select(watch, engine.runtime.sleep(wait)).await),
            None => engine.runtime.sleep(wait).await,
        }
    };
    match wait_limit {
        None => {
            waiting.await;
            true
        }
        Some(wait_limit) => matches!(select(pin!(waiting), wait_limit).await, Either::Left(_)),
    }
}

/// The holder of a lease that a caller waits for, as far as it shows signs of life.
#[derive(Default)]
struct Holder {
    /// When its lease ends, unless it is renewed.
    until: Option<Moment>,
}

impl Holder {
    /// Notes when the lease ends, and returns `true` if it was extended since the last time: its
    /// holder still loads, or another one does. Renewals are a third of the lease apart.
    fn has_renewed(&mut self, until: Moment, lease: Duration) -> bool {
        let before = self.until.replace(until);
        before.is_some_and(|before| until.since(before) > lease / 10)
    }
}

/// Returns the time until the key is polled again, or `None` after the deadline.
fn next_wait(
    runtime: &dyn Runtime,
    deadline: Moment,
    lease_left: Duration,
    backoff: &mut Backoff,
) -> Option<Duration> {
    let left = deadline.since(runtime.now());
    if left.is_zero() {
        return None;
    }
    let pause = backoff.next(runtime.random());
    // A lease with no time left ends within the backend's current millisecond.
    Some(pause.min(lease_left.max(Duration::from_millis(1))).min(left))
}
