//! How a leader gets the right to fill: the lease.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, select};

use super::call::Call;
use super::cleanup::UnusedLeases;
use super::flight::{Leadership, Lease};
use super::outcome::{Miss, MissReason, Occupant, ReadOutcome};
use super::ticket::Ticket;
use super::{Acquisition, Engine};
use crate::backend::{Acquire, Acquired, BATCH, Seen, TagVersion, Token};
use crate::backoff::Backoff;
use crate::context::CacheContext;
use crate::error::Error;
use crate::outage::{Budget, OperationKind};
use crate::runtime::{Moment, Runtime};
use crate::stats::Counter;
use crate::tag::Tags;
use crate::ttl::Ttl;

/// The intervals at which a waiter polls a key that another process is loading.
const POLLING: Backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(50));

/// The intervals where the backend announces changes. They are there for announcements that
/// got lost: while a slot moves from one node to another, none is sent.
const WATCHING: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_millis(500));

/// Leads a flight up to where its loader may begin, or to a value that another process
/// has stored.
pub(crate) async fn lead(call: Call<'_>, mut leadership: Leadership, miss: Miss) -> Acquisition {
    leadership.budget = Budget::new(call.backend_budget);
    if keep_inherited(call, &mut leadership).await {
        return begin(leadership);
    }
    if miss.reason() == MissReason::Unreadable {
        return begin(leadership);
    }
    let engine = Arc::clone(&leadership.engine);
    let (mut occupant, mut seen) = (miss.occupant(), miss.seen);
    let deadline = engine.runtime.now() + call.cache.options.wait_timeout;
    let (mut polling, mut watching) = (POLLING, WATCHING);
    let mut waited = false;
    loop {
        let mark = leadership.mark();
        // Before the request is sent, or a change right behind its answer would be missed.
        let watch = engine.gate.watch(call.key);
        let asking = acquire(call, &engine, &seen);
        let answer = in_time(&mut leadership, waited, asking).await;
        let (raw, versions) = match answer.unwrap_or_else(|| timed_out(call, &engine)) {
            Answer::Granted(lease) => {
                leadership.lease = Some(Lease { occupant, ..lease });
                return begin(leadership);
            }
            Answer::Impossible => return begin(leadership),
            Answer::Present(raw, versions) => (raw, versions),
            Answer::Busy(left) => {
                // A server that has stopped announcing changes is polled again.
                let backoff = if watch.is_some() { &mut watching } else { &mut polling };
                let Some(wait) = next_wait(&*engine.runtime, deadline, left, backoff) else {
                    return begin(leadership);
                };
                match watch {
                    Some(watch) => drop(select(watch, engine.runtime.sleep(wait)).await),
                    None => engine.runtime.sleep(wait).await,
                }
                waited = true;
                continue;
            }
        };
        let examining = engine.examine(call, &raw, &versions);
        occupant = match in_time(&mut leadership, waited, examining).await {
            Some(Ok(ReadOutcome::Hit(value))) if !call.reload => {
                call.count(Counter::Coalesced);
                leadership.complete_found(mark, &value);
                return Acquisition::Hit(value);
            }
            Some(Ok(outcome)) => occupant_of(&outcome),
            Some(Err(_)) | None => {
                call.count(Counter::Error);
                return begin(leadership);
            }
        };
        seen = Seen::entry(&raw);
        // Somebody who writes such entries without pause must not keep us here.
        if engine.runtime.now() >= deadline {
            return begin(leadership);
        }
    }
}

fn begin(leadership: Leadership) -> Acquisition {
    Acquisition::Lead(Ticket::begin(leadership))
}

/// Returns whose entry was examined. A hit is this cache's own.
fn occupant_of(outcome: &ReadOutcome) -> Option<Occupant> {
    match outcome {
        ReadOutcome::Hit(_) => Some(Occupant::ThisCache),
        ReadOutcome::Miss(miss) => miss.occupant(),
    }
}

/// Waits for the backend, within the call's budget. A call that has waited for another
/// process needs none: from then on its time is the `wait_timeout`'s.
async fn in_time<F: Future>(
    leadership: &mut Leadership,
    waited: bool,
    request: F,
) -> Option<F::Output> {
    if waited {
        return Some(request.await);
    }
    let runtime = Arc::clone(&leadership.engine.runtime);
    leadership.budget.spend(&*runtime, request).await
}

