//! Loading many keys with one loader.

use std::any::TypeId;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tracing::Instrument;

use super::call::{CallOptions, Mode};
use super::entry_key::EntryKey;
use super::load::{Loaded, Wanted};
use super::load_ticket::{Completing, Decision, LoadTicket};
use super::load_timeouts::LoadTimeouts;
use super::{ByteCache, Mistake};
use crate::backend::BATCH;
use crate::engine::{
    self, Answered, Call, Claim, Miss, MissReason, ReadOutcome, SharedError, Stale, Ticket, Use,
    Value,
};
use crate::error::Error;
use crate::key::WireKey;
use crate::outage::Budget;
use crate::stats::Counter;
use crate::tag::Tags;

/// A load of many keys.
///
/// Its caller calls [`next`](Self::next) until there is nothing to load any more. Each time it
/// loads the keys at the returned positions, and completes that by [`complete`](Self::complete) or
/// [`fail`](Self::fail).
///
/// Dropping it hands the loads that it leads over to the callers that wait for them.
#[derive(Debug)]
#[must_use = "dropping it makes other callers load"]
pub struct ManyLoad {
    cache: ByteCache,
    options: CallOptions,
    errors: TypeId,
    budget: Budget,
    /// For each key of the call, its position among the distinct ones.
    positions: Vec<usize>,
    slots: Vec<Slot>,
    /// The keys that the caller loads: their slots, and the right to load each.
    led: Vec<(usize, LoadTicket)>,
}

/// A distinct key.
#[derive(Debug)]
struct Slot {
    /// `None` for an invalid key.
    key: Option<(WireKey, Arc<Tags>)>,
    /// The position of its first occurrence in the call.
    first: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Its lease is to be requested.
    Unasked(Unasked),
    /// Another caller loads it.
    Waiting(Miss, Option<Box<Stale>>),
    /// Loaded by this call.
    Led,
    Ended(Ended),
}

/// What is rare is boxed: most keys are hits, and need no room for it.
#[derive(Debug)]
struct Unasked {
    miss: Miss,
    /// A stale value.
    fallback: Option<Box<Stale>>,
    /// If that may be served while one call loads it anew: the right to be that one.
    claim: Option<Box<Claim>>,
}

/// The outcome of one key of a batch.
#[derive(Clone, Debug)]
pub enum Ended {
    /// A value, or the knowledge that there is none.
    Value(Value),
    /// A loader's error.
    Failed(SharedError),
    /// A load has failed a short time ago, and isn't repeated for this time.
    BackingOff(Duration),
    /// The load of another caller takes longer than `hard_timeout`.
    TimedOut,
}

impl ByteCache {
    /// Reads many keys, and requests the right to load those that have no fresh value.
    ///
    /// Costs one round trip for each [`BATCH`] of keys to read them, and one for each batch of
    /// those that are missing.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn load_many(
        &self,
        keys: Vec<Result<EntryKey, Error>>,
        options: CallOptions,
        errors: TypeId,
    ) -> ManyLoad {
        let count = keys.len();
        let budget = self.budget_for(count);
        let (positions, slots) = self.distinct(keys, &options);
        let cache = self.clone();
        let (led, span) = (Vec::new(), self.get_many_span(count));
        let mut load = ManyLoad { cache, options, errors, budget, positions, slots, led };
        load.read().instrument(span.clone()).await;
        if !span.is_disabled() {
            let is_hit = |slot: &&Slot| matches!(slot.state, State::Ended(_));
            span.record("cache.hits", load.slots.iter().filter(is_hit).count());
        }
        load
    }

    /// Returns the distinct keys, and for each key of the call its position among them.
    fn distinct(
        &self,
        keys: Vec<Result<EntryKey, Error>>,
        options: &CallOptions,
    ) -> (Vec<usize>, Vec<Slot>) {
        let count = keys.len();
        let mut known: HashMap<WireKey, usize, RandomState> =
            HashMap::with_capacity_and_hasher(count, RandomState::default());
        let (mut positions, mut slots) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let disabled = options.mode == Mode::Bypass || !self.is_enabled();
        for (first, key) in keys.into_iter().enumerate() {
            let reason = if disabled { MissReason::Disabled } else { MissReason::InvalidKey };
            let state = State::unasked(Miss::without_entry(reason), None);
            let Some(key) = key.ok() else {
                positions.push(slots.len());
                slots.push(Slot { key: None, first, state });
                continue;
            };
            let position = *known.entry(key.wire.clone()).or_insert(slots.len());
            positions.push(position);
            if position == slots.len() {
                // Without its tags an entry could not be invalidated, so it is not stored at all.
                let tags = self.checked(Mistake::Tags, options.tags_in(&self.context, Some(&key)));
                let key = tags.ok().filter(|_| !disabled).map(|tags| (key.wire, tags));
                slots.push(Slot { key, first, state });
            }
        }
        (positions, slots)
    }
}

