//! Loading on a miss.

use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::call::{CallOptions, Mode, RefreshMode};
use super::entry_key::EntryKey;
use super::load_ticket::LoadTicket;
use super::load_timeouts::{LoadTimeouts, Served, Waited};
use super::refresh::{Begun, Refresh};
use super::span::CallSpan;
use super::trace::Source;
use super::{ByteCache, Mistake};
use crate::engine::{
    self, AcquireOutcome, Call, Claim, Miss, MissReason, ReadOutcome, Rejects, SharedError, Stale,
    Usable, Use, Value,
};
use crate::error::Error;
use crate::key::WireKey;
use crate::outage::Budget;
use crate::stats::Counter;
use crate::tag::Tags;

/// The result of a loading call.
#[derive(Debug)]
pub enum Loaded {
    /// A value, from the cache or from another caller's loader.
    Value(Value),
    /// A value, which isn't fresh or won't be for long, and the right and the duty to load it anew
    /// in the background.
    Refresh(Value, Box<Refresh>),
    /// The error of another caller's loader.
    Failed(SharedError),
    /// A load has failed a short time ago, and isn't repeated for this time.
    BackingOff(Duration),
    /// The load of another caller takes longer than `hard_timeout`.
    TimedOut,
    /// The right and the duty to load.
    Lead(Box<LoadTicket>),
}

impl ByteCache {
    /// Returns a value, or the right to load it.
    ///
    /// `errors` is the type of the loader's error: only callers with the same type share
    /// errors. A loader, or a write, that loads its own key becomes its own leader at once, and
    /// stores nothing. Without a valid key and valid tags, or while the caches are disabled, every
    /// caller loads by itself and nothing is stored.
    ///
    /// A hit costs one round trip, a miss three, including its fill. A stale value costs the calls
    /// that are given it no more than a hit, except for the one that loads it anew, if it isn't
    /// loaded in the background.
    ///
    /// # Cancel safety
    /// May be dropped at any point. If the caller was loading, the caller that has waited
    /// longest loads instead.
    pub async fn load(
        &self,
        key: Result<EntryKey, Error>,
        mut options: CallOptions,
        errors: TypeId,
    ) -> Loaded {
        if let Some(span) = self.get_span(&key, &options) {
            return Box::pin(self.load_in_span(*span, key, options, errors)).await;
        }
        if let Some(outer) = options.take_tags_into() {
            return self.load_part(outer, key, options, errors).await;
        }
        if options.mode == Mode::OwnKey {
            return Loaded::Lead(Box::new(LoadTicket::degraded(self.clone(), options)));
        }
        let key = match key {
            Ok(key) if options.mode != Mode::Bypass && self.is_enabled() => key,
            key => {
                match &key {
                    Err(_) => options.note_reason(MissReason::InvalidKey),
                    Ok(_) if !self.is_enabled() => options.note_reason(MissReason::Disabled),
                    Ok(_) => {}
                }
                return self.detached(key.ok().map(|key| key.wire), options);
            }
        };
        // Without its tags an entry could not be invalidated, so it is not stored at all.
        let tags = self.checked(Mistake::Tags, options.tags_in(&self.context, Some(&key)));
        let key = key.wire;
        let Ok(tags) = tags else {
            return self.detached(Some(key), options);
        };
        let mut budget = Budget::new(self.context.options.backend_budget);
        let found = match options.mode {
            Mode::Reload | Mode::Undecodable => {
                if options.mode == Mode::Reload {
                    options.note_reason(MissReason::Reload);
                }
                Ok(Miss::without_entry(MissReason::Reload))
            }
            Mode::Use | Mode::Bypass | Mode::OwnKey => {
                let reading = self.read_for_load(&key, &tags, &options, &mut budget);
                match reading.await {
                    ReadOutcome::Hit(value) => return Loaded::Value(value),
                    ReadOutcome::Stale(stale) => Err(stale),
                    ReadOutcome::Miss(miss) => Ok(miss),
                }
            }
        };
        let wanted = Wanted { key, tags, options, errors, budget };
        // Boxed, so that the future of a hit stays small.
        Box::pin(async move {
            match found {
                Ok(miss) => self.load_missing(wanted, miss, None).await,
                Err(stale) => self.load_stale(wanted, *stale).await,
            }
        })
        .await
    }

    /// Loads a key within the span of the call. That ends when the caller is to load.
    async fn load_in_span(
        &self,
        mut span: CallSpan,
        key: Result<EntryKey, Error>,
        options: CallOptions,
        errors: TypeId,
    ) -> Loaded {
        let options = span.options(options);
        let loaded = self.load(key, options, errors).instrument(span.span.clone()).await;
        span.record();
        loaded
    }

