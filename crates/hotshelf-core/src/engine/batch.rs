//! Leading many flights at once, with one request for all leases.
//!
//! A batch never waits while it holds leases that it hasn't filled: two batches would wait for each
//! other. So it asks for all leases without waiting, and joins no flight: a leader that is
//! cancelled would hand a lease to a caller that is busy with other keys.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};

use super::Engine;
use super::admission::Admitted;
use super::call::Call;
use super::cleanup::UnusedLeases;
use super::flight::{Leadership, Lease, TicketNumber};
use super::held::{HeldLeases, Purpose};
use super::lease::occupant_of;
use super::outcome::{Miss, MissReason, Occupant, ReadOutcome, Value};
use super::ticket::Ticket;
use crate::backend::{Acquire, Acquired, BATCH, Result, Seen, TagVersion, Token};
use crate::context::CacheContext;
use crate::outage::{Budget, OperationKind};
use crate::stats::Counter;
use crate::tag::{TagId, Tags};

/// How often a batch asks for leases: the second request acknowledges entries that the first one
/// has found.
const ROUNDS: usize = 3;

/// What a batch is told about one of its keys.
pub(crate) enum Answered {
    /// The right and the duty to load.
    Lead(Ticket),
    /// A value that another process has just stored.
    Hit(Value),
    /// A load has failed a short time ago, and isn't repeated for this time.
    BackingOff(Duration),
    /// Another caller loads the key, here or elsewhere.
    Later,
}

/// A key that a batch leads, and whose lease it has yet to be granted.
struct Open {
    position: usize,
    leadership: Leadership,
    seen: Seen,
    occupant: Option<Occupant>,
    /// Whether it has another entry than the one that the call has seen.
    is_other: bool,
}

