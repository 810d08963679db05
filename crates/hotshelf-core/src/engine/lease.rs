//! How a leader acquires the lease of a key.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join;

use super::admission::Admitted;
use super::call::Call;
use super::cleanup::{UnusedLeases, release};
use super::flight::{Leadership, Lease};
use super::held::{HeldLeases, Purpose};
use super::outcome::{Miss, MissReason, Occupant, ReadOutcome};
use super::ticket::Ticket;
use super::waiting::{WaitEnd, Waiting};
use super::{AcquireOutcome, Engine};
use crate::backend::{Acquire, Acquired, BATCH, Seen, TagVersion, Token};
use crate::context::CacheContext;
use crate::error::Error;
use crate::outage::OperationKind;
use crate::stats::Counter;
use crate::tag::Tags;
use crate::ttl::Ttl;

/// Leads a flight until its loader may begin, or until another process has stored a value.
pub(crate) async fn lead(call: Call<'_>, mut leadership: Leadership, miss: Miss) -> AcquireOutcome {
    leadership.budget = call.budget;
    revoke(call, &mut leadership).await;
    if keep_inherited(call, &mut leadership).await {
        return begin(leadership);
    }
    if miss.reason() == MissReason::Unreadable {
        return begin(leadership);
    }
    let engine = Arc::clone(&leadership.engine);
    let (mut occupant, mut seen) = (miss.occupant(), miss.seen);
    let mut waiting = Waiting::new(call, &engine);
    // The second request acknowledges the entry that the first one found.
    for asked in 0.. {
        let permit = engine.admission.permit(&*engine.runtime, Admitted::Acquire).await;
        let (mark, token) = (leadership.mark(), Token::random(&*engine.runtime));
        leadership.requests(token);
        // Registered before the request is sent, so that no change after its answer is missed.
        let watch = engine.gate.watch(call.key);
        let answer = {
            let asking = pin!(acquire(call, &engine, token, &seen, Purpose::Load));
            in_time(&mut leadership, waiting.has_waited, asking).await
        };
        drop(permit);
        let (raw, versions) = match answer.unwrap_or_else(|| timed_out(call, &engine)) {
            Answer::Granted(lease) => {
                // The first request has named the entry that the call has seen, and a later one
                // that which was found.
                let is_over_seen = lease.is_over_seen && (asked == 0 || leadership.found.is_some());
                leadership.lease = Some(Lease { occupant, is_over_seen, ..lease });
                return begin(leadership);
            }
            Answer::BackingOff(left) => {
                leadership.complete_backing_off(mark, left);
                return AcquireOutcome::BackingOff(left);
            }
            Answer::Held(_) | Answer::Impossible => return begin(leadership),
            Answer::Present(raw, versions) => (raw, versions),
            // The call would wait for its own caller.
            Answer::Busy(_) if engine.held.has_ticket(call.key, engine.runtime.task()) => break,
            Answer::Busy(left) => match waiting.wait(watch, left).await {
                WaitEnd::Again => continue,
                WaitEnd::Over => return begin(leadership),
                WaitEnd::LimitReached => return AcquireOutcome::LimitReached,
            },
        };
        let examining = pin!(engine.examine(call, &raw, &versions));
        occupant = match in_time(&mut leadership, waiting.has_waited, examining).await {
            // A value that is fresh, though not for long, is one, too.
            Some(Ok(outcome)) => {
                leadership.found = outcome.stale();
                match outcome.without_load(false) {
                    ReadOutcome::Hit(value) if !call.reload => {
                        call.count(Counter::Coalesced);
                        leadership.complete_found(mark, &value);
                        return AcquireOutcome::Hit(value);
                    }
                    outcome => occupant_of(&outcome),
                }
            }
            Some(Err(_)) | None => {
                call.count(Counter::Error);
                return begin(leadership);
            }
        };
        seen = Seen::entry(&raw);
        // Bounds the loop if another client keeps writing such entries.
        if asked > 0 && engine.runtime.now() >= waiting.deadline {
            break;
        }
    }
    begin(leadership)
}

fn begin(leadership: Leadership) -> AcquireOutcome {
    AcquireOutcome::Lead(Ticket::begin(leadership))
}

/// Returns the owner of an examined entry. A hit belongs to this cache.
pub(super) fn occupant_of(outcome: &ReadOutcome) -> Option<Occupant> {
    match outcome {
        ReadOutcome::Hit(_) | ReadOutcome::Stale(_) => Some(Occupant::ThisCache),
        ReadOutcome::Miss(miss) => miss.occupant(),
    }
}

/// Waits for the backend, within the call's budget. After the call has waited for another
/// process, its `wait_timeout` applies instead of the budget.
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