impl State {
    fn unasked(miss: Miss, fallback: Option<Box<Stale>>) -> Self {
        Self::Unasked(Unasked { miss, fallback, claim: None })
    }
}

impl ManyLoad {
    /// Reads the keys.
    async fn read(&mut self) {
        let reads = !matches!(self.options.mode, Mode::Reload | Mode::Undecodable);
        let mut valid: Vec<&mut Slot> =
            self.slots.iter_mut().filter(|slot| slot.key.is_some()).collect();
        for batch in valid.chunks_mut(BATCH) {
            // Taken out, as they are read together, and put back then: a load that is dropped
            // meanwhile needs none.
            let (mut keys, mut tags) =
                (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
            for (key, own) in batch.iter_mut().filter_map(|slot| slot.key.take()) {
                keys.push(key);
                tags.push(own);
            }
            let (read, is_local) = match reads {
                true => {
                    let budget = &mut self.budget;
                    self.cache.read_many_for_load(&keys, &tags, &self.options, budget).await
                }
                false => {
                    let reload = || ReadOutcome::Miss(Miss::without_entry(MissReason::Reload));
                    (keys.iter().map(|_| reload()).collect(), false)
                }
            };
            let mut read = read.into_iter();
            for (slot, (key, tags)) in batch.iter_mut().zip(keys.into_iter().zip(tags)) {
                if let Some(outcome) = read.next() {
                    slot.state = self.cache.state_of(&key, outcome, is_local);
                }
                slot.key = Some((key, tags));
            }
        }
    }

    /// Returns the positions of the keys that the caller has to load now, in ascending order; each
    /// distinct key once. Returns `None` when all keys have an outcome.
    ///
    /// First come those whose leases are granted at once. When they are stored, it waits for the
    /// loads of others, and returns keys that these have left.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn next(&mut self) -> Option<Vec<usize>> {
        self.lead_at_once().await;
        if self.led.is_empty() {
            self.wait().await;
        }
        self.led.sort_unstable_by_key(|(slot, _)| self.slots[*slot].first);
        let firsts = self.led.iter().map(|(slot, _)| self.slots[*slot].first);
        (!self.led.is_empty()).then(|| firsts.collect())
    }