/// Asks for the leases of many keys, without waiting for any. The keys are distinct.
///
/// Costs one round trip for each [`BATCH`] of keys, and more if other processes have stored entries
/// meanwhile.
///
/// # Cancel safety
/// May be dropped at any point.
pub(crate) async fn lead_many(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    wanted: &[(Call<'_>, Miss)],
    budget: &mut Budget,
) -> Vec<Answered> {
    let mut answers: Vec<Option<Answered>> = wanted.iter().map(|_| None).collect();
    let mut open = Vec::new();
    for (position, (call, miss)) in wanted.iter().enumerate() {
        match engine.flights.open(engine, *call) {
            Some(leadership) if miss.reason() == MissReason::Unreadable => {
                answers[position] = Some(Answered::Lead(Ticket::begin(leadership)));
            }
            Some(leadership) => {
                let (seen, occupant) = (miss.seen.clone(), miss.occupant());
                open.push(Open { position, leadership, seen, occupant, is_other: false });
            }
            None => answers[position] = Some(Answered::Later),
        }
    }
    for _ in 0..ROUNDS {
        for batch in take_batches(&mut open) {
            let mut again = ask(engine, cache, wanted, batch, budget, &mut answers).await;
            open.append(&mut again);
        }
    }
    // The next round waits for them.
    drop(open);
    answers.into_iter().map(|answer| answer.unwrap_or(Answered::Later)).collect()
}

fn take_batches(open: &mut Vec<Open>) -> Vec<Vec<Open>> {
    let mut rest = std::mem::take(open).into_iter();
    let mut batches = Vec::new();
    loop {
        let batch: Vec<Open> = rest.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return batches;
        }
        batches.push(batch);
    }
}

/// Asks once for the leases of some keys. Returns those that have an entry, which is a miss.
async fn ask(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    wanted: &[(Call<'_>, Miss)],
    batch: Vec<Open>,
    budget: &mut Budget,
    answers: &mut [Option<Answered>],
) -> Vec<Open> {
    let permit = engine.admission.permit(&*engine.runtime, Admitted::Acquire).await;
    let tokens: Vec<Token> = batch.iter().map(|_| Token::random(&*engine.runtime)).collect();
    let marks: Vec<_> = batch.iter().map(|open| open.leadership.mark()).collect();
    let answer = {
        let requesting = pin!(request(engine, cache, wanted, &batch, &tokens));
        budget.spend(&*engine.runtime, requesting).await
    };
    drop(permit);
    let Some((acquired, captured)) = answer else {
        cache.stats.count(Counter::Error);
        engine.gate.timed_out(cache, OperationKind::Acquire);
        for Open { position, leadership, .. } in batch {
            answers[position] = Some(Answered::Lead(Ticket::begin(leadership)));
        }
        return Vec::new();
    };
    let mut found = Vec::new();
    for (((mut open, token), mark), acquired) in
        batch.into_iter().zip(tokens).zip(marks).zip(acquired)
    {
        let call = wanted[open.position].0;
        let position = open.position;
        let granted = acquired.as_ref().ok().and_then(Acquired::granted);
        answers[position] = match (acquired, captured.of(call.tags)) {
            (_, Some(tags)) if let Some((granted_at, is_over_seen)) = granted => {
                let _hold = HeldLeases::add(engine, cache, call.key, token, Purpose::Load);
                let occupant = open.occupant;
                let is_over_seen = is_over_seen && !open.is_other;
                let lease = Lease { token, granted_at, tags, occupant, is_over_seen, _hold };
                open.leadership.lease = Some(lease);
                Some(Answered::Lead(Ticket::begin(open.leadership)))
            }
            (Ok(Acquired::Present(raw)), Some(tags)) => {
                found.push(FoundEntry { open, mark, raw, tags });
                None
            }
            (Ok(Acquired::Busy(_)), _) => Some(Answered::Later),
            (Ok(Acquired::BackingOff(left)), _) => {
                open.leadership.complete_backing_off(mark, left);
                Some(Answered::BackingOff(left))
            }
            (answer, _) => {
                if answer.is_err() {
                    cache.stats.count(Counter::Error);
                }
                Some(Answered::Lead(Ticket::begin(open.leadership)))
            }
        };
    }
    examine(engine, cache, wanted, found, budget, answers).await
}

/// Requests the leases, and captures the versions of all tags in the same round trip.
async fn request(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    wanted: &[(Call<'_>, Miss)],
    batch: &[Open],
    tokens: &[Token],
) -> (Vec<Result<Acquired>>, Captured) {
    let call = |open: &Open| wanted[open.position].0;
    let asked_for = batch.iter().zip(tokens);
    let asked_for = asked_for.map(|(open, token)| (call(open).key.clone(), *token)).collect();
    let mut unused = UnusedLeases::asked_for(engine, cache, asked_for);
    let acquire = |(open, token): (&Open, &Token)| {
        open.leadership.requests(*token);
        let (call, token, seen) = (call(open), *token, open.seen.clone());
        let skip_foreign = !call.view().accepts_untracked();
        let (key, lease, replace_failure) = (call.key, engine.lease, !call.backs_off);
        Acquire { key, token, lease, seen, skip_foreign, replace_failure }
    };
    let acquires: Vec<Acquire<'_>> = batch.iter().zip(tokens).map(acquire).collect();
    let tags = union(batch.iter().map(|open| &**call(open).tags));
    let keep = batch.iter().map(|open| call(open).keep).max();
    let capturing = async {
        match keep {
            Some(keep) => engine.capture(cache, &tags, keep).await,
            None => Ok(Vec::new()),
        }
    };
    let (acquired, versions) = join(engine.gate.acquire_many(cache, &acquires), capturing).await;
    let mut granted = acquired.iter();
    let needed = unused.retain(|_| match granted.next() {
        // Without the versions of the tags, nothing can be stored.
        Some(Ok(acquired)) if acquired.granted().is_some() => versions.is_err(),
        Some(Ok(_)) | None => false,
        Some(Err(error)) => error.is_timeout(),
    });
    if versions.is_err() {
        cache.stats.count(Counter::Error);
    }
    (acquired, Captured { tags, versions: versions.ok().filter(|_| needed) })
}

/// A key that has an entry which the call hasn't seen.
struct FoundEntry {
    open: Open,
    /// The next joiner when the lease was requested.
    mark: TicketNumber,
    raw: Bytes,
    /// The versions of the call's tags.
    tags: Vec<TagVersion>,
}

/// Examines entries. Returns the keys whose entry is a miss.
async fn examine(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    wanted: &[(Call<'_>, Miss)],
    found: Vec<FoundEntry>,
    budget: &mut Budget,
    answers: &mut [Option<Answered>],
) -> Vec<Open> {
    let examine = |found: &FoundEntry| {
        let (call, raw) = (wanted[found.open.position].0, found.raw.clone());
        let tags: Vec<_> = found.tags.iter().copied().map(Some).collect();
        async move { engine.examine(call, &raw, &tags).await }
    };
    let examined = {
        let examining = pin!(join_all(found.iter().map(examine)));
        budget.spend(&*engine.runtime, examining).await
    };
    let mut examined = examined.unwrap_or_default().into_iter();
    let mut again = Vec::new();
    for FoundEntry { open, mark, raw, .. } in found {
        let outcome = examined.next().map(|outcome| outcome.map(|it| it.without_load(false)));
        match outcome {
            Some(Ok(ReadOutcome::Hit(value))) if !wanted[open.position].0.reload => {
                cache.stats.count(Counter::Coalesced);
                open.leadership.complete_found(mark, &value);
                answers[open.position] = Some(Answered::Hit(value));
            }
            Some(Ok(outcome)) => {
                let occupant = occupant_of(&outcome);
                let (seen, is_other) = (Seen::entry(&raw), true);
                again.push(Open { seen, occupant, is_other, ..open });
            }
            Some(Err(_)) | None => {
                cache.stats.count(Counter::Error);
                answers[open.position] = Some(Answered::Lead(Ticket::begin(open.leadership)));
            }
        }
    }
    again
}

/// The versions of the tags of a batch.
struct Captured {
    tags: Tags,
    versions: Option<Vec<TagVersion>>,
}

impl Captured {
    /// Returns the versions of some of the tags.
    fn of(&self, tags: &Tags) -> Option<Vec<TagVersion>> {
        let versions = self.versions.as_ref()?;
        let version = |id: &TagId| {
            let position = self.tags.ids().binary_search(id).ok()?;
            versions.get(position).copied()
        };
        tags.ids().iter().map(version).collect()
    }
}

/// Returns the tags of all keys. In most batches all keys have the same tags.
fn union<'a>(sets: impl Iterator<Item = &'a Tags> + Clone) -> Tags {
    sets.clone().next().map(|first| first.union(sets)).unwrap_or_default()
}
