//! Invalidating.
//!
//! All of it works while the caches are switched off, too, or switching them on again would
//! bring outdated entries back.

use super::{ByteCache, EntryKey, Mistake};
use crate::engine::finish_even_if_dropped;
use crate::error::Error;
use crate::key::{KeyLayout, Pattern, WireKey};
use crate::tag::TagId;

impl ByteCache {
    /// Removes entries, and refuses every load of them that is in flight. Returns how many
    /// entries and leases were removed.
    ///
    /// Once it has answered `Ok`, no later call is given an older value. Costs one round
    /// trip, in a Cluster one for each [`BATCH`](crate::BATCH) of keys.
    ///
    /// # Errors
    /// The backend's own: then the entries may still be there. That of the first invalid
    /// key, once the others have been removed.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate(&self, keys: Vec<Result<EntryKey, Error>>) -> Result<u64, Error> {
        let mut invalid = Ok(0);
        let mut valid = Vec::with_capacity(keys.len());
        for key in keys {
            match key {
                Ok(key) => valid.push(key.wire),
                Err(error) => invalid = invalid.and(Err(error)),
            }
        }
        let removed = self.remove(valid).await;
        removed.and_then(|removed| invalid.map(|_| removed))
    }

    /// Removes entries by their exact keys.
    pub(super) async fn remove(&self, keys: Vec<WireKey>) -> Result<u64, Error> {
        if keys.is_empty() {
            return Ok(0);
        }
        self.carried_out(|cache| async move {
            cache.engine.gate.invalidate(&cache.context, &keys).await
        })
        .await
    }

    /// Invalidates all entries that carry one of these tags, in all caches of the same
    /// prefix, and refuses every load of them that is in flight. Costs one round trip.
    ///
    /// # Errors
    /// The backend's own: then the entries may still be hits. That of the first invalid
    /// name, once the others have been invalidated.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_tags<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = Result<N, Error>>,
    ) -> Result<(), Error> {
        let mut invalid = Ok(());
        let mut keys = Vec::new();
        for name in names {
            match self.checked(Mistake::Tags, name.and_then(|name| TagId::of(name.as_ref()))) {
                Ok(id) => keys.push(self.context.tags.key_of(id)),
                Err(error) => invalid = invalid.and(Err(error)),
            }
        }
        if !keys.is_empty() {
            self.forget_tags(keys).await?;
        }
        invalid
    }

    /// Removes all entries whose identifier matches a glob pattern, by a scan of all keys,
    /// and returns how many there were.
    ///
    /// The pattern begins with a literal part, unless it may match `anywhere`, which
    /// fastapi-rc's layout alone allows.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Key`](crate::ErrorKind::Key) for a pattern that could match
    /// every key; else the backend's own: then some entries may still be there.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_pattern<G: AsRef<str>>(
        &self,
        glob: Result<G, Error>,
        anywhere: bool,
    ) -> Result<u64, Error> {
        let (namespace, prefix) = (&self.context.namespace, &self.context.key_prefix);
        let pattern = glob.and_then(|glob| match (anywhere, namespace.layout_in_use()) {
            (true, KeyLayout::FastapiRc) => {
                Ok(Pattern::new(format!("{}{}", Pattern::escape(prefix), glob.as_ref())))
            }
            _ => namespace.pattern(prefix, glob.as_ref()),
        });
        self.invalidate_matching(self.checked(Mistake::Pattern, pattern)?).await
    }

    /// Removes all entries: in one round trip by their epoch, and returns 0 then; else by a
    /// scan of all keys.
    ///
    /// # Errors
    /// The backend's own: then some entries may still be there.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn invalidate_all(&self) -> Result<u64, Error> {
        if self.context.options.epoch {
            let epoch = self.context.tags.keys().to_vec();
            return self.forget_tags(epoch).await.map(|()| 0);
        }
        let prefix = Pattern::escape(&self.context.key_prefix);
        self.invalidate_matching(Pattern::new(format!("{prefix}*"))).await
    }

    async fn invalidate_matching(&self, pattern: Pattern) -> Result<u64, Error> {
        self.carried_out(|cache| async move {
            cache.engine.gate.invalidate_matching(&cache.context, &pattern).await
        })
        .await
    }

    async fn forget_tags(&self, keys: Vec<WireKey>) -> Result<(), Error> {
        self.carried_out(|cache| async move {
            cache.engine.gate.invalidate_tags(Some(&cache.context), &keys).await
        })
        .await
    }

    /// Carries an invalidation out, even if its caller is dropped, and counts its failure.
    async fn carried_out<T, F>(&self, invalidation: impl FnOnce(Self) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let invalidation = invalidation(self.clone());
        self.counted(finish_even_if_dropped(&self.engine.runtime, invalidation).await)
    }
}
