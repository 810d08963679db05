//! Invalidations.
//!
//! They work while the caches are disabled, too; otherwise outdated entries would reappear
//! when the caches are enabled again.

use super::{ByteCache, EntryKey, Mistake};
use crate::engine;
use crate::error::Error;
use crate::gate::Removal;
use crate::key::{KeyLayout, Pattern, WireKey};
use crate::tag::TagId;

impl ByteCache {
    /// Removes entries, and revokes every load of them in flight. Returns the number of
    /// removed entries and leases.
    ///
    /// After it has returned `Ok`, no later call gets an older value. Costs one round trip; in
    /// a Cluster, one for each [`BATCH`](crate::BATCH) of keys.
    ///
    /// # Errors
    /// Returns an error if the backend fails; the entries may then still exist. Returns the
    /// error of the first invalid key after the others have been removed.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
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
        self.carry_out(Removal::Keys(keys)).await
    }

    /// Invalidates all entries that carry one of these tags, in all caches of the same prefix,
    /// and revokes every load of them in flight. Costs one round trip.
    ///
    /// # Errors
    /// Returns an error if the backend fails; the entries may then still be hits. Returns the
    /// error of the first invalid name after the others have been invalidated.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
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
            self.carry_out(Removal::Tags(keys)).await?;
        }
        invalid
    }

    /// Removes all entries whose identifier matches a glob pattern, by a scan of all keys, and
    /// returns their number.
    ///
    /// The pattern must begin with a literal part, unless it may match `anywhere`, which only
    /// fastapi-rc's layout allows.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Key`](crate::ErrorKind::Key) if the pattern could
    /// match every key, and an error if the backend fails; some entries may then still exist.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
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
        self.carry_out(Removal::Matching(self.checked(Mistake::Pattern, pattern)?)).await
    }

    /// Removes all entries. With an epoch this costs one round trip and returns 0; without
    /// one, all keys are scanned.
    ///
    /// # Errors
    /// Returns an error if the backend fails; some entries may then still exist.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub async fn invalidate_all(&self) -> Result<u64, Error> {
        if self.context.options.epoch {
            let epoch = self.context.tags.keys().to_vec();
            return self.carry_out(Removal::Tags(epoch)).await;
        }
        self.remove_matching(&Pattern::new(self.key_pattern())).await
    }

    /// Returns the glob pattern of the keys of all entries.
    #[must_use]
    pub fn key_pattern(&self) -> String {
        format!("{}*", Pattern::escape(&self.context.key_prefix))
    }

    /// Removes all entries whose exact keys match a pattern, which must match keys of this cache
    /// only.
    ///
    /// # Errors
    /// Returns an error if the backend fails; some entries may then still exist.
    ///
    /// # Cancel safety
    /// Once polled, the operation completes even if the future is dropped.
    pub async fn remove_matching(&self, pattern: &Pattern) -> Result<u64, Error> {
        self.carry_out(Removal::Matching(pattern.clone())).await
    }

    /// Completes an invalidation even if its caller is dropped, and counts its failure.
    async fn carry_out(&self, removal: Removal) -> Result<u64, Error> {
        let Self { engine, context } = self;
        self.counted(engine::remove(engine, Some(context), removal).await)
    }
}
