//! How a leader comes by the right to fill.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, select};

use super::budget::Budget;
use super::cleanup::UnusedLeases;
use super::flight::{Leadership, Lease};
use super::ticket::Ticket;
use super::{Acquisition, Call, EngineShared, Known, Standing, Verdict};
use crate::backend::{Acquire, Acquired, Seen, TagVersion, Token};
use crate::error::Error;
use crate::runtime::{Moment, Runtime};
use crate::stats::Counter;
use crate::tag::Tags;
use crate::ttl::{Ttl, below};

/// The waits between two looks at a key that another process is loading: they double
/// from the first to the longest, each cut by up to a half at random.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The waits of who is told of changes. They are there for a word that got lost: where a
/// slot is on its way from one node to another, nobody is told.
const WATCHING_PAUSE: Duration = Duration::from_millis(500);

/// Leads a flight up to where its loader may begin, or to a value that another process
/// has stored.
pub(crate) async fn lead(call: Call<'_>, mut leadership: Leadership, known: Known) -> Acquisition {
    leadership.budget = Budget::new(call.backend_budget);
    if keep_inherited(call, &mut leadership).await {
        return Acquisition::Lead(Ticket::begin(leadership));
    }
    let shared = Arc::clone(&leadership.shared);
    let (mut standing, mut seen) = match known {
        Known::Read(standing, seen) => (Some(standing), seen),
        Known::Unread => (None, Seen::Nothing),
        Known::Unreadable => return Acquisition::Lead(Ticket::begin(leadership)),
    };
    let deadline = shared.runtime.now() + call.wait_timeout;
    let mut pause = FIRST_PAUSE;
    let mut waited = false;
    loop {
        let mark = leadership.mark();
        // Before the request is sent, or a change right behind its answer would be missed.
        let watch = shared.backend.watch(call.key);
        if watch.is_some() {
            pause = WATCHING_PAUSE;
        }
        let asking = acquire(call, &shared, &seen);
        let answer = in_time(&mut leadership, waited, asking).await;
        let (raw, versions) = match answer.unwrap_or_else(|| too_late(call)) {
            Answer::Granted(lease) => {
                leadership.lease = Some(Lease { standing, ..lease });
                return Acquisition::Lead(Ticket::begin(leadership));
            }
            Answer::Impossible => return Acquisition::Lead(Ticket::begin(leadership)),
            Answer::Present(raw, versions) => (raw, versions),
            Answer::Busy(left) => {
                let Some(wait) = next_wait(&*shared.runtime, deadline, left, &mut pause) else {
                    return Acquisition::Lead(Ticket::begin(leadership));
                };
                match watch {
                    Some(watch) => drop(select(watch, shared.runtime.sleep(wait)).await),
                    None => shared.runtime.sleep(wait).await,
                }
                waited = true;
                continue;
            }
        };
        let judging = shared.judge(call, &raw, &versions);
        let judged = match in_time(&mut leadership, waited, judging).await {
            Some(Ok(Verdict::Hit(value))) if !call.reload => {
                call.stats.count(Counter::Coalesced);
                leadership.land_vouched(mark, &value);
                return Acquisition::Hit(value);
            }
            Some(Ok(Verdict::Hit(_) | Verdict::NoAnswer)) => Standing::Own,
            Some(Ok(Verdict::Foreign)) => Standing::Foreign,
            Some(Err(_)) | None => {
                call.stats.count(Counter::Error);
                return Acquisition::Lead(Ticket::begin(leadership));
            }
        };
        (standing, seen) = (Some(judged), Seen::entry(&raw));
        // Somebody who writes such entries without pause must not keep us here.
        if shared.runtime.now() >= deadline {
            return Acquisition::Lead(Ticket::begin(leadership));
        }
    }
}

/// Waits for the backend, within the call's budget. Who has waited for another process needs
/// none: from then on the time is `wait_timeout`'s.
async fn in_time<F: Future>(
    leadership: &mut Leadership,
    waited: bool,
    request: F,
) -> Option<F::Output> {
    if waited {
        return Some(request.await);
    }
    let runtime = Arc::clone(&leadership.shared.runtime);
    leadership.budget.spend(&*runtime, request).await
}

