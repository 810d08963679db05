//! Carrying out what was begun and is not finished.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Duty, DutyKind, Gate, Removal};
use crate::backend::{Result, Token};
use crate::error::{Error, ErrorKind};
use crate::key::WireKey;
use crate::stats::Counter;

impl Gate {
    /// Carries out what was begun for keys or tags, as far as it concerns these, before a lease
    /// or a version is requested.
    ///
    /// # Errors
    /// If what is about to be removed cannot be.
    pub(super) async fn settle(&self, keys: &[WireKey]) -> Result<()> {
        if self.duties.is_empty() {
            return Ok(());
        }
        for key in keys {
            for duty in self.duties.concerning(key) {
                if self.settle_one(key, &duty).await? {
                    self.duties.settle(key, &duty);
                }
            }
        }
        Ok(())
    }

    /// Returns `true` if a duty is done as far as it concerns a key or a tag.
    async fn settle_one(&self, key: &WireKey, duty: &Duty) -> Result<bool> {
        let cache = duty.cache.as_deref();
        let removal = match &duty.kind {
            DutyKind::Release(leases) => {
                let of_key = leases.iter().filter(|(leased, _)| leased == key);
                let released = of_key.map(|(_, token)| self.release(cache, key, *token));
                return Ok(join_all(released).await.iter().all(Result::is_ok));
            }
            DutyKind::Remove(Removal::Tags(_)) => Removal::Tags(vec![key.clone()]),
            DutyKind::Remove(_) => Removal::Keys(vec![key.clone()]),
        };
        match self.remove(cache, &removal).await {
            Ok(_) => Ok(true),
            Err(_) => {
                let message = "an earlier invalidation of the key is not finished";
                Err(Error::new(ErrorKind::Unavailable, message))
            }
        }
    }

    /// Attempts to carry out a duty. Returns `true`, and removes it from the list, if it is done
    /// or need not be done any more. The first failure is counted.
    pub(crate) async fn carry_out(&self, duty: &Arc<Duty>) -> bool {
        if !self.duties.contains(duty) {
            return true;
        }
        duty.touch(self.runtime.now());
        let (failure, cache) = (self.attempt(duty).await.err(), duty.cache.as_deref());
        if failure.is_some()
            && duty.has_failed()
            && let Some(cache) = cache
        {
            cache.stats.count(Counter::Error);
        }
        let is_over = failure.as_ref().is_none_or(|error| error.kind() == ErrorKind::Closed)
            || self.runtime.now() >= duty.until;
        if is_over {
            self.duties.remove(duty);
        }
        is_over
    }

    /// Carries out a duty, whether or not it is on the list.
    pub(crate) async fn attempt(&self, duty: &Duty) -> Result<()> {
        let cache = duty.cache.as_deref();
        match &duty.kind {
            DutyKind::Release(leases) => {
                let release = |(key, token): &(WireKey, Token)| {
                    let (key, token) = (key.clone(), *token);
                    async move { self.release(cache, &key, token).await }
                };
                let released = join_all(leases.iter().map(release)).await;
                let failed = released.into_iter().filter_map(Result::err);
                failed.filter(Error::is_temporary).map(Err).next().unwrap_or(Ok(()))
            }
            DutyKind::Remove(removal) => self.remove(cache, removal).await.map(drop),
        }
    }
}
