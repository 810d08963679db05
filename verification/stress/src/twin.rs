//! Broken twins of the backend: each leaves one rule of the protocol out, and must be
//! caught.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Result, Stored, TagVersion, Take, Taken, Token,
};
use hotshelf_core::trailer::Trailer;
use hotshelf_core::{Backend, BoxFuture, Pattern, Remaining, ServerInfo, Ttl, WireKey};
use hotshelf_redis::RedisBackend;

use crate::arguments::find;
use crate::clock::{pause, up_to_millis};
use crate::worker::PREFIX;

/// The rule that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twin {
    /// A fill is a plain `SET`: nobody looks at its token.
    Fence,
    /// An invalidation removes the entry and leaves the lease.
    Lease,
    /// An acquire is sent again with its old token, late, as the automatic retry of a
    /// client library would do.
    Resend,
    /// A fill that was refused is given to all who wait, also to those who came after the
    /// loader had begun.
    Shared,
    /// A fill carries the versions that its tags have when it is stored, and not those from
    /// before its load.
    Capture,
}

/// How often an acquire is sent again, and after how long at the latest: while its loader
/// may still be running.
const RESENDS: u32 = 3;
const RESEND_MILLIS: u64 = 10;

/// When what it took is given back: its loader has ended by then.
const RELEASE_AFTER: Duration = Duration::from_millis(60);

impl Twin {
    pub(crate) const ALL: [Self; 5] =
        [Self::Fence, Self::Lease, Self::Resend, Self::Shared, Self::Capture];

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
        }
    }
}

/// A Redis backend that leaves a rule out.
#[derive(Debug)]
pub(crate) struct Broken {
    backend: Arc<RedisBackend>,
    twin: Twin,
}

impl Broken {
    pub(crate) fn new(backend: RedisBackend, twin: Twin) -> Self {
        Self { backend: Arc::new(backend), twin }
    }

    /// Stores without a look at the token.
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
            let Some((value, mut trailer)) = Trailer::find(&fill.value) else { continue };
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

    /// Removes entries and leaves their leases.
    async fn invalidate_entries_only(&self, keys: &[WireKey]) -> Result<u64> {
        let mut unlink: Vec<&[u8]> = vec![b"UNLINK"];
        unlink.extend(keys.iter().map(WireKey::as_bytes));
        let removed = self.backend.client().command(&unlink).await?.integer()?;
        Ok(u64::try_from(removed).unwrap_or_default())
    }

    /// Sends an acquire that was granted again, with the same token.
    async fn acquire_again(&self, acquire: Acquire<'_>) -> Result<Acquired> {
        let (key, token) = (acquire.key.clone(), acquire.token);
        let (lease, seen, skip_foreign) =
            (acquire.lease, acquire.seen.clone(), acquire.skip_foreign);
        let answer = self.backend.acquire(acquire).await;
        if matches!(answer, Ok(Acquired::Granted(_))) {
            let backend = Arc::clone(&self.backend);
            tokio::spawn(async move {
                // Their answers reach nobody, so what they may have taken is given back once
                // the loader is done: else the key would be nobody's for a whole lease.
                for _ in 0..RESENDS {
                    pause(up_to_millis(RESEND_MILLIS)).await;
                    let seen = seen.clone();
                    let again = Acquire { key: &key, token, lease, seen, skip_foreign };
                    let _ = backend.acquire(again).await;
                }
                pause(RELEASE_AFTER).await;
                let _ = backend.release(&key, token).await;
            });
        }
        answer
    }
}

impl Backend for Broken {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        self.backend.read(keys)
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        match self.twin {
            Twin::Resend => Box::pin(self.acquire_again(acquire)),
            _ => self.backend.acquire(acquire),
        }
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        self.backend.take(takes)
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        match self.twin {
            Twin::Fence => Box::pin(self.store_each_unfenced(fills)),
            Twin::Shared => Box::pin(async {
                let answers = self.backend.store(fills).await;
                answers.into_iter().map(|answer| answer.and(Ok(Stored::Stored))).collect()
            }),
            Twin::Capture => Box::pin(self.store_captured_late(fills)),
            Twin::Lease | Twin::Resend => self.backend.store(fills),
        }
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        self.backend.release(key, token)
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        self.backend.renew(key, token, lease)
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        self.backend.capture(tags, keep)
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        match self.twin {
            Twin::Lease => Box::pin(self.invalidate_entries_only(keys)),
            _ => self.backend.invalidate(keys),
        }
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        self.backend.invalidate_tags(tags)
    }

    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        self.backend.invalidate_matching(pattern)
    }

    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        self.backend.remaining(key)
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.backend.ping()
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        self.backend.info()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.backend.close()
    }
}
