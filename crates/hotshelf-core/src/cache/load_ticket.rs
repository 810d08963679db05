//! The right and the duty to load.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::call::{CallOptions, RefreshMode, keep, plain_entries_have_no_tags};
use super::inherited::InheritedTags;
use super::load_timeouts::{LoadTimeouts, Served};
use super::trace::Source;
use super::{ByteCache, Mistake};
use crate::backend::{Pause, Seen};
use crate::context::Format;
use crate::engine::{
    Claim, Filled, Filling, LateTags, Occupant, Rejects, SharedError, Stale, Ticket, Usable, Value,
};
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::Counter;
use crate::tag::TagId;
use crate::timeout::within;
use crate::ttl::{Lifetime, Ttl};

/// The right and the duty to load a value, for its holder and for the callers that wait.
///
/// Dropping it hands the load over to the caller that has waited longest.
#[derive(Debug)]
#[must_use = "dropping a ticket makes another caller load"]
pub struct LoadTicket {
    cache: ByteCache,
    /// `None` if the caller loads by itself.
    ticket: Option<Ticket>,
    options: CallOptions,
    /// The entry that the loaded value makes outdated, if there is no ticket that knows it.
    outdated: Option<WireKey>,
    /// The value of the entry, if it is only stale.
    fallback: Option<Stale>,
    /// Held by a load whose value is served meanwhile.
    claim: Option<Claim>,
    decision: Decision,
}

/// Ends a refresh. What couldn't be stored isn't repeated at once.
fn end_claim(claim: Option<Claim>, is_done: bool) {
    if let Some(mut claim) = claim.filter(|_| is_done) {
        claim.pause(Duration::ZERO);
    }
}

/// How a load is completed.
pub(super) enum Completing {
    /// The claim is kept until the value is stored.
    Fill(Box<(Ticket, Filling, Option<Claim>)>),
    Share(Box<LoadTicket>),
}

/// What a loader decides about what it has loaded.
#[derive(Debug, Default)]
pub struct Decision {
    /// For how long the value is fresh, instead of what the call's options say.
    pub time_to_live: Option<Result<Duration, Error>>,
    /// Further tags, which are known only from the value.
    pub tags: Option<Result<Vec<TagId>, Error>>,
    /// The tags of the values that the value is made of.
    pub inherited: Option<InheritedTags>,
    /// Whether the value is not to be stored.
    pub skip_store: bool,
    /// Whether callers are given the loader's error even if there is a stale value.
    pub rejects_stale: bool,
}

impl LoadTicket {
    pub(super) fn new(cache: ByteCache, ticket: Ticket, options: CallOptions) -> Self {
        Self { ticket: Some(ticket), ..Self::alone(cache, None, options) }
    }

    fn alone(cache: ByteCache, outdated: Option<WireKey>, options: CallOptions) -> Self {
        if let Some(trace) = options.trace() {
            trace.note(|traced| traced.loaded = true);
        }
        let (ticket, fallback, claim, decision) = (None, None, None, Decision::default());
        Self { cache, ticket, options, outdated, fallback, claim, decision }
    }

    /// Adds the value that callers are given meanwhile, or if the load fails, and the claim of a
    /// refresh.
    pub(super) fn with_fallback(self, fallback: Option<Stale>, claim: Option<Claim>) -> Self {
        Self { fallback, claim, ..self }
    }

    /// Sets the load that the loaded value is a part of.
    pub(super) fn within(mut self, outer: InheritedTags) -> Self {
        self.options = self.options.pass_tags_into(outer);
        self
    }

    /// Creates a ticket that neither shares nor stores.
    pub(super) fn detached(
        cache: ByteCache,
        outdated: Option<WireKey>,
        options: CallOptions,
    ) -> Self {
        cache.count(Counter::Load);
        Self::alone(cache, outdated, options)
    }

    /// Creates the ticket of a call that has stopped waiting.
    pub(super) fn degraded(cache: ByteCache, options: CallOptions) -> Self {
        cache.count(Counter::Degraded);
        Self::detached(cache, None, options)
    }

    /// Returns `true` if the value can be stored. The right to store it may be lost later.
    #[must_use]
    pub fn can_store(&self) -> bool {
        self.cache.is_enabled() && self.ticket.as_ref().is_some_and(Ticket::can_store)
    }

    /// Returns the previous value, if it is only stale. A loader that finds that it hasn't changed
    /// completes the load with it: a backend that has it still is sent the metadata alone.
    #[must_use]
    pub fn previous(&self) -> Option<&Value> {
        let (stale, ticket) = self.fallback.as_ref().zip(self.ticket.as_ref())?;
        ticket.is_over(&stale.tags).then_some(&stale.value)
    }