/// Asks for the lease without waiting for it, whatever stands at the key.
pub(crate) async fn ticket(call: Call<'_>, shared: &Arc<EngineShared>) -> Ticket {
    let mut leadership = Leadership::alone(shared, call);
    let mut seen = Seen::Nothing;
    let mut standing = None;
    // The second request is for the entry that stands there. A third one would be for an
    // entry that came in between: then another has filled the key.
    for _ in 0..2 {
        let asking = acquire(call, shared, &seen);
        let answer = leadership.budget.spend(&*shared.runtime, asking).await;
        match answer.unwrap_or_else(|| too_late(call)) {
            Answer::Granted(lease) => {
                leadership.lease = Some(Lease { standing, ..lease });
                break;
            }
            Answer::Present(raw, versions) => {
                standing = Some(match shared.judge(call, &raw, &versions).await {
                    Ok(Verdict::Hit(_) | Verdict::NoAnswer) => Standing::Own,
                    Ok(Verdict::Foreign) | Err(_) => Standing::Foreign,
                });
                seen = Seen::entry(&raw);
            }
            Answer::Busy(_) | Answer::Impossible => break,
        }
    }
    Ticket::begin(leadership)
}

/// Renews the lease that a cancelled leader has left, and says whether it still stands.
///
/// The predecessor's own renewals ended with it, perhaps a while ago, and the key may have
/// been invalidated since: loading under a lost lease would be in vain.
async fn keep_inherited(call: Call<'_>, leadership: &mut Leadership) -> bool {
    let Some(token) = leadership.lease.as_ref().map(|lease| lease.token) else { return false };
    let shared = Arc::clone(&leadership.shared);
    let renewal = shared.backend.renew(call.key, token, shared.lease);
    match leadership.budget.spend(&*shared.runtime, renewal).await {
        Some(Ok(true)) => return true,
        Some(Ok(false)) => leadership.lease = None,
        Some(Err(_)) | None => {
            call.stats.count(Counter::Error);
            leadership.give_lease_up();
        }
    }
    false
}

/// What no more time was left for. If the lease was granted, it is taken back.
fn too_late(call: Call<'_>) -> Answer {
    call.stats.count(Counter::Error);
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
async fn acquire(call: Call<'_>, shared: &Arc<EngineShared>, seen: &Seen) -> Answer {
    let token = Token::random(&*shared.runtime);
    let asked_for = vec![(call.key.clone(), token)];
    let mut unused = UnusedLeases::asked_for(shared, call.stats, asked_for);
    let acquire = Acquire {
        key: call.key,
        token,
        lease: shared.lease,
        seen: seen.clone(),
        skip_foreign: !call.view.takes_foreign(),
    };
    let (answer, versions) =
        join(shared.backend.acquire(acquire), shared.capture(call.view.tags, call.keep)).await;
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
            call.stats.count(Counter::Error);
            return Answer::Impossible;
        }
    };
    match answer {
        Ok(Acquired::Granted(granted_at)) => {
            Answer::Granted(Lease { token, granted_at, tags: versions, standing: None })
        }
        Ok(Acquired::Present(raw)) => {
            Answer::Present(raw, versions.into_iter().map(Some).collect())
        }
        Ok(Acquired::Busy(left)) => Answer::Busy(left),
        Ok(Acquired::Held(_)) => Answer::Impossible,
        Err(_) => {
            call.stats.count(Counter::Error);
            Answer::Impossible
        }
    }
}

impl EngineShared {
    /// Captures the versions of tags; of no tags, without asking.
    pub(crate) async fn capture(&self, tags: &Tags, keep: Ttl) -> Result<Vec<TagVersion>, Error> {
        if tags.keys().is_empty() {
            return Ok(Vec::new());
        }
        self.backend.capture(tags.keys(), keep).await
    }
}

/// Gives the time to wait before the next look, or `None` once the wait is over.
fn next_wait(
    runtime: &dyn Runtime,
    deadline: Moment,
    lease_left: Duration,
    pause: &mut Duration,
) -> Option<Duration> {
    let left = deadline.since(runtime.now());
    if left.is_zero() {
        return None;
    }
    let half = pause.as_micros() as u64 / 2;
    let jittered = Duration::from_micros(half + below(half + 1, runtime.random()));
    *pause = (*pause * 2).min(LONGEST_PAUSE);
    // A lease of which nothing is left ends with the next millisecond of the backend.
    Some(jittered.min(lease_left.max(Duration::from_millis(1))).min(left))
}