/// Asks for the lease without waiting for it, whatever is stored under the key.
pub(crate) async fn ticket(call: Call<'_>, engine: &Arc<Engine>) -> Ticket {
    let mut leadership = Leadership::alone(engine, call);
    let mut seen = Seen::Nothing;
    let mut occupant = None;
    // The second request is for the entry that the first one found. A third one would be
    // for an entry that came in between: then another has filled the key.
    for _ in 0..2 {
        let asking = acquire(call, engine, &seen);
        let answer = leadership.budget.spend(&*engine.runtime, asking).await;
        match answer.unwrap_or_else(|| timed_out(call, engine)) {
            Answer::Granted(lease) => {
                leadership.lease = Some(Lease { occupant, ..lease });
                break;
            }
            Answer::Present(raw, versions) => {
                occupant = match engine.examine(call, &raw, &versions).await {
                    Ok(outcome) => occupant_of(&outcome),
                    Err(_) => Some(Occupant::Another),
                };
                seen = Seen::entry(&raw);
            }
            Answer::Busy(_) | Answer::Impossible => break,
        }
    }
    Ticket::begin(leadership)
}

/// Renews the lease that a cancelled leader has left, and reports whether it is still held.
///
/// The predecessor's own renewals ended with it, perhaps a while ago, and the key may have
/// been invalidated since: what is loaded under a lost lease can't be stored.
async fn keep_inherited(call: Call<'_>, leadership: &mut Leadership) -> bool {
    let Some(token) = leadership.lease.as_ref().map(|lease| lease.token) else { return false };
    let engine = Arc::clone(&leadership.engine);
    let renewal = engine.gate.renew(call.cache, call.key, token, engine.lease);
    match leadership.budget.spend(&*engine.runtime, renewal).await {
        Some(Ok(true)) => return true,
        Some(Ok(false)) => leadership.lease = None,
        Some(Err(_)) | None => {
            call.count(Counter::Error);
            leadership.release_lease();
        }
    }
    false
}

/// The answer once the budget is spent. If the lease was granted, it is released.
fn timed_out(call: Call<'_>, engine: &Engine) -> Answer {
    call.count(Counter::Error);
    engine.gate.timed_out(call.cache, OperationKind::Acquire);
    Answer::Impossible
}

enum Answer {
    Granted(Lease),
    /// An entry, and the versions of the call's tags.
    Present(Bytes, Vec<Option<TagVersion>>),
    Busy(Duration),
    /// The lease can't be had: load without storing.
    Impossible,
}

/// Asks once, with a token of its own, and captures the versions of the call's tags in the
/// same round trip: before the loader begins, or an invalidation could be missed.
async fn acquire(call: Call<'_>, engine: &Arc<Engine>, seen: &Seen) -> Answer {
    let token = Token::random(&*engine.runtime);
    let asked_for = vec![(call.key.clone(), token)];
    let mut unused = UnusedLeases::asked_for(engine, call.cache, asked_for);
    let acquire = Acquire {
        key: call.key,
        token,
        lease: engine.lease,
        seen: seen.clone(),
        skip_foreign: !call.view().accepts_untracked(),
    };
    let (answer, versions) = join(
        engine.gate.acquire(call.cache, acquire),
        engine.capture(call.cache, call.tags, call.keep),
    )
    .await;
    unused.retain(|_| match &answer {
        // Without the tags' versions nothing could be stored.
        Ok(Acquired::Granted(_)) => versions.is_err(),
        Ok(_) => false,
        Err(error) => error.is_timeout(),
    });
    let versions = match (&answer, versions) {
        (_, Ok(versions)) => versions,
        (Ok(Acquired::Busy(_) | Acquired::Held(_)), Err(_)) => Vec::new(),
        (_, Err(_)) => {
            call.count(Counter::Error);
            return Answer::Impossible;
        }
    };
    match answer {
        Ok(Acquired::Granted(granted_at)) => {
            Answer::Granted(Lease { token, granted_at, tags: versions, occupant: None })
        }
        Ok(Acquired::Present(raw)) => {
            Answer::Present(raw, versions.into_iter().map(Some).collect())
        }
        Ok(Acquired::Busy(left)) => Answer::Busy(left),
        Ok(Acquired::Held(_)) => Answer::Impossible,
        Err(_) => {
            call.count(Counter::Error);
            Answer::Impossible
        }
    }
}

impl Engine {
    /// Captures the versions of tags; of no tags, without asking.
    pub(crate) async fn capture(
        &self,
        cache: &CacheContext,
        tags: &Tags,
        keep: Ttl,
    ) -> Result<Vec<TagVersion>, Error> {
        if tags.keys().is_empty() {
            return Ok(Vec::new());
        }
        let mut versions = Vec::with_capacity(tags.keys().len());
        for batch in tags.keys().chunks(BATCH) {
            versions.extend(self.gate.capture(cache, batch, keep).await?);
        }
        Ok(versions)
    }
}

/// Returns the time to wait before the key is polled again, or `None` after the deadline.
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
    // A lease of which nothing is left ends with the next millisecond of the backend.
    Some(pause.min(lease_left.max(Duration::from_millis(1))).min(left))
}
