//! Reads.

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use tracing::Instrument;

use super::call::{CallOptions, Mode};
use super::span::CallSpan;
use super::trace::{Outcome, Source};
use super::{ByteCache, EntryKey, Mistake};
use crate::backend::BATCH;
use crate::engine::{Freshness, Inspected, Miss, MissReason, ReadOutcome};
use crate::error::Error;
use crate::key::WireKey;
use crate::outage::{Budget, OperationKind};
use crate::stats::Counter;
use crate::tag::Tags;
use crate::ttl::Remaining;

/// The options of a call that only reads.
pub(super) const READ: CallOptions = CallOptions::none();

impl ByteCache {
    /// Reads a key, and counts a hit or a miss.
    ///
    /// Costs one round trip, and a second one to look up the versions of tags that the entry
    /// carries but neither the cache nor the key names; none for a hit in the near tier.
    ///
    /// # Errors
    /// Returns the key's error, or an error if the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn read(&self, key: Result<EntryKey, Error>) -> Result<ReadOutcome, Error> {
        if let Some(span) = self.get_span(&key, &READ) {
            return Box::pin(self.read_in_span(*span, key, CallOptions::none())).await;
        }
        if !self.is_enabled() {
            return Ok(miss(MissReason::Disabled));
        }
        let key = key?;
        let tags = self.checked(Mistake::Tags, key.tags_in(&self.context))?;
        self.read_with(&key.wire, tags, &READ).await
    }

    /// Reads a key with the options of a call: an entry whose tags differ from the call's is a
    /// miss, and so is any entry for a call that bypasses or reloads the cache.
    ///
    /// # Errors
    /// Same as [`ByteCache::read`]; also returns an error if the tags are invalid.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn read_as(
        &self,
        key: Result<EntryKey, Error>,
        call: &CallOptions,
    ) -> Result<ReadOutcome, Error> {
        if let Some(span) = self.get_span(&key, call) {
            return Box::pin(self.read_in_span(*span, key, call.clone())).await;
        }
        if let Some(outer) = call.tags_into() {
            return self.read_part(outer, key, call).await;
        }
        if !self.is_enabled() {
            call.note_reason(MissReason::Disabled);
            return Ok(miss(MissReason::Disabled));
        }
        if call.mode != Mode::Use {
            call.note_reason(MissReason::Reload);
            return Ok(miss(MissReason::Reload));
        }
        let key = key.inspect_err(|_| call.note_reason(MissReason::InvalidKey))?;
        let tags = self.checked(Mistake::Tags, call.tags_in(&self.context, Some(&key)))?;
        self.read_with(&key.wire, &tags, call).await
    }

    /// Reads a key within the span of the call.
    async fn read_in_span(
        &self,
        mut span: CallSpan,
        key: Result<EntryKey, Error>,
        call: CallOptions,
    ) -> Result<ReadOutcome, Error> {
        let call = span.options(call);
        let read = self.read_as(key, &call).instrument(span.span.clone()).await;
        span.record();
        read
    }

    async fn read_with(
        &self,
        key: &WireKey,
        tags: &Tags,
        call: &CallOptions,
    ) -> Result<ReadOutcome, Error> {
        let local = self.read_local(key, tags, true, call).await;
        let is_local = local.is_some();
        let outcome = match local {
            Some(outcome) => outcome,
            None => {
                let inspected = self.engine.inspect(&self.context, key, tags).await;
                inspected.map(|inspected| {
                    self.note_found(call, &inspected, key);
                    self.engine.outcome(inspected, &self.context, key, true)
                })
            }
        };
        let outcome = outcome.map(|outcome| outcome.without_load(false));
        self.note_miss_of(call, outcome.as_ref().ok());
        match &outcome {
            Ok(found) => self.count_outcome(key, found, is_local),
            Err(_) => {
                self.count_outcome(key, &miss(MissReason::Unreadable), is_local);
                return self.counted(outcome.map_err(|error| error.with_key(key)));
            }
        }
        outcome
    }

    /// Reads for a loading call, within its budget. A failure of the backend is a miss, and is
    /// counted.
    pub(super) async fn read_for_load(
        &self,
        key: &WireKey,
        tags: &Tags,
        options: &CallOptions,
        budget: &mut Budget,
    ) -> ReadOutcome {
        let local = self.read_local(key, tags, options.takes_absent, options).await;
        let is_local = local.is_some();
        let outcome = match local {
            Some(outcome) => outcome,
            None => {
                // Boxed, so that a call that loads afterwards takes little memory.
                let inspected = Box::pin(self.inspect_in(budget, key, tags)).await;
                let Self { engine, context } = self;
                let takes_absent = options.takes_absent;
                inspected.map(|inspected| {
                    self.note_found(options, &inspected, key);
                    engine.outcome(inspected, context, key, takes_absent)
                })
            }
        };
        let outcome = outcome.unwrap_or_else(|_| {
            self.count(Counter::Error);
            miss(MissReason::Unreadable)
        });
        self.count_outcome(key, &outcome, is_local);
        self.note_miss_of(options, Some(&outcome));
        outcome
    }

    /// Notes an entry for a call that is traced.
    fn note_found(&self, call: &CallOptions, inspected: &Inspected, key: &WireKey) {
        if let (Some(trace), Ok(found)) = (call.trace(), &inspected.found) {
            let (tags, now) = (found.stamps().into_boxed_slice(), self.engine.gate.clock(key));
            trace.found(Source::Server, found.freshness, tags, now);
        }
    }

    /// Notes why a call that is traced was not answered.
    fn note_miss_of(&self, call: &CallOptions, outcome: Option<&ReadOutcome>) {
        let Some(trace) = call.trace() else { return };
        let reason = match outcome {
            Some(ReadOutcome::Miss(miss)) => miss.reason(),
            None => MissReason::Unreadable,
            Some(ReadOutcome::Hit(_) | ReadOutcome::Stale(_)) => return,
        };
        trace.note(|traced| *traced = Outcome { reason: Some(reason), ..Outcome::default() });
    }

    /// Reads keys for a loading call, within its budget, and returns whether it found them in the
    /// memory of this process. A failure of the backend makes all of them misses, and is counted.
    pub(super) async fn read_many_for_load(
        &self,
        keys: &[WireKey],
        tags: &[Arc<Tags>],
        options: &CallOptions,
        budget: &mut Budget,
    ) -> (Vec<ReadOutcome>, bool) {
        let local = self.read_many_locally(keys, tags, options).await;
        let is_local = local.is_some();
        let read = match local {
            Some(read) => read,
            None => {
                let Self { engine, context } = self;
                let is_own = |tags: &Arc<Tags>| Arc::ptr_eq(tags, &context.tags);
                let own = (!tags.iter().all(is_own)).then_some(tags);
                let reading = Box::pin(engine.inspect_many(context, keys, own));
                let inspected = self.read_in(budget, reading).await;
                let outcome = |(entry, key): (Inspected, &WireKey)| {
                    engine.outcome(entry, context, key, options.takes_absent)
                };
                inspected.map(|all| all.into_iter().zip(keys).map(outcome).collect())
            }
        };
        let read = read.unwrap_or_else(|_| {
            self.count(Counter::Error);
            keys.iter().map(|_| miss(MissReason::Unreadable)).collect()
        });
        (read, is_local)
    }

    /// Inspects an entry within a budget. Hits, which are many, need no timer if the backend
    /// bounds a read by itself.
    async fn inspect_in(
        &self,
        budget: &mut Budget,
        key: &WireKey,
        tags: &Tags,
    ) -> Result<Inspected, Error> {
        let Self { engine, context } = self;
        let runtime = &*engine.runtime;
        // A caller outside of any runtime drives no connection.
        let drives = || runtime.current().is_some();
        let longest = (engine.gate.longest_read())
            .filter(|longest| budget.covers(*longest) && (longest.is_zero() || drives()));
        let Some(longest) = longest else {
            return self.read_in(budget, engine.inspect(context, key, tags)).await;
        };
        let (began, busy) = (runtime.now(), runtime.busy());
        let looked_up = engine.look_up(context, key, tags).await;
        if let Ok(hit) = &looked_up
            && hit.found.is_ok()
            && hit.open.is_empty()
        {
            return looked_up;
        }
        let (took, busy) = (runtime.now().since(began), runtime.busy().saturating_sub(busy));
        budget.charge(took.saturating_sub(busy).min(longest));
        let mut inspected = looked_up?;
        if !inspected.open.is_empty() {
            let verifying = engine.verify_tags(context, slice::from_mut(&mut inspected), tags);
            self.read_in(budget, verifying).await?;
        }
        Ok(inspected)
    }

    /// Waits for a read within a budget.
    async fn read_in<T>(
        &self,
        budget: &mut Budget,
        reading: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Self { engine, context } = self;
        let read = budget.spend(&*engine.runtime, reading).await;
        read.unwrap_or_else(|| Err(engine.gate.timed_out(context, OperationKind::Read)))
    }

    /// Reads keys, in their order, and counts a hit or a miss for each valid one. An invalid
    /// key is a miss.
    ///
    /// Costs as many round trips for each [`BATCH`] of keys as [`ByteCache::read`] for one
    /// key.
    ///
    /// # Errors
    /// Returns an error if the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn read_many(
        &self,
        keys: Vec<Result<EntryKey, Error>>,
    ) -> Result<Vec<ReadOutcome>, Error> {
        let span = self.get_many_span(keys.len());
        let read = self.read_many_unobserved(keys).instrument(span.clone()).await;
        if !span.is_disabled() {
            let is_hit = |outcome: &&ReadOutcome| !matches!(outcome, ReadOutcome::Miss(_));
            span.record("cache.hits", read.iter().flatten().filter(is_hit).count());
        }
        read
    }

    async fn read_many_unobserved(
        &self,
        keys: Vec<Result<EntryKey, Error>>,
    ) -> Result<Vec<ReadOutcome>, Error> {
        if !self.is_enabled() {
            return Ok(keys.iter().map(|_| miss(MissReason::Disabled)).collect());
        }
        let keys: Vec<_> = keys.into_iter().map(|key| self.with_tags(key?)).collect();
        let is_valid: Vec<bool> = keys.iter().map(Result::is_ok).collect();
        let (wire, tags): (Vec<_>, Vec<_>) = keys.into_iter().flatten().unzip();
        let mut outcomes = Vec::with_capacity(wire.len());
        for (wire, tags) in wire.chunks(BATCH).zip(tags.chunks(BATCH)) {
            if !outcomes.is_empty() {
                self.engine.runtime.yield_now().await;
            }
            let local = self.read_many_locally(wire, tags, &READ).await;
            let is_local = local.is_some();
            let read = match local {
                Some(read) => read,
                None => {
                    let own = self.context.tag_rule.is_some().then_some(tags);
                    let inspected = self.engine.inspect_many(&self.context, wire, own).await;
                    let outcome = |(entry, key): (Inspected, &WireKey)| {
                        self.engine.outcome(entry, &self.context, key, true)
                    };
                    let decoded = |all: Vec<_>| all.into_iter().zip(wire).map(outcome).collect();
                    inspected.map(decoded)
                }
            };
            if read.is_err() {
                let unreadable = miss(MissReason::Unreadable);
                wire.iter().for_each(|key| self.count_outcome(key, &unreadable, is_local));
            }
            let read: Vec<ReadOutcome> = self.counted(read)?;
            let read: Vec<_> =
                read.into_iter().map(|outcome| outcome.without_load(false)).collect();
            for (key, outcome) in wire.iter().zip(&read) {
                self.count_outcome(key, outcome, is_local);
            }
            outcomes.extend(read);
        }
        let mut outcomes = outcomes.into_iter();
        let outcome = |valid| match valid {
            true => outcomes.next().unwrap_or_else(|| miss(MissReason::Missing)),
            false => miss(MissReason::InvalidKey),
        };
        Ok(is_valid.into_iter().map(outcome).collect())
    }

    /// Returns a key and the tags that its entry must carry. Invalid tags are counted.
    fn with_tags(&self, key: EntryKey) -> Result<(WireKey, Arc<Tags>), Error> {
        let tags = CallOptions::default().tags_in(&self.context, Some(&key));
        Ok((key.wire, self.checked(Mistake::Tags, tags)?))
    }

    /// Returns for how long the value of an entry is fresh: for that time it is a hit without a
    /// loader. The entry is missing if it is stale, if one of its tags was
    /// invalidated, or if it is untracked and the cache rejects such entries. It is not
    /// decoded.
    ///
    /// Costs as many round trips as [`ByteCache::read`], and counts neither a hit nor a miss.
    ///
    /// # Errors
    /// Returns the key's error, or an error if the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn remaining(
        &self,
        key: Result<EntryKey, Error>,
        call: &CallOptions,
    ) -> Result<Remaining, Error> {
        if !self.is_enabled() {
            return Ok(Remaining::Missing);
        }
        let key = key?;
        let tags = self.checked(Mistake::Tags, call.tags_in(&self.context, Some(&key)))?;
        let (cache, gate, key) = (&self.context, &self.engine.gate, key.wire);
        let inspecting = self.engine.inspect(cache, &key, &tags);
        let (inspected, remaining) = join(inspecting, gate.remaining(cache, &key)).await;
        let remaining = inspected.and_then(|inspected| match (inspected.found, remaining?) {
            (Ok(found), Remaining::After(left)) => {
                let fresh = |freshness: Freshness| freshness.left_of(left, || gate.clock(&key));
                match found.freshness.map_or(left, fresh) {
                    Duration::ZERO => Ok(Remaining::Missing),
                    fresh => Ok(Remaining::After(fresh)),
                }
            }
            (Ok(_), remaining) => Ok(remaining),
            (Err(_), _) => Ok(Remaining::Missing),
        });
        self.counted(remaining.map_err(|error| error.with_key(&key)))
    }
}

fn miss(reason: MissReason) -> ReadOutcome {
    ReadOutcome::Miss(Miss::without_entry(reason))
}