/// Requests the lease without waiting for it, whether or not an entry is stored.
pub(crate) async fn ticket(call: Call<'_>, engine: &Arc<Engine>) -> Ticket {
    let purpose = Purpose::Ticket(engine.runtime.task());
    let mut leadership = Leadership::alone(engine, call);
    let mut seen = Seen::Nothing;
    let mut occupant = None;
    // The second request acknowledges the entry that the first one found. A third one would be
    // for an entry stored in between: another caller has filled the key then.
    for _ in 0..2 {
        let answer = {
            let token = Token::random(&*engine.runtime);
            let asking = pin!(acquire(call, engine, token, &seen, purpose));
            leadership.budget.spend(&*engine.runtime, asking).await
        };
        match answer.unwrap_or_else(|| timed_out(call, engine)) {
            Answer::Granted(lease) => {
                leadership.lease = Some(Lease { occupant, ..lease });
                break;
            }
            Answer::Present(raw, versions) => {
                let examining = pin!(engine.examine(call, &raw, &versions));
                occupant = match leadership.budget.spend(&*engine.runtime, examining).await {
                    Some(Ok(outcome)) => occupant_of(&outcome),
                    Some(Err(_)) | None => Some(Occupant::Another),
                };
                seen = Seen::entry(&raw);
            }
            Answer::Busy(_) | Answer::Held(_) | Answer::BackingOff(_) | Answer::Impossible => break,
        }
    }
    Ticket::begin(leadership)
}

/// Revokes the lease of a leader that was taken for lost: its late fill is refused, and the
/// lease can be granted again.
async fn revoke(call: Call<'_>, leadership: &mut Leadership) {
    let Some(token) = leadership.revoked else { return };
    let engine = Arc::clone(&leadership.engine);
    let releasing = pin!(engine.gate.release(Some(call.cache), call.key, token));
    let released = leadership.budget.spend(&*engine.runtime, releasing).await;
    leadership.revoked = None;
    if !matches!(released, Some(Ok(()))) {
        call.count(Counter::Error);
        release(&engine, call.cache, vec![(call.key.clone(), token)]);
    }
}

/// Renews the lease of a cancelled leader, and returns `true` if it is still held.
///
/// The predecessor's renewals ended with it, and the key may have been invalidated since: a
/// value that is loaded under a lost lease cannot be stored.
async fn keep_inherited(call: Call<'_>, leadership: &mut Leadership) -> bool {
    let Some(token) = leadership.lease.as_ref().map(|lease| lease.token) else { return false };
    let engine = Arc::clone(&leadership.engine);
    let renewal = pin!(engine.gate.renew(call.cache, call.key, token, engine.lease));
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

/// Returns the answer after the budget is spent. If the lease was granted, it is released.
fn timed_out(call: Call<'_>, engine: &Engine) -> Answer {
    call.count(Counter::Error);
    engine.gate.timed_out(call.cache, OperationKind::Acquire);
    Answer::Impossible
}

pub(super) enum Answer {
    Granted(Lease),
    /// An entry, and the versions of the call's tags.
    Present(Bytes, Vec<Option<TagVersion>>),
    Busy(Duration),
    /// Nobody may fill the key for this time: load without storing.
    Held(Duration),
    /// A load has failed elsewhere, and should not be repeated for this time.
    BackingOff(Duration),
    /// The lease is not available: load without storing.
    Impossible,
}

/// Requests the lease once, with a new token, and captures the versions of the call's tags in
/// the same round trip: before the loader begins, so that no invalidation is missed.
pub(super) async fn acquire(
    call: Call<'_>,
    engine: &Arc<Engine>,
    token: Token,
    seen: &Seen,
    purpose: Purpose,
) -> Answer {
    let asked_for = vec![(call.key.clone(), token)];
    let mut unused = UnusedLeases::asked_for(engine, call.cache, asked_for);
    let acquire = Acquire {
        key: call.key,
        token,
        lease: engine.lease,
        seen: seen.clone(),
        skip_foreign: !call.view().accepts_untracked(),
        replace_failure: !call.backs_off,
    };
    let (answer, versions) = join(
        engine.gate.acquire(call.cache, acquire),
        engine.capture(call.cache, call.tags, call.keep),
    )
    .await;
    let needed = unused.retain(|_| match &answer {
        // Without the versions of the tags, nothing can be stored.
        Ok(acquired) if acquired.granted().is_some() => versions.is_err(),
        Ok(_) => false,
        Err(error) => error.is_timeout(),
    });
    let versions = match (&answer, versions) {
        (_, Ok(versions)) => versions,
        (Ok(Acquired::Busy(_) | Acquired::Held(_) | Acquired::BackingOff(_)), Err(_)) => Vec::new(),
        (_, Err(_)) => {
            call.count(Counter::Error);
            return Answer::Impossible;
        }
    };
    if let Ok(acquired) = &answer
        && let Some((granted_at, is_over_seen)) = acquired.granted()
        && needed
    {
        let (tags, occupant) = (versions, None);
        let _hold = HeldLeases::add(engine, call.cache, call.key, token, purpose);
        return Answer::Granted(Lease { token, granted_at, tags, occupant, is_over_seen, _hold });
    }
    match answer {
        Ok(Acquired::Present(raw)) => {
            Answer::Present(raw, versions.into_iter().map(Some).collect())
        }
        Ok(Acquired::Busy(left)) => Answer::Busy(left),
        Ok(Acquired::Held(left)) => Answer::Held(left),
        Ok(Acquired::BackingOff(left)) => Answer::BackingOff(left),
        Err(_) => {
            call.count(Counter::Error);
            Answer::Impossible
        }
        Ok(Acquired::Granted(_) | Acquired::GrantedOver(_)) => Answer::Impossible,
    }
}

impl Engine {
    /// Captures the versions of tags. Without tags, sends no request.
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