    /// Serves a value that is to be loaded anew, or loads it first.
    async fn load_stale(&self, wanted: Wanted, stale: Stale) -> Loaded {
        let engine = &self.engine;
        if let Some(trace) = wanted.options.trace() {
            trace.note(|traced| {
                traced.is_stale = stale.usable != Use::RefreshEarly;
                traced.reason = traced.is_stale.then_some(MissReason::Expired);
            });
        }
        if stale.usable == Use::OnError {
            if engine.refreshes.is_paused(&wanted.key, stale.edition, engine.runtime.now()) {
                self.count_stale_hit(&wanted.key, &stale);
                let trace = wanted.options.trace().into_iter();
                trace.for_each(|trace| trace.note(|traced| traced.is_instead = true));
                return Loaded::Value(self.served_instead(stale.into()));
            }
            self.context.stats.count_read(Counter::Miss, &wanted.key);
            let miss = Miss::new(MissReason::Expired, stale.seen.clone());
            return self.load_missing(wanted, miss, Some(stale)).await;
        }
        self.count_stale_hit(&wanted.key, &stale);
        let usable = Usable::from(stale.clone());
        let claim = Claim::new(engine, &wanted.key, stale.edition);
        let Some(claim) = claim else { return Loaded::Value(self.served(usable)) };
        let mode = wanted.options.refresh;
        let mut wanted = wanted;
        if mode == RefreshMode::Background
            && let Some(trace) = wanted.options.take_trace()
        {
            // What goes on in the background is no part of the call.
            trace.note(|traced| (traced.loaded, traced.in_background) = (true, true));
        }
        let trace = wanted.options.trace().cloned();
        let refresh = Refresh { cache: self.clone(), wanted, stale, claim };
        match mode {
            RefreshMode::Background => Loaded::Refresh(self.served(usable), Box::new(refresh)),
            RefreshMode::Inline => match refresh.begin().await {
                Begun::Lead(ticket) => Loaded::Lead(ticket),
                Begun::Found(value) => {
                    let trace = trace.into_iter();
                    trace.for_each(|it| it.note(|traced| traced.from(Source::OtherCall)));
                    Loaded::Value(value)
                }
                Begun::Later => Loaded::Value(self.served(usable)),
            },
        }
    }

    /// Loads what the call has found no value for, or one that it falls back to.
    pub(super) async fn load_missing(
        &self,
        wanted: Wanted,
        miss: Miss,
        mut fallback: Option<Stale>,
    ) -> Loaded {
        let Wanted { key, tags, options, .. } = &wanted;
        let engine = &self.engine;
        if engine::is_computing(engine, key) {
            return Loaded::Lead(Box::new(LoadTicket::degraded(self.clone(), options.clone())));
        }
        let call = self.call_for(&wanted);
        let entry = fallback.as_ref().map(|stale| Served {
            key: key.clone(),
            tags: Arc::clone(tags),
            edition: stale.edition,
        });
        let mut timeouts = LoadTimeouts::new(self, entry, options);
        loop {
            let backs_off = fallback.is_some() || call.backs_off;
            let asking = Call { wait_limit: timeouts.next(), backs_off, ..call };
            let asked = engine.runtime.now();
            let acquired = engine.acquire(asking, miss.clone()).await;
            let waited = engine.runtime.now().since(asked);
            let is_hit = matches!(acquired, AcquireOutcome::Hit(_));
            options.trace().into_iter().for_each(|trace| trace.waited(waited, is_hit));
            match acquired {
                AcquireOutcome::Hit(value) => return Loaded::Value(value),
                AcquireOutcome::Instead(usable) => {
                    options.trace().into_iter().for_each(|trace| trace.instead(&usable));
                    return Loaded::Value(self.served(usable));
                }
                AcquireOutcome::Failed(error, Rejects::Nothing) if fallback.is_some() => {
                    return match self.instead(&wanted, &fallback).await {
                        Some(value) => Loaded::Value(value),
                        None => Loaded::Failed(error),
                    };
                }
                AcquireOutcome::Failed(error, _) => return Loaded::Failed(error),
                AcquireOutcome::Lead(mut ticket) => {
                    if fallback.is_some() {
                        fallback = ticket.take_found().or(fallback);
                    }
                    let ticket = LoadTicket::new(self.clone(), ticket, options.clone());
                    return Loaded::Lead(Box::new(ticket.with_fallback(fallback, None)));
                }
                AcquireOutcome::TimedOut => {
                    let ticket = LoadTicket::degraded(self.clone(), options.clone());
                    return Loaded::Lead(Box::new(ticket));
                }
                AcquireOutcome::BackingOff(left) => {
                    // The call may have waited: what it has read may be invalidated since.
                    if let Some(value) = self.instead(&wanted, &fallback).await {
                        if let Some(stale) = &fallback {
                            let now = engine.runtime.now();
                            engine.refreshes.pause(key, stale.edition, now, left);
                        }
                        return Loaded::Value(value);
                    }
                    if fallback.take().is_none() || call.backs_off {
                        self.count(Counter::BackedOff);
                        return Loaded::BackingOff(left);
                    }
                }
                AcquireOutcome::LimitReached => match timeouts.end().await {
                    Some(Waited::Stale(value)) => return Loaded::Value(value),
                    Some(_) => return Loaded::TimedOut,
                    // What it falls back to was invalidated.
                    None => fallback = None,
                },
            }
        }
    }

