//! Mutants of the backend: each breaks one rule of the protocol, and must be caught.

use std::error::Error;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::backend::{Acquire, Acquired, Fill, Layer, Result, Stored, TagVersion};
use hotshelf_core::trailer::Trailer;
use hotshelf_core::{Backend, BoxFuture, Ttl, WireKey};
use hotshelf_redis::RedisBackend;
use tokio::time::timeout;

use crate::arguments::find;
use crate::clock::{pause, up_to_millis};
use crate::worker::PREFIX;

/// The broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A fill is a plain `SET` without a check of the token.
    Fence,
    /// An invalidation removes the entry but not the lease.
    Lease,
    /// ACQUIRE is sent again late with its old token, like an automatic retry of a client
    /// library.
    Resend,
    /// The value of a refused fill is shared with all waiters, including those that came after
    /// the loader had begun.
    Shared,
    /// A fill carries the tag versions from the time of STORE instead of those from before its
    /// load.
    Capture,
    /// Tags that are known only from the value are taken for old, whatever their age.
    Late,
}

/// How often ACQUIRE is sent again, and the maximum time in between: while its loader may
/// still be running.
const RESENDS: u32 = 5;
const RESEND_MILLIS: u64 = 10;

/// The age of a tag that is taken for old.
const LONG_AGO: Duration = Duration::from_secs(3600);

/// The time after which its lease is released: its loader has ended by then.
const RELEASE_AFTER: Duration = Duration::from_millis(60);

impl Mutant {
    pub(crate) const ALL: [Self; 6] =
        [Self::Fence, Self::Lease, Self::Resend, Self::Shared, Self::Capture, Self::Late];

    /// Returns `true` if its rule matters to stale values alone.
    pub(crate) fn needs_stale_values(self) -> bool {
        self == Self::Late
    }

    pub(crate) fn named(name: &str) -> std::result::Result<Self, Box<dyn Error>> {
        find("--break", &Self::ALL, Self::name, name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fence => "fence",
            Self::Lease => "lease",
            Self::Resend => "resend",
            Self::Shared => "shared",
            Self::Capture => "capture",
            Self::Late => "late",
        }
    }
}

/// A Redis backend that breaks a rule.
#[derive(Debug)]
pub(crate) struct MutantBackend {
    backend: Arc<RedisBackend>,
    mutant: Mutant,
}

impl MutantBackend {
    pub(crate) fn new(backend: RedisBackend, mutant: Mutant) -> Self {
        Self { backend: Arc::new(backend), mutant }
    }

    /// Stores without checking the token.
    async fn store_unfenced(&self, fill: &Fill) -> Result<Stored> {
        let millis = fill.ttl.as_duration().as_millis().to_string();
        let set: [&[u8]; 5] = [b"SET", fill.key.as_bytes(), &fill.value, b"PX", millis.as_bytes()];
        self.backend.client().command(&set).await?;
        self.backend.release(&fill.key, fill.token).await?;
        Ok(Stored::Stored)
    }

    async fn store_each_unfenced(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let mut answers = Vec::new();
        for fill in fills {
            answers.push(self.store_unfenced(fill).await);
        }
        answers
    }

    /// Stores with the versions that the tags have now.
    async fn store_captured_late(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let mut late = fills.to_vec();
        for fill in &mut late {
            let Ok((value, mut trailer)) = Trailer::find(&fill.value) else { continue };
            for stamp in &mut trailer.tags {
                let key = [stamp.id.key(PREFIX)];
                match self.backend.capture(&key, fill.ttl).await {
                    Ok(versions) => stamp.version = versions[0],
                    Err(error) => return fills.iter().map(|_| Err(error.clone())).collect(),
                }
            }
            let mut entry = fill.value[value].to_vec();
            trailer.append_to(&mut entry);
            fill.value = entry.into();
        }
        self.backend.store(&late).await
    }

    /// Removes entries but not their leases.
    async fn invalidate_entries_only(&self, keys: &[WireKey]) -> Result<u64> {
        let mut unlink: Vec<&[u8]> = vec![b"UNLINK"];
        unlink.extend(keys.iter().map(WireKey::as_bytes));
        let removed = self.backend.client().command(&unlink).await?.integer()?;
        Ok(u64::try_from(removed).unwrap_or_default())
    }

    /// Sends a granted ACQUIRE again with the same token.
    async fn acquire_again(&self, acquire: Acquire<'_>) -> Result<Acquired> {
        let (key, token) = (acquire.key.clone(), acquire.token);
        let seen = acquire.seen.clone();
        let Acquire { lease, skip_foreign, replace_failure, .. } = acquire;
        let answer = self.backend.acquire(acquire).await;
        if answer.as_ref().is_ok_and(|answer| answer.granted().is_some()) {
            let backend = Arc::clone(&self.backend);
            tokio::spawn(async move {
                // The answers are ignored, so the lease is released once the loader is done.
                // Otherwise the key could not be filled until it expires.
                for _ in 0..RESENDS {
                    // Waiters are notified of each change and acquire a free lease
                    // immediately. Only a request that is sent just as early can get it.
                    let watch = backend.watch(&key);
                    let seen = seen.clone();
                    let again =
                        Acquire { key: &key, token, lease, seen, skip_foreign, replace_failure };
                    let _ = backend.acquire(again).await;
                    let longest = up_to_millis(RESEND_MILLIS);
                    match watch {
                        Some(watch) => drop(timeout(longest, watch).await),
                        None => pause(longest).await,
                    }
                }
                pause(RELEASE_AFTER).await;
                let _ = backend.release(&key, token).await;
            });
        }
        answer
    }
}

impl Layer for MutantBackend {
    type Inner = RedisBackend;

    fn inner(&self) -> Result<impl Deref<Target = RedisBackend> + Send> {
        Ok(&*self.backend)
    }

    fn on_acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        match self.mutant {
            Mutant::Resend => Box::pin(self.acquire_again(acquire)),
            _ => self.backend.acquire(acquire),
        }
    }

    fn on_store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        match self.mutant {
            Mutant::Fence => Box::pin(self.store_each_unfenced(fills)),
            Mutant::Shared => Box::pin(async {
                let answers = self.backend.store(fills).await;
                answers.into_iter().map(|answer| answer.and(Ok(Stored::Stored))).collect()
            }),
            Mutant::Capture => Box::pin(self.store_captured_late(fills)),
            Mutant::Lease | Mutant::Resend | Mutant::Late => self.backend.store(fills),
        }
    }

    fn on_capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>> {
        let captured = self.backend.capture_with_age(tags, keep);
        match self.mutant {
            Mutant::Late => Box::pin(async {
                let captured = captured.await?.into_iter();
                Ok(captured.map(|(version, _)| (version, LONG_AGO)).collect())
            }),
            _ => captured,
        }
    }

    fn on_invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        match self.mutant {
            Mutant::Lease => Box::pin(self.invalidate_entries_only(keys)),
            _ => self.backend.invalidate(keys),
        }
    }
}
