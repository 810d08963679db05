//! The right and the duty to load.

use std::pin::pin;

use bytes::Bytes;

use super::call::CallOptions;
use super::{ByteCache, Mistake};
use crate::engine::{Filled, Occupant, SharedError, Ticket, Value};
use crate::key::WireKey;
use crate::stats::Counter;
use crate::timeout::within;
use crate::ttl::Ttl;

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
}

impl LoadTicket {
    pub(super) fn new(cache: ByteCache, ticket: Ticket, options: CallOptions) -> Self {
        Self { cache, ticket: Some(ticket), options, outdated: None }
    }

    /// Creates a ticket that neither shares nor stores.
    pub(super) fn detached(
        cache: ByteCache,
        outdated: Option<WireKey>,
        options: CallOptions,
    ) -> Self {
        cache.count(Counter::Load);
        Self { cache, ticket: None, options, outdated }
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

    /// Runs a loader in the caller's task, and keeps the lease alive meanwhile.
    ///
    /// # Cancel safety
    /// Dropping it drops the loader.
    pub async fn run<F: Future>(&self, loader: F) -> F::Output {
        let loader = pin!(loader);
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
    /// negative costs another one if the key was not read.
    ///
    /// # Cancel safety
    /// Once the fill was sent, it completes even if the future is dropped. Before that,
    /// dropping it hands the load over.
    pub async fn complete(mut self, value: Value) -> Filled {
        match (self.entry(&value).await, self.ticket.take()) {
            (Some((raw, ttl)), Some(ticket)) => {
                ticket.fill(raw, self.cache.jittered(ttl), value).await
            }
            (_, ticket) => {
                self.ticket = ticket;
                self.share(value).await;
                Filled::Unstored
            }
        }
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

    /// Shares the loader's error with the callers that came before the load began.
    pub fn fail(self, error: &SharedError) {
        match self.ticket {
            Some(ticket) => ticket.fail(error),
            None => self.cache.count(Counter::LoadError),
        }
    }

    /// Returns the entry to store, and its time to live; `None` if nothing is to be stored.
    async fn entry(&mut self, value: &Value) -> Option<(Option<Bytes>, Ttl)> {
        let Self { cache, options, ticket, .. } = self;
        let ticket = ticket.as_mut().filter(|_| cache.is_enabled())?;
        match value {
            Value::Present(value) => {
                let raw = cache.encode(&**value).ok()?;
                let ttl = options.ttl_in(&cache.context);
                Some((Some(raw), cache.checked(Mistake::Lifetime, ttl).ok()?))
            }
            Value::Absent => {
                let ttl = options.negative_ttl_in(&cache.context);
                let ttl = cache.checked(Mistake::Lifetime, ttl).ok()??;
                (ticket.occupant().await != Occupant::Another).then_some((None, ttl))
            }
        }
    }
}