    /// Returns what a call is given instead of an error, if there is something: it reads its key
    /// again. If that fails, it falls back to what it has read before.
    async fn instead(&self, wanted: &Wanted, fallback: &Option<Stale>) -> Option<Value> {
        let Wanted { key, tags, options, .. } = wanted;
        let Stale { value, .. } = fallback.as_ref()?;
        let usable = match self.engine.usable(&self.context, key, tags).await {
            Ok(usable) => usable?,
            Err(_) => {
                self.count(Counter::Error);
                Usable { value: value.clone(), is_stale: true }
            }
        };
        if usable.value.is_absent() && !options.takes_absent {
            return None;
        }
        options.trace().into_iter().for_each(|trace| trace.instead(&usable));
        Some(self.served_instead(usable))
    }

    /// Counts a value that is given to a caller, if it is stale.
    pub(super) fn served(&self, usable: Usable) -> Value {
        if usable.is_stale {
            self.count(Counter::Stale);
        }
        usable.value
    }

    /// Counts a value that is given to a caller instead of an error, or of a slow load.
    pub(super) fn served_instead(&self, usable: Usable) -> Value {
        if usable.is_stale {
            self.count(Counter::StaleInstead);
        }
        self.served(usable)
    }

    /// Acquires the right to fill a key manually, for loads that don't fit into one call.
    ///
    /// Costs one round trip, or two if an entry exists. It doesn't wait: while another caller
    /// loads the key, or if the backend fails, the ticket stores nothing.
    ///
    /// # Errors
    /// Returns the key's error, or an error of kind [`ErrorKind::Key`](crate::ErrorKind::Key)
    /// or [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if the tags or the
    /// lifetime are invalid.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub async fn ticket(
        &self,
        key: Result<EntryKey, Error>,
        options: CallOptions,
    ) -> Result<LoadTicket, Error> {
        let key = key?;
        let options = options.takes_absent(true).mode(Mode::Reload);
        self.checked(Mistake::Lifetime, options.ttl_in(&self.context))?;
        let tags = self.checked(Mistake::Tags, options.tags_in(&self.context, Some(&key)))?;
        let call = self.call(&key.wire, &tags, &options, TypeId::of::<()>());
        let ticket = engine::ticket(call, &self.engine).await;
        Ok(LoadTicket::new(self.clone(), ticket, options))
    }

    /// Returns the call that loads a key.
    pub(super) fn call_for<'a>(&'a self, wanted: &'a Wanted) -> Call<'a> {
        let Wanted { key, tags, options, errors, budget } = wanted;
        Call { budget: *budget, ..self.call(key, tags, options, *errors) }
    }

    fn call<'a>(
        &'a self,
        key: &'a WireKey,
        tags: &'a Arc<Tags>,
        options: &CallOptions,
        errors: TypeId,
    ) -> Call<'a> {
        let own = &self.context.options;
        Call {
            cache: &self.context,
            key,
            tags,
            keep: options.keep_in(&self.context),
            errors,
            takes_absent: options.takes_absent,
            reload: matches!(options.mode, Mode::Reload | Mode::Undecodable),
            join_timeout: options
                .nested
                .then(|| own.wait_timeout.saturating_add(own.backend_budget)),
            wait_limit: None,
            backs_off: !options.must_load
                && options.mode == Mode::Use
                && !own.error_backoff.is_zero(),
            waits_until: self.engine.runtime.now() + own.wait_timeout,
            budget: Budget::new(own.backend_budget),
        }
    }

    /// Lets the caller load by itself. If it is a reload, the outdated entry is removed after
    /// it has loaded.
    fn detached(&self, key: Option<WireKey>, options: CallOptions) -> Loaded {
        let outdated = key.filter(|_| options.mode == Mode::Reload);
        Loaded::Lead(Box::new(LoadTicket::detached(self.clone(), outdated, options)))
    }
}

/// What a call wants to load.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) key: WireKey,
    pub(super) tags: Arc<Tags>,
    pub(super) options: CallOptions,
    /// The type of the loader's error.
    pub(super) errors: TypeId,
    pub(super) budget: Budget,
}
