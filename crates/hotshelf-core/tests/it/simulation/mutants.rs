//! Mutants of the backend: each breaks one rule of the protocol, and must be caught.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Layer, Result, Stored, TagVersion, Take, Taken, Token,
};
use hotshelf_core::sync::Mutex;
use hotshelf_core::tag;
use hotshelf_core::trailer::Trailer;
use hotshelf_core::{Backend, BoxFuture, Runtime, WireKey};
use hotshelf_testkit::simulation::{BrokenReports, SimLink, SimProcess, SimServer};

use super::scenario::Focus;
use super::source::PREFIX;

/// The broken rule. The numbers are those of the negative controls in verification/README.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A fill is a plain `SET` that checks no token (n2).
    Fence,
    /// An invalidation removes the entry but not the lease (n3).
    Lease,
    /// A fill carries the versions of its tags at the time of the store, instead of those from
    /// before its load (n5).
    Capture,
    /// A renewal sets the lease, regardless of its holder (n20).
    Renewal,
    /// The tags are not verified after a store (n26).
    TagsUnchecked,
    /// A capture is executed twice, with the same new version (n33).
    Recapture,
    /// An acquire that was cancelled is sent again with its old token, and the first attempt
    /// is executed late (n27).
    Resend,
    /// A refused fill is shared with all waiters (n28).
    Shared,
    /// Callers don't wait for the lease of another process (n31).
    NoWaiting,
    /// What a runtime was cleaning up is dropped when it ends.
    CleanupLost,
    /// All runtimes of a process rely on the first one for their deadlines.
    SharedDeadline,
    /// Deadlines end before the answers that have arrived are read.
    ExpiryFirst,
    /// A leader that was woken and isn't polled is waited for.
    LeaderAwaited,
    /// A rule of the near tier.
    Near(BrokenReports),
}

impl Mutant {
    /// The mutants of the backend, which the checks of the history catch.
    pub(crate) const ALL: [Self; 9] = [
        Self::Fence,
        Self::Lease,
        Self::Capture,
        Self::Renewal,
        Self::TagsUnchecked,
        Self::Recapture,
        Self::Resend,
        Self::Shared,
        Self::NoWaiting,
    ];

    /// The mutants of the near tier's reports.
    pub(crate) const NEAR: [Self; 4] = [
        Self::Near(BrokenReports::UnheldIgnored),
        Self::Near(BrokenReports::LossIgnored),
        Self::Near(BrokenReports::AnswerUnneeded),
        Self::Near(BrokenReports::FillAdmitted),
    ];

    /// Returns `true` if the backend breaks the rule, not the runtimes.
    pub(crate) fn is_of_backend(self) -> bool {
        Self::ALL.contains(&self)
    }

    /// Returns the focus of the storms in which its rule matters most; `None` if a calm world
    /// suffices.
    pub(crate) fn focus(self) -> Option<Focus> {
        match self {
            Self::Capture | Self::TagsUnchecked | Self::Recapture => Some(Focus::Tags),
            Self::NoWaiting => None,
            _ => Some(Focus::Keys),
        }
    }
}

/// The delay of an acquire's first attempt: its loader may still be running.
const LATE: Duration = Duration::from_millis(30);

/// A backend that breaks a rule.
pub(crate) struct MutantBackend {
    link: SimLink,
    mutant: Mutant,
    server: SimServer,
    process: SimProcess,
    stored: Mutex<Option<Stamped>>,
}

/// The tags of the last store, and their versions in its entry.
struct Stamped {
    tags: Vec<WireKey>,
    versions: Vec<Option<Bytes>>,
}

impl MutantBackend {
    pub(crate) fn new(
        link: SimLink,
        mutant: Mutant,
        server: &SimServer,
        process: &SimProcess,
    ) -> Self {
        let (server, process) = (server.clone(), process.clone());
        Self { link, mutant, server, process, stored: Mutex::default() }
    }

    /// Takes over the lease before it stores, so that the store is never refused.
    async fn store_unfenced(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let lease = Duration::from_secs(5);
        let take = |fill: &Fill| Take { key: fill.key.clone(), token: fill.token, lease };
        let takes: Vec<Take> = fills.iter().map(take).collect();
        self.link.take(&takes).await;
        self.link.store(fills).await
    }