    /// Returns how long the call waits for its loader.
    #[must_use]
    pub fn timeouts(&self) -> LoadTimeouts {
        let entry = self.fallback.as_ref().zip(self.ticket.as_ref());
        let entry = entry.map(|(stale, ticket)| {
            let (key, tags) = (ticket.key().clone(), Arc::clone(ticket.tags()));
            Served { key, tags, edition: stale.edition }
        });
        LoadTimeouts::new(&self.cache, entry, &self.options)
    }

    /// Returns what collects the tags of the values that the loader builds on.
    #[must_use]
    pub fn inherited_tags(&self) -> InheritedTags {
        InheritedTags::new(&self.cache, self.options.token())
    }

    /// Sets what the loader has decided, before the load is completed.
    pub fn decide(&mut self, decision: Decision) {
        self.decision = decision;
    }

    /// Runs a loader in the caller's task, and keeps the lease alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the loader.
    pub async fn run<F: Future>(&self, loader: F) -> F::Output {
        let loader = pin!(loader.instrument(self.cache.load_span(1)));
        match &self.ticket {
            Some(ticket) => ticket.run(loader).await,
            None => loader.await,
        }
    }

    /// Keeps the lease alive for as long as it is polled. Never completes. It is for loaders
    /// that cannot be passed to [`LoadTicket::run`]. Returns `None` if there is no lease.
    pub fn keep_alive(&self) -> Option<impl Future<Output = ()> + Send + 'static> {
        self.ticket.as_ref().filter(|ticket| ticket.can_store()).map(Ticket::keep_alive)
    }

    /// Stores the loaded value, if the options allow it, and shares it with the callers that
    /// wait.
    ///
    /// A negative never replaces an entry of another cache or of a plain client. If the value
    /// is not stored, an outdated entry of this cache is removed. Costs one round trip; a
    /// negative costs another one if the key was not read, and so do tags and a longer lifetime that
    /// the loader has decided on.
    ///
    /// # Cancel safety
    /// Once the fill was sent, it completes even if the future is dropped. Before that,
    /// dropping it hands the load over.
    pub async fn complete(self, value: Value) -> Filled {
        let span = self.cache.put_span(1);
        self.complete_in_span(value).instrument(span).await
    }

    async fn complete_in_span(self, value: Value) -> Filled {
        match self.begin_complete(&value).await {
            Completing::Fill(fill) => {
                let (ticket, filling, claim) = *fill;
                let filled = ticket.fill(filling, value).await;
                end_claim(claim, filled != Filled::Unstored);
                filled
            }
            Completing::Share(ticket) => {
                ticket.share(value).await;
                Filled::Unstored
            }
        }
    }

    /// Decides whether a value is stored.
    pub(super) async fn begin_complete(mut self, value: &Value) -> Completing {
        if let Some(trace) = self.options.trace() {
            trace.note(|traced| traced.from(Source::Loader));
        }
        match (self.filling(value).await, self.ticket.take()) {
            (Some(filling), Some(ticket)) => {
                self.options.pass_tags(&self.cache, ticket.stamps(&filling.late).as_deref());
                Completing::Fill(Box::new((ticket, filling, self.claim)))
            }
            (_, ticket) => {
                self.options.pass_tags(&self.cache, None);
                Completing::Share(Box::new(Self { ticket, ..self }))
            }
        }
    }

    /// Returns the engine's ticket, if the load can be shared.
    pub(super) fn engine_ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref()
    }

    /// Shares a value with the callers that came before the load began, without storing it. An
    /// outdated entry of this cache is removed.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub async fn share(self, value: Value) {
        let Self { cache, ticket, outdated, .. } = self;
        if let Some(ticket) = ticket {
            ticket.share(value).await;
        } else if let Some(key) = outdated {
            let removing = cache.remove(vec![key]);
            // A failure is counted where it occurs.
            let _ = within(&*cache.engine.runtime, cache.context.options.backend_budget, removing)
                .await;
        }
    }

    /// Ends a load that has failed. Returns the value that the call is given instead of the error,
    /// if there is one: the stale one, or what another process has stored meanwhile. The callers
    /// that wait are given it, too; otherwise, those that came before the load began are given the
    /// error.
    ///
    /// Costs one round trip in a cache that keeps stale values, or has an `error_backoff`: there
    /// the load isn't repeated for a while, by any process. Otherwise none.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub async fn fail(self, error: &SharedError) -> Option<Value> {
        let Self { cache, ticket, options, fallback, claim, decision, .. } = self;
        let nothing = || {
            let trace = options.trace().into_iter();
            trace.for_each(|trace| trace.note(|traced| traced.from(Source::None)));
        };
        let Some(ticket) = ticket else {
            cache.count(Counter::LoadError);
            nothing();
            return None;
        };
        let is_apart = claim.is_some() && options.refresh == RefreshMode::Background;
        let mut pause = cache.context.options.pause();
        let rejects = match decision.rejects_stale {
            true => Rejects::StaleValues,
            false => Rejects::Nothing,
        };
        if decision.rejects_stale {
            // Under the mark others would serve the value.
            pause.with_entry = Duration::ZERO;
        }
        let takes_stale = fallback.is_some() && !decision.rejects_stale;
        if pause == Pause::default() && !takes_stale {
            ticket.fail(error, rejects);
            nothing();
            return None;
        }
        let key = ticket.key().clone();
        let usable = match ticket.fail_for_a_while(error, pause, takes_stale, rejects).await {
            Ok(usable) => usable,
            // The call has read it after it began.
            Err(_) => fallback
                .as_ref()
                .filter(|_| takes_stale)
                .map(|stale| Usable { value: stale.value.clone(), is_stale: true }),
        };
        let usable = usable.filter(|it| options.takes_absent || !it.value.is_absent());
        if usable.is_some() {
            options.pass_tags(&cache, None);
        }
        match (options.trace(), &usable) {
            (Some(trace), Some(usable)) => trace.instead(usable),
            _ => nothing(),
        }
        match (claim, fallback) {
            // A rejected value is refreshed again after a while, as after a refresh that was dropped.
            (Some(mut claim), _) if rejects == Rejects::Nothing => claim.pause(pause.with_entry),
            (None, Some(stale)) if usable.is_some() => {
                let now = cache.engine.runtime.now();
                cache.engine.refreshes.pause(&key, stale.edition, now, pause.with_entry);
            }
            _ => {}
        }
        match is_apart {
            // Its caller was given the value before.
            true => usable.map(|usable| usable.value),
            false => usable.map(|usable| cache.served_instead(usable)),
        }
    }

    /// Returns the fingerprint of the previous entry, if its value is the loaded one.
    fn seen_with(&self, loaded: &Value) -> Option<Seen> {
        let (Value::Present(loaded), Value::Present(previous)) = (loaded, self.previous()?) else {
            return None;
        };
        let stale = self.fallback.as_ref()?;
        Arc::ptr_eq(loaded, previous).then(|| stale.seen.clone())
    }

    /// Returns what to store; `None` if nothing is to be stored.
    async fn filling(&mut self, value: &Value) -> Option<Filling> {
        let unchanged = self.seen_with(value);
        let Self { cache, options, ticket, decision, .. } = self;
        let ticket = ticket.as_mut().filter(|_| cache.is_enabled() && !decision.skip_store)?;
        let context = &cache.context;
        let Value::Present(value) = value else {
            let ttl = options.negative_ttl_in(context);
            let ttl = cache.jittered(cache.checked(Mistake::Lifetime, ttl).ok()??);
            let lifetime = Lifetime::with_window(ttl, Duration::ZERO);
            let keep = keep(ttl, context).max(options.keep_in(context));
            let late = late_tags(cache, ticket, decision, keep).await?;
            let filling = Filling { entry: None, lifetime, late, kept: None };
            return (ticket.occupant().await != Occupant::Another).then_some(filling);
        };
        let raw = cache.encode(&**value).ok()?;
        let ttl = match decision.time_to_live.take() {
            Some(decided) => decided.and_then(Ttl::new),
            None => options.ttl_in(context),
        };
        let ttl = cache.checked(Mistake::Lifetime, ttl).ok()?;
        let (kept, keep) = (options.keep_in(context), keep(ttl, context));
        if keep > kept {
            ticket.keep_tags(keep).await;
        }
        let late = late_tags(cache, ticket, decision, keep.max(kept)).await?;
        let lifetime = context.lifetime(cache.jittered(ttl));
        Some(Filling { entry: Some(raw), lifetime, late, kept: unchanged })
    }
}

/// Captures the tags that are known only now. Returns `None` if the value can't be stored with them.
async fn late_tags(
    cache: &ByteCache,
    ticket: &mut Ticket,
    decision: &mut Decision,
    keep: Ttl,
) -> Option<LateTags> {
    let is_plain = cache.context.validated.format == Format::Plain;
    let late = match decision.tags.take() {
        None => LateTags::default(),
        Some(ids) => {
            let tags = match is_plain {
                true => Err(plain_entries_have_no_tags()),
                false => ids.and_then(|ids| ticket.tags().with(ids)),
            };
            let tags = cache.checked(Mistake::Tags, tags).ok()?;
            ticket.capture_late(&tags, keep).await?
        }
    };
    let Some(inherited) = decision.inherited.take() else { return Some(late) };
    let stamps = inherited.stamps().and_then(|stamps| match stamps {
        Some(stamps) if is_plain && !stamps.is_empty() => Err(plain_entries_have_no_tags()),
        stamps => Ok(stamps),
    });
    let stamps = cache.checked(Mistake::Tags, stamps).ok()??;
    let inheriting = ticket.inherit(late, &stamps, keep).await;
    cache.checked(Mistake::Tags, inheriting).ok()?
}
