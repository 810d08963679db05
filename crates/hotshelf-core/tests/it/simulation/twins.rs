//! Broken twins of the backend: each leaves one rule of the protocol out, and must be
//! caught.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Result, Stored, TagVersion, Take, Taken, Token, Watch,
};
use hotshelf_core::trailer::Trailer;
use hotshelf_core::{Backend, BoxFuture, Pattern, Remaining, Runtime, ServerInfo, Ttl, WireKey};
use hotshelf_testkit::simulation::{SimLink, SimProcess, SimServer};

use super::scenario::Focus;
use super::source::PREFIX;

/// The rule that is left out. The numbers are those of the controls in docs/protocol.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twin {
    /// A fill is a plain `SET`: nobody looks at its token (n2).
    Fence,
    /// An invalidation removes the entry and leaves the lease (n3).
    Lease,
    /// A fill carries the versions that its tags have when it is stored, and not those from
    /// before its load (n5).
    Capture,
    /// A renewal sets the lease, whoever holds it (n20).
    Renewal,
    /// Nobody looks at the tags behind a store (n26).
    TagsUnchecked,
    /// A capture is executed twice, with the version that it brings along (n33).
    Recapture,
    /// An acquire that was given up is sent again with its old token, and the first attempt
    /// is executed late (n27).
    Resend,
    /// A fill that was refused is given to all who wait (n28).
    Shared,
    /// Nobody waits for another's lease (n31).
    NoWaiting,
}

impl Twin {
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

    /// Says in which storms its rule matters most; `None` if it does in a calm.
    pub(crate) fn focus(self) -> Option<Focus> {
        match self {
            Self::Capture | Self::TagsUnchecked | Self::Recapture => Some(Focus::Tags),
            Self::NoWaiting => None,
            _ => Some(Focus::Keys),
        }
    }
}

/// How late the first attempt of an acquire is executed: while its loader may still run.
const LATE: Duration = Duration::from_millis(30);

/// A link that leaves a rule out.
pub(crate) struct Broken {
    link: SimLink,
    twin: Twin,
    server: SimServer,
    process: SimProcess,
    stored: Mutex<Option<Stamped>>,
}

/// The tags of the last store, and the versions that its entry carries.
struct Stamped {
    tags: Vec<WireKey>,
    versions: Vec<Option<Bytes>>,
}

impl Broken {
    pub(crate) fn new(link: SimLink, twin: Twin, server: &SimServer, process: &SimProcess) -> Self {
        let (server, process) = (server.clone(), process.clone());
        Self { link, twin, server, process, stored: Mutex::default() }
    }

    /// Takes the lease before it stores, so that the store is never refused.
    async fn store_unfenced(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let lease = Duration::from_secs(5);
        let take = |fill: &Fill| Take { key: fill.key.clone(), token: fill.token, lease };
        let takes: Vec<Take> = fills.iter().map(take).collect();
        self.link.take(&takes).await;
        self.link.store(fills).await
    }

    /// Stores with the versions that the tags have now.
    async fn store_captured_late(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let mut late = fills.to_vec();
        for fill in &mut late {
            let Some((value, mut trailer)) = Trailer::find(&fill.value) else { continue };
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

    /// Remembers the versions that entries carry, for whoever asks behind the store.
    async fn store_and_vouch(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        for fill in fills {
            let Some((_, trailer)) = Trailer::find(&fill.value) else { continue };
            let tags = trailer.tags.iter().map(|tag| tag.id.key(PREFIX)).collect();
            let version = |version: TagVersion| Some(Bytes::copy_from_slice(&version));
            let versions = trailer.tags.iter().map(|tag| version(tag.version)).collect();
            *self.stored() = Some(Stamped { tags, versions });
        }
        self.link.store(fills).await
    }

    fn vouched(&self, keys: &[WireKey]) -> Option<Vec<Option<Bytes>>> {
        self.stored().take_if(|stored| stored.tags == keys).map(|stored| stored.versions)
    }

    fn stored(&self) -> MutexGuard<'_, Option<Stamped>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn store_and_share(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let answers = self.link.store(fills).await;
        answers.into_iter().map(|answer| answer.and(Ok(Stored::Stored))).collect()
    }

    /// Acquires under the token of an attempt that was given up: that one is still on its
    /// way.
    async fn acquire_again(&self, acquire: Acquire<'_>) -> Result<Acquired> {
        let world = self.process.world();
        let late = world.sleep(world.up_to(LATE));
        let (link, key, first) = (self.link.clone(), acquire.key.clone(), acquire.clone());
        let Acquire { token, lease, seen, skip_foreign, .. } = first;
        world.spawn(Box::pin(async move {
            late.await;
            let again = Acquire { key: &key, token, lease, seen, skip_foreign };
            // Nobody waits for its answer any more.
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

    /// Removes entries and leaves their leases.
    async fn invalidate_entries_only(&self, keys: &[WireKey]) -> Result<u64> {
        self.link.ping().await?;
        let removed = keys.iter().filter(|key| self.server.evict_entry(key)).count();
        self.link.ping().await?;
        Ok(removed as u64)
    }

    async fn renew_by_taking(&self, key: &WireKey, token: Token, lease: Duration) -> Result<bool> {
        let taken = self.link.take(&[Take { key: key.clone(), token, lease }]).await;
        taken.into_iter().next().transpose().map(|taken| taken == Some(Taken::Granted))
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Broken").field("twin", &self.twin).finish_non_exhaustive()
    }
}

impl Backend for Broken {
    fn name(&self) -> &'static str {
        self.link.name()
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        match self.vouched(keys) {
            Some(versions) => Box::pin(std::future::ready(Ok(versions))),
            None => self.link.read(keys),
        }
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        match self.twin {
            Twin::Resend => Box::pin(self.acquire_again(acquire)),
            Twin::NoWaiting => Box::pin(self.acquire_without_waiting(acquire)),
            _ => self.link.acquire(acquire),
        }
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        self.link.take(takes)
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        match self.twin {
            Twin::Fence => Box::pin(self.store_unfenced(fills)),
            Twin::Capture => Box::pin(self.store_captured_late(fills)),
            Twin::TagsUnchecked => Box::pin(self.store_and_vouch(fills)),
            Twin::Shared => Box::pin(self.store_and_share(fills)),
            _ => self.link.store(fills),
        }
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        self.link.release(key, token)
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        match self.twin {
            Twin::Renewal => Box::pin(self.renew_by_taking(key, token, lease)),
            _ => self.link.renew(key, token, lease),
        }
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        self.link.capture(tags, keep)
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        match self.twin {
            Twin::Lease => Box::pin(self.invalidate_entries_only(keys)),
            _ => self.link.invalidate(keys),
        }
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        self.link.invalidate_tags(tags)
    }

    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        self.link.invalidate_matching(pattern)
    }

    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        self.link.remaining(key)
    }

    fn watch(&self, key: &WireKey) -> Option<Watch> {
        self.link.watch(key)
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.link.ping()
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        self.link.info()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.link.close()
    }
}
