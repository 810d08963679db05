//! Loading on a miss.

use std::any::TypeId;
use std::sync::Arc;

use super::call::{CallOptions, Mode};
use super::entry_key::EntryKey;
use super::load_ticket::LoadTicket;
use super::{ByteCache, Mistake};
use crate::engine::{
    self, AcquireOutcome, Call, Miss, MissReason, ReadOutcome, SharedError, Value,
};
use crate::error::Error;
use crate::key::WireKey;
use crate::outage::Budget;
use crate::tag::Tags;

/// The result of a loading call.
#[derive(Debug)]
pub enum Loaded {
    /// A value, from the cache or from another caller's loader.
    Value(Value),
    /// The error of another caller's loader.
    Failed(SharedError),
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
    /// A hit costs one round trip, a miss three, including its fill.
    ///
    /// # Cancel safety
    /// May be dropped at any point. If the caller was loading, the caller that has waited
    /// longest loads instead.
    pub async fn load(
        &self,
        key: Result<EntryKey, Error>,
        options: CallOptions,
        errors: TypeId,
    ) -> Loaded {
        if options.mode == Mode::OwnKey {
            return Loaded::Lead(Box::new(LoadTicket::degraded(self.clone(), options)));
        }
        let key = match key {
            Ok(key) if options.mode != Mode::Bypass && self.is_enabled() => key,
            key => return self.detached(key.ok().map(|key| key.wire), options),
        };
        // Without its tags an entry could not be invalidated, so it is not stored at all.
        let tags = self.checked(Mistake::Tags, options.tags_in(&self.context, Some(&key)));
        let key = key.wire;
        let Ok(tags) = tags else {
            return self.detached(Some(key), options);
        };
        let mut budget = Budget::new(self.context.options.backend_budget);
        let miss = match options.mode {
            Mode::Reload | Mode::Undecodable => Miss::without_entry(MissReason::Reload),
            Mode::Use | Mode::Bypass | Mode::OwnKey => {
                let reading = self.read_for_load(&key, &tags, &options, &mut budget);
                match reading.await {
                    ReadOutcome::Hit(value) => return Loaded::Value(value),
                    ReadOutcome::Miss(miss) => miss,
                }
            }
        };
        // Boxed, so that the future of a hit stays small.
        Box::pin(self.load_missing(key, tags, options, errors, miss, budget)).await
    }

    async fn load_missing(
        &self,
        key: WireKey,
        tags: Arc<Tags>,
        options: CallOptions,
        errors: TypeId,
        miss: Miss,
        budget: Budget,
    ) -> Loaded {
        if engine::is_computing(&self.engine, &key) {
            return Loaded::Lead(Box::new(LoadTicket::degraded(self.clone(), options)));
        }
        let call = Call { budget, ..self.call(&key, &tags, &options, errors) };
        match self.engine.acquire(call, miss).await {
            AcquireOutcome::Hit(value) => Loaded::Value(value),
            AcquireOutcome::Failed(error) => Loaded::Failed(error),
            AcquireOutcome::Lead(ticket) => {
                Loaded::Lead(Box::new(LoadTicket::new(self.clone(), ticket, options)))
            }
            AcquireOutcome::TimedOut => {
                Loaded::Lead(Box::new(LoadTicket::degraded(self.clone(), options)))
            }
        }
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