    /// Stores with the current versions of the tags.
    async fn store_captured_late(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let mut late = fills.to_vec();
        for fill in &mut late {
            let Ok((value, mut trailer)) = Trailer::find(&fill.value) else { continue };
            let keys: Vec<_> = trailer.tags.iter().map(|tag| tag.id.key(PREFIX)).collect();
            let versions = match self.link.capture(&keys, fill.ttl).await {
                Ok(versions) => versions,
                Err(error) => return fills.iter().map(|_| Err(error.clone())).collect(),
            };
            for (tag, version) in trailer.tags.iter_mut().zip(versions) {
                tag.version = version;
            }
            let mut entry = fill.value[value].to_vec();
            trailer.append_to(&mut entry);
            fill.value = entry.into();
        }
        self.link.store(&late).await
    }

    /// Records the versions in the entries, as the answer to the read that verifies the tags
    /// after the store.
    async fn store_unverified(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        for fill in fills {
            let Ok((_, trailer)) = Trailer::find(&fill.value) else { continue };
            let tags = trailer.tags.iter().map(|tag| tag.id.key(PREFIX)).collect();
            let version = |version: TagVersion| Some(tag::written(version, 0));
            let versions = trailer.tags.iter().map(|stamp| version(stamp.version)).collect();
            *self.stored.lock() = Some(Stamped { tags, versions });
        }
        self.link.store(fills).await
    }

    fn unverified(&self, keys: &[WireKey]) -> Option<Vec<Option<Bytes>>> {
        self.stored.lock().take_if(|stored| stored.tags == keys).map(|stored| stored.versions)
    }

    async fn store_and_share(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let answers = self.link.store(fills).await;
        answers.into_iter().map(|answer| answer.and(Ok(Stored::Stored))).collect()
    }

    /// Acquires with the token of a cancelled attempt that is still in flight.
    async fn acquire_again(&self, acquire: Acquire<'_>) -> Result<Acquired> {
        let world = self.process.world();
        let late = world.sleep(world.up_to(LATE));
        let (link, key, first) = (self.link.clone(), acquire.key.clone(), acquire.clone());
        let Acquire { token, lease, seen, skip_foreign, replace_failure, .. } = first;
        world.spawn(Box::pin(async move {
            late.await;
            let again = Acquire { key: &key, token, lease, seen, skip_foreign, replace_failure };
            // Its answer is ignored.
            let _ = link.acquire(again).await;
        }));
        self.link.acquire(acquire).await
    }

    async fn acquire_without_waiting(&self, acquire: Acquire<'_>) -> Result<Acquired> {
        match self.link.acquire(acquire).await {
            Ok(Acquired::Busy(_)) => Ok(Acquired::Granted(0)),
            answer => answer,
        }
    }

    /// Removes entries but not their leases.
    async fn invalidate_entries_only(&self, keys: &[WireKey]) -> Result<u64> {
        self.link.ping().await?;
        let removed = keys.iter().filter(|key| self.server.evict_entry(key)).count();
        self.link.ping().await?;
        Ok(removed as u64)
    }

    async fn renew_by_taking(&self, key: &WireKey, token: Token, lease: Duration) -> Result<bool> {
        let taken = self.link.take(&[Take { key: key.clone(), token, lease }]).await;
        taken.into_iter().next().transpose().map(|taken| matches!(taken, Some(Taken::Granted(_))))
    }
}

impl Layer for MutantBackend {
    type Inner = SimLink;

    fn inner(&self) -> Result<impl Deref<Target = SimLink> + Send> {
        Ok(&self.link)
    }

    fn on_read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        match self.unverified(keys) {
            Some(versions) => Box::pin(std::future::ready(Ok(versions))),
            None => self.link.read(keys),
        }
    }

    fn on_acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        match self.mutant {
            Mutant::Resend => Box::pin(self.acquire_again(acquire)),
            Mutant::NoWaiting => Box::pin(self.acquire_without_waiting(acquire)),
            _ => self.link.acquire(acquire),
        }
    }

    fn on_store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        match self.mutant {
            Mutant::Fence => Box::pin(self.store_unfenced(fills)),
            Mutant::Capture => Box::pin(self.store_captured_late(fills)),
            Mutant::TagsUnchecked => Box::pin(self.store_unverified(fills)),
            Mutant::Shared => Box::pin(self.store_and_share(fills)),
            _ => self.link.store(fills),
        }
    }

    fn on_renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        match self.mutant {
            Mutant::Renewal => Box::pin(self.renew_by_taking(key, token, lease)),
            _ => self.link.renew(key, token, lease),
        }
    }

    fn on_invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        match self.mutant {
            Mutant::Lease => Box::pin(self.invalidate_entries_only(keys)),
            _ => self.link.invalidate(keys),
        }
    }
}

impl fmt::Debug for MutantBackend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MutantBackend")
            .field("mutant", &self.mutant)
            .finish_non_exhaustive()
    }
}
