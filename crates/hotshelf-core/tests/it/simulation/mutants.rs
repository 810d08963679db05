//! Mutants of the backend: each breaks one rule of the protocol, and must be caught.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Layer, Pause, Result, Retrail, Stored, TagVersion, Take, Taken, Token,
};
use hotshelf_core::sync::Mutex;
use hotshelf_core::tag;
use hotshelf_core::trailer::Trailer;
use hotshelf_core::{Backend, BoxFuture, Runtime, Ttl, WireKey};
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
    /// A tag that is known only from the value is taken for old, whatever its age.
    LateAge,
    /// A trailer is replaced without a comparison: the entry that was read is stored again (n21).
    Retrail,
    /// A failed load leaves its mark although it has lost its lease.
    FailUnfenced,
    /// A failed load leaves no mark.
    MarkLost,
    /// An invalidation leaves the mark of a failed load.
    MarkKept,
    /// An invalidation holds nothing (n17).
    HoldIgnored,
    /// A batch waits while it holds leases (n47). A caller does so in its place.
    BatchWaits,
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

    /// The mutants of the backend that matter to stale values.
    pub(crate) const STALE: [Self; 8] = [
        Self::Fence,
        Self::LateAge,
        Self::Retrail,
        Self::NoWaiting,
        Self::FailUnfenced,
        Self::MarkLost,
        Self::MarkKept,
        Self::HoldIgnored,
    ];

    /// Returns `true` if the backend breaks the rule, not the runtimes.
    pub(crate) fn is_of_backend(self) -> bool {
        Self::ALL.contains(&self) || Self::STALE.contains(&self)
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
    /// What was read last of each key.
    read: Mutex<BTreeMap<WireKey, Bytes>>,
    /// For how long this process has marked keys.
    marks: Mutex<BTreeMap<WireKey, Pause>>,
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
        let (stored, read, marks) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { link, mutant, server, process, stored, read, marks }
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

    async fn read_and_remember(&self, keys: &[WireKey]) -> Result<Vec<Option<Bytes>>> {
        let found = self.link.read(keys).await?;
        let entries = keys.iter().zip(&found).filter_map(|(key, raw)| Some((key, raw.as_ref()?)));
        self.read.lock().extend(entries.map(|(key, raw)| (key.clone(), raw.clone())));
        Ok(found)
    }

    /// Stores the entry that was read with another trailer.
    async fn retrail_anyway(&self, key: &WireKey, trailers: Retrail) -> Result<bool> {
        let read = self.read.lock().get(key).cloned();
        let Some(raw) = read.filter(|raw| raw.ends_with(&trailers.seen)) else { return Ok(false) };
        let value = &raw[..raw.len() - trailers.seen.len()];
        let value = Bytes::from([value, &trailers.trailer].concat());
        let (key, token) = (key.clone(), Token::random(&self.process));
        let fill =
            Fill { key, token, value, decoded_size: 0, ttl: Ttl::MAX, hold: None, kept: None };
        let stored = self.store_unfenced(&[fill]).await;
        stored.into_iter().next().transpose().map(|stored| stored == Some(Stored::Stored))
    }

    /// Marks a key, whoever holds its lease.
    async fn mark(&self, key: &WireKey, pause: Pause) -> Result<()> {
        let (lease, token) = (Duration::from_secs(5), Token::random(&self.process));
        self.link.take(&[Take { key: key.clone(), token, lease }]).await;
        self.link.fail(key, token, pause).await
    }

    async fn invalidate_and_mark(&self, keys: &[WireKey]) -> Result<u64> {
        let removed = self.link.invalidate(keys).await?;
        for key in keys {
            let mark = self.marks.lock().get(key).copied();
            if let Some(Pause { with_entry, .. }) = mark {
                self.mark(key, Pause { with_entry, without_entry: with_entry }).await?;
            }
        }
        Ok(removed)
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
            None if self.mutant == Mutant::Retrail => Box::pin(self.read_and_remember(keys)),
            None => self.link.read(keys),
        }
    }

    fn on_capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>> {
        let captured = self.link.capture_with_age(tags, keep);
        match self.mutant {
            Mutant::LateAge => Box::pin(async {
                let captured = captured.await?.into_iter();
                Ok(captured.map(|(version, _)| (version, Duration::from_secs(3600))).collect())
            }),
            _ => captured,
        }
    }

    fn on_retrail<'a>(
        &'a self,
        key: &'a WireKey,
        trailers: Retrail,
    ) -> BoxFuture<'a, Result<bool>> {
        match self.mutant {
            Mutant::Retrail => Box::pin(self.retrail_anyway(key, trailers)),
            _ => self.link.retrail(key, trailers),
        }
    }

    fn on_fail<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        pause: Pause,
    ) -> BoxFuture<'a, Result<()>> {
        self.marks.lock().insert(key.clone(), pause);
        match self.mutant {
            Mutant::FailUnfenced => Box::pin(self.mark(key, pause)),
            Mutant::MarkLost => self.link.release(key, token),
            _ => self.link.fail(key, token, pause),
        }
    }

    fn on_hold<'a>(&'a self, keys: &'a [WireKey], hold: Duration) -> BoxFuture<'a, Result<u64>> {
        match self.mutant {
            Mutant::HoldIgnored => self.link.invalidate(keys),
            _ => self.link.hold(keys, hold),
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
            Mutant::MarkKept => Box::pin(self.invalidate_and_mark(keys)),
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
