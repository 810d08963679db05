//! The loader of a batch, and its fills.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures_util::future::join;

use super::Engine;
use super::admission::Admitted;
use super::cleanup::finish_even_if_dropped;
use super::entry::version;
use super::filling::Filling;
use super::flight::{Leadership, TicketNumber};
use super::leader::{LeaderWaker, Led};
use super::outcome::Value;
use super::renewal::renewing;
use super::scope::{Keys, computing};
use super::ticket::{Ticket, end_filled};
use crate::backend::{BATCH, Fill, TagVersion};
use crate::context::CacheContext;
use crate::key::WireKey;
use crate::outage::{Budget, OperationKind};

/// Runs the loader of a batch in the caller's task, and keeps all leases alive meanwhile.
///
/// # Cancel safety
/// Dropping it drops the loader.
pub(crate) async fn run_many<F: Future>(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    tickets: &[&Ticket],
    loader: F,
) -> F::Output {
    let keys: Arc<[WireKey]> = tickets.iter().map(|ticket| ticket.key().clone()).collect();
    let loader = pin!(loader);
    let loading = pin!(computing(engine, Keys::Many(keys), loader));
    let leases = || tickets.iter().flat_map(|ticket| ticket.leases()).collect();
    let renewing = pin!(renewing(engine, cache, leases, loading));
    let led = tickets.iter().map(|ticket| ticket.leadership.led());
    LeaderWaker::new(Led::Many(led.collect()), &engine.runtime).attend(renewing).await
}

/// A flight whose fill is sent.
struct Sent {
    leadership: Leadership,
    loader_began: TicketNumber,
    value: Value,
    /// The keys of the tags, and the versions that they had before the load.
    captured: Vec<(WireKey, TagVersion)>,
}

/// Stores the values of a batch, and shares them with the callers that wait for them. A value
/// without something to store, or without a lease, is only shared.
///
/// Costs one round trip for each [`BATCH`] of values.
///
/// # Cancel safety
/// Once they were sent, the fills complete even if the future is dropped.
pub(crate) async fn fill_many(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    loaded: Vec<(Ticket, Filling, Value)>,
    budget: &mut Budget,
) {
    let mut filling = Vec::with_capacity(loaded.len());
    for (ticket, entry, value) in loaded {
        match ticket.leadership.lease.is_some() {
            true => filling.push((ticket, entry, value)),
            false => {
                ticket.load_ended();
                ticket.leadership.complete_loaded(ticket.loader_began, &value);
            }
        }
    }
    while !filling.is_empty() {
        let rest = filling.split_off(filling.len().min(BATCH));
        let batch = std::mem::replace(&mut filling, rest);
        let led = batch.iter().map(|(ticket, ..)| ticket.leadership.led()).collect();
        let waker = LeaderWaker::new(Led::Many(led), &engine.runtime);
        let permit = engine.admission.permit(&*engine.runtime, Admitted::Fill).await;
        let storing = store(Arc::clone(engine), Arc::clone(cache), batch);
        let storing = pin!(finish_even_if_dropped(&engine.runtime, storing));
        let stored = waker.attend(pin!(budget.spend(&*engine.runtime, storing))).await;
        drop(permit);
        if stored.is_none() {
            engine.gate.timed_out(cache, OperationKind::Store);
        }
    }
}

async fn store(
    engine: Arc<Engine>,
    cache: Arc<CacheContext>,
    batch: Vec<(Ticket, Filling, Value)>,
) {
    let (mut fills, mut sent) = (Vec::new(), Vec::new());
    for (ticket, filling, value) in batch {
        let load_time = ticket.load_ended();
        let Ticket { leadership, loader_began, .. } = ticket;
        let Some(lease) = leadership.lease.clone() else { continue };
        // The backend's answer is valid only for callers that are waiting now.
        leadership.seal();
        let tags = leadership.flight.tags.keys().iter().cloned();
        let mut captured: Vec<_> = tags.zip(lease.tags.iter().copied()).collect();
        let (fill, late) = filling.into_fill(&leadership.flight, &lease, load_time);
        captured.extend(late.into_captured());
        fills.push(fill);
        sent.push(Sent { leadership, loader_began, value, captured });
    }
    let storing = engine.gate.store(&cache, &fills as &[Fill]);
    let (answers, versions) = join(storing, read_tags(&engine, &cache, &sent)).await;
    let mut answers = answers.into_iter();
    for Sent { leadership, loader_began, value, captured } in sent {
        let unchanged =
            captured.iter().all(|(tag, version)| versions.get(tag) == Some(&Some(*version)));
        end_filled(leadership, loader_began, answers.next(), unchanged, &value);
    }
}

/// Reads the tags of all fills, once each.
async fn read_tags(
    engine: &Engine,
    cache: &CacheContext,
    sent: &[Sent],
) -> HashMap<WireKey, Option<TagVersion>, RandomState> {
    let mut tags: Vec<WireKey> =
        sent.iter().flat_map(|sent| &sent.captured).map(|(tag, _)| tag.clone()).collect();
    tags.sort_unstable();
    tags.dedup();
    let mut versions = HashMap::default();
    for batch in tags.chunks(BATCH) {
        let read = engine.gate.read(cache, batch).await.unwrap_or_default();
        let read = read.iter().map(|raw| version(raw.as_ref()));
        versions.extend(batch.iter().cloned().zip(read));
    }
    versions
}