    /// Requests the leases of the keys that were not asked for yet, without waiting for any.
    async fn lead_at_once(&mut self) {
        let cache = self.cache.clone();
        let (mut asked, mut misses) = (Vec::new(), Vec::new());
        for position in 0..self.slots.len() {
            let slot = &self.slots[position];
            let State::Unasked(unasked) = &slot.state else { continue };
            let ticket = match &slot.key {
                // The call would wait for its own caller.
                Some((key, _)) if engine::is_computing(&cache.engine, key) => {
                    LoadTicket::degraded(cache.clone(), self.options.clone())
                }
                Some(_) => {
                    asked.push(position);
                    misses.push(unasked.miss.clone());
                    continue;
                }
                None => LoadTicket::detached(cache.clone(), None, self.options.clone()),
            };
            self.lead(position, ticket);
        }
        if asked.is_empty() {
            return;
        }
        let wanted: Vec<Wanted> = asked.iter().filter_map(|slot| self.wanted(*slot)).collect();
        let has_fallback = asked.iter().map(|slot| match &self.slots[*slot].state {
            State::Unasked(unasked) => unasked.fallback.is_some(),
            State::Waiting(..) | State::Led | State::Ended(_) => false,
        });
        let call = |(wanted, has_fallback): (_, bool)| {
            let call = cache.call_for(wanted);
            Call { backs_off: call.backs_off || has_fallback, ..call }
        };
        let calls: Vec<(Call<'_>, Miss)> =
            wanted.iter().zip(has_fallback).map(call).zip(misses).collect();
        let leading =
            engine::lead_many(&cache.engine, &cache.context, &calls, &mut self.budget).await;
        for (position, answer) in asked.into_iter().zip(leading) {
            self.note_answer(position, answer);
        }
    }

    fn note_answer(&mut self, position: usize, answer: Answered) {
        let cache = self.cache.clone();
        let taken = State::Waiting(Miss::without_entry(MissReason::Missing), None);
        let slot = &mut self.slots[position];
        let State::Unasked(unasked) = std::mem::replace(&mut slot.state, taken) else { return };
        let Unasked { miss, fallback, claim } = unasked;
        slot.state = match answer {
            // Without a lease a call that is alone serves what it has.
            Answered::Lead(ticket) if claim.is_some() && !ticket.can_store() => match fallback {
                Some(stale) => State::Ended(Ended::Value(cache.served((*stale).into()))),
                None => State::Waiting(miss, None),
            },
            Answered::Lead(ticket) => {
                if claim.is_some() {
                    cache.count(Counter::Refresh);
                }
                let ticket = LoadTicket::new(cache, ticket, self.options.clone());
                let (fallback, claim) = (fallback.map(|stale| *stale), claim.map(|claim| *claim));
                return self.lead(position, ticket.with_fallback(fallback, claim));
            }
            Answered::Hit(value) => State::Ended(Ended::Value(value)),
            Answered::BackingOff(left) => match fallback {
                Some(stale) => {
                    if let (Some((key, _)), None) = (&slot.key, &claim) {
                        let now = cache.engine.runtime.now();
                        cache.engine.refreshes.pause(key, stale.edition, now, left);
                    }
                    claim.into_iter().for_each(|mut claim| claim.pause(left));
                    State::Ended(Ended::Value(cache.served((*stale).into())))
                }
                None => {
                    cache.count(Counter::BackedOff);
                    State::Ended(Ended::BackingOff(left))
                }
            },
            // Its claim ends with a pause.
            Answered::Later => match (fallback, claim) {
                (Some(stale), Some(_)) => State::Ended(Ended::Value(cache.served((*stale).into()))),
                (fallback, _) => State::Waiting(miss, fallback),
            },
        };
    }

    /// Waits for the loads of others, until all of them have ended or this call has to load.
    async fn wait(&mut self) {
        let cache = self.cache.clone();
        let mut waiting = FuturesUnordered::new();
        for (position, slot) in self.slots.iter().enumerate() {
            if let State::Waiting(miss, fallback) = &slot.state
                && let Some(wanted) = self.wanted(position)
            {
                let (cache, miss) = (&cache, miss.clone());
                let fallback = fallback.as_deref().cloned();
                waiting.push(Box::pin(async move {
                    (position, cache.load_missing(wanted, miss, fallback).await)
                }));
            }
        }
        while let Some((position, loaded)) = waiting.next().await {
            self.note_loaded(position, loaded);
            while let Some(Some((position, loaded))) = waiting.next().now_or_never() {
                self.note_loaded(position, loaded);
            }
            if !self.led.is_empty() {
                // The others would be handed leases that nobody fills: they are waited for later.
                return;
            }
        }
    }

    fn note_loaded(&mut self, position: usize, loaded: Loaded) {
        let ended = match loaded {
            Loaded::Value(value) | Loaded::Refresh(value, _) => Ended::Value(value),
            Loaded::Failed(error) => Ended::Failed(error),
            Loaded::BackingOff(left) => Ended::BackingOff(left),
            Loaded::TimedOut => Ended::TimedOut,
            Loaded::Lead(ticket) => return self.lead(position, *ticket),
        };
        self.slots[position].state = State::Ended(ended);
    }

    fn lead(&mut self, position: usize, ticket: LoadTicket) {
        self.slots[position].state = State::Led;
        self.led.push((position, ticket));
    }

    fn wanted(&self, slot: usize) -> Option<Wanted> {
        let (key, tags) = self.slots[slot].key.clone()?;
        let (options, errors) = (self.options.clone(), self.errors);
        Some(Wanted { key, tags, options, errors, budget: self.budget })
    }

    /// Returns how long the call waits for its loader.
    #[must_use]
    pub fn timeouts(&self) -> LoadTimeouts {
        LoadTimeouts::new(&self.cache, None, &self.options)
    }

    /// Runs the loader in the caller's task, and keeps the leases alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the loader.
    pub async fn run<F: Future>(&self, loader: F) -> F::Output {
        let tickets: Vec<&Ticket> =
            self.led.iter().filter_map(|(_, ticket)| ticket.engine_ticket()).collect();
        let ByteCache { engine, context } = &self.cache;
        let loader = loader.instrument(self.cache.load_span(self.led.len()));
        engine::run_many(engine, context, &tickets, loader).await
    }

    /// Keeps the leases of the keys that the caller loads alive for as long as it is polled. Never
    /// completes. It is for loaders that can't be passed to [`run`](Self::run).
    pub fn keep_alive(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let tickets = self.led.iter().filter_map(|(_, ticket)| ticket.engine_ticket());
        let leases = tickets.flat_map(Ticket::leases).collect();
        engine::renew(Arc::clone(&self.cache.engine), Arc::clone(&self.cache.context), leases)
    }

    /// Returns whether a key that the caller loads has a stale value.
    #[must_use]
    pub fn has_stale_values(&self) -> bool {
        self.led.iter().any(|(_, ticket)| ticket.previous().is_some())
    }

    /// Sets that no stale value is served if the loader that runs fails.
    pub fn reject_stale(&mut self) {
        for (_, ticket) in &mut self.led {
            ticket.decide(Decision { rejects_stale: true, ..Decision::default() });
        }
    }

    /// Stores what was loaded for the positions that [`next`](Self::next) has returned, in their
    /// order, and shares it with the callers that wait.
    ///
    /// Costs one round trip for each [`BATCH`] of values.
    ///
    /// # Cancel safety
    /// Once they were sent, the fills complete even if the future is dropped.
    pub async fn complete(&mut self, values: impl IntoIterator<Item = Value>) {
        let span = self.cache.put_span(self.led.len());
        self.complete_in_span(values).instrument(span).await;
    }

    async fn complete_in_span(&mut self, values: impl IntoIterator<Item = Value>) {
        let led = std::mem::take(&mut self.led).into_iter().zip(values);
        let completing = led.map(|((position, ticket), value)| async move {
            let completed = ticket.begin_complete(&value).await;
            (position, completed, value)
        });
        let (mut filling, mut sharing, mut claims) = (Vec::new(), Vec::new(), Vec::new());
        for (position, completed, value) in join_all(completing).await {
            match completed {
                Completing::Fill(fill) => {
                    let (ticket, entry, claim) = *fill;
                    filling.push((ticket, entry, value.clone()));
                    claims.extend(claim);
                }
                Completing::Share(ticket) => sharing.push((*ticket).share(value.clone())),
            }
            self.slots[position].state = State::Ended(Ended::Value(value));
        }
        let ByteCache { engine, context } = &self.cache;
        let sharing = join_all(sharing);
        join(engine::fill_many(engine, context, filling, &mut self.budget), sharing).await;
        drop(claims);
    }

    /// Ends the loads of the positions that [`next`](Self::next) has returned with the loader's
    /// error. Keys that have a stale value get that, as the cache's options allow. Returns `true` if
    /// all of them do.
    ///
    /// # Cancel safety
    /// Same as [`LoadTicket::fail`].
    pub async fn fail(&mut self, error: &SharedError) -> bool {
        let led = std::mem::take(&mut self.led);
        let failing = led.into_iter().map(async |(position, ticket)| {
            let stale = ticket.fail(error).await;
            (position, stale)
        });
        let mut all_have_values = true;
        for (position, stale) in join_all(failing).await {
            all_have_values &= stale.is_some();
            let ended = stale.map_or_else(|| Ended::Failed(Arc::clone(error)), Ended::Value);
            self.slots[position].state = State::Ended(ended);
        }
        all_have_values
    }

    /// Returns the outcomes, in the order of the keys.
    #[must_use]
    pub fn outcomes(self) -> Vec<Ended> {
        let ended = self.slots.into_iter().map(|slot| match slot.state {
            State::Ended(ended) => ended,
            State::Unasked(_) | State::Waiting(..) | State::Led => Ended::Value(Value::Absent),
        });
        let ended: Vec<Ended> = ended.collect();
        // Without duplicates they are in the order of the keys.
        if ended.len() == self.positions.len() {
            return ended;
        }
        self.positions.iter().map(|position| ended[*position].clone()).collect()
    }
}

impl ByteCache {
    /// Returns what a batch does about a key that was read, and counts it.
    fn state_of(&self, key: &WireKey, outcome: ReadOutcome, is_local: bool) -> State {
        self.count_outcome(key, &outcome, is_local);
        let stale = match outcome {
            ReadOutcome::Hit(value) => return State::Ended(Ended::Value(value)),
            ReadOutcome::Miss(miss) => return State::unasked(miss, None),
            ReadOutcome::Stale(stale) => stale,
        };
        let (usable, edition) = (stale.usable, stale.edition);
        let miss = Miss::new(MissReason::Expired, stale.seen.clone());
        let (engine, now) = (&self.engine, self.engine.runtime.now());
        if usable == Use::OnError && !engine.refreshes.is_paused(key, edition, now) {
            self.context.stats.count_read(Counter::Miss, key);
            return State::unasked(miss, Some(stale));
        }
        self.count_stale_hit(key, &stale);
        let claims = usable != Use::OnError;
        match claims.then(|| Claim::new(engine, key, edition)).flatten() {
            Some(claim) => {
                let (fallback, claim) = (Some(stale), Some(Box::new(claim)));
                State::Unasked(Unasked { miss, fallback, claim })
            }
            None => State::Ended(Ended::Value(self.served((*stale).into()))),
        }
    }
}
