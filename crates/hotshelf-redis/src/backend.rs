//! The backend's operations.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Backend, Fill, Result, Seen, ServerInfo, Stored, TagVersion, Take, Taken,
    Token, Watch,
};
use hotshelf_core::trailer::MAGIC;
use hotshelf_core::{BoxFuture, Error, Pattern, Remaining, Runtime, Ttl, WireKey};
use hotshelf_wire::resp::Command;

use crate::client::{RedisClient, Reply};
use crate::connection::Request;
use crate::errors::{is_try_again, not_understood};
use crate::options::RedisOptions;
use crate::tracking::Changes;
use crate::transport::Transport;
use crate::{info, names, scripts};

/// Entries on servers of Redis or Valkey.
#[derive(Debug)]
pub struct RedisBackend {
    client: RedisClient,
    runtime: Arc<dyn Runtime>,
    changes: Changes,
}

impl RedisBackend {
    /// Prepares a backend on sockets of tokio; the first operation connects.
    ///
    /// Operations need tokio's runtime around them, with its timers.
    ///
    /// # Errors
    /// Of kind [`Configuration`](hotshelf_core::ErrorKind::Configuration) for certificates
    /// that can't be read.
    #[cfg(feature = "tokio")]
    pub fn new(options: &RedisOptions, runtime: Arc<dyn Runtime>) -> Result<Self> {
        let transport = Arc::new(crate::tokio::TokioTransport::new(options)?);
        Ok(Self::on(transport, options, runtime))
    }

    /// Prepares a backend on a transport of your own; the first operation connects.
    pub fn on(
        transport: Arc<dyn Transport>,
        options: &RedisOptions,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let changes = Changes::default();
        let listener = Arc::new(changes.clone());
        let client = RedisClient::new(options, transport, Arc::clone(&runtime), listener);
        Self { client, runtime, changes }
    }

    /// Gives the raw client, on the same connections.
    #[must_use]
    pub fn client(&self) -> &RedisClient {
        &self.client
    }

    /// One `GET`, or one `MGET`; in a Cluster a `GET` for each key, side by side.
    async fn read_now(&self, keys: &[WireKey]) -> Result<Vec<Option<Bytes>>> {
        let timeout = self.client.read_timeout;
        let get = |key: &WireKey| Command::new("GET").arg(key.as_bytes());
        match keys {
            [] => Ok(Vec::new()),
            [key] => Ok(vec![self.client.send(get(key), timeout).await?.bytes()?]),
            _ if self.client.is_cluster() => {
                let requests: Vec<Request> = keys.iter().map(|key| get(key).into()).collect();
                let replies = self.client.send_all(&requests, self.client.deadline(timeout)).await;
                replies.into_iter().map(Reply::bytes).collect()
            }
            _ => {
                let ask = Command::new("MGET").args(keys.iter().map(WireKey::as_bytes));
                let replies = self.client.send(ask, timeout).await?.array()?;
                replies.into_iter().map(Reply::bytes).collect()
            }
        }
    }

    async fn acquire_now(&self, acquire: Acquire<'_>) -> Result<Acquired> {
        let lease = names::lease(acquire.key);
        let seen = match &acquire.seen {
            Seen::Nothing => Vec::new(),
            Seen::Suffix(suffix) => [b"=", &suffix[..]].concat(),
        };
        let call = scripts::ACQUIRE
            .on(&[acquire.key.as_bytes(), lease.as_bytes()])
            .tracked()
            .arg(mark(acquire.token))
            .millis(acquire.lease)
            .arg(seen)
            .arg(if acquire.skip_foreign { &MAGIC[..] } else { b"" });
        let reply = self.client.call_one(call, self.client.read_timeout).await?;
        let [code, value]: [Reply; 2] =
            reply.array()?.try_into().map_err(|_| not_understood("ACQUIRE"))?;
        let left = |value: Reply| {
            let millis = u64::try_from(value.integer()?).unwrap_or_default();
            Ok::<_, Error>(Duration::from_millis(millis))
        };
        match code.integer()? {
            0 => Ok(Acquired::Busy(left(value)?)),
            1 => Ok(Acquired::Granted(u64::try_from(value.integer()?).unwrap_or_default())),
            2 => Ok(Acquired::Present(value.bytes()?.unwrap_or_default())),
            3 | 4 => Ok(Acquired::Held(left(value)?)),
            _ => Err(not_understood("ACQUIRE")),
        }
    }

    async fn take_now(&self, takes: &[Take]) -> Vec<Result<Taken>> {
        let call = |take: &Take| {
            let call = scripts::TAKE.on(&[names::lease(&take.key)]);
            call.arg(mark(take.token)).millis(take.lease)
        };
        let calls: Vec<_> = takes.iter().map(call).collect();
        let replies = self.client.call(&calls, self.client.store_timeout).await;
        each(replies, |granted| if granted { Taken::Granted } else { Taken::Held })
    }

    async fn store_now(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        let call = |fill: &Fill| {
            let lease = names::lease(&fill.key);
            scripts::STORE
                .on(&[fill.key.as_bytes(), lease.as_bytes()])
                .arg(mark(fill.token))
                .arg(&fill.value)
                .millis(fill.ttl.as_duration())
        };
        let calls: Vec<_> = fills.iter().map(call).collect();
        let replies = self.client.call(&calls, self.client.store_timeout).await;
        each(replies, |stored| if stored { Stored::Stored } else { Stored::Refused })
    }

    async fn capture_now(&self, tags: &[WireKey], keep: Ttl) -> Result<Vec<TagVersion>> {
        let call = |tag: &WireKey| {
            let version = self.runtime.random().to_be_bytes();
            scripts::CAPTURE.on(&[tag.as_bytes()]).arg(version).millis(keep.as_duration())
        };
        let calls: Vec<_> = tags.iter().map(call).collect();
        let replies = self.client.call(&calls, self.client.read_timeout).await;
        let version = |reply: Reply| {
            let bytes = reply.bytes()?.unwrap_or_default();
            TagVersion::try_from(&bytes[..]).map_err(|_| not_understood("TAGCAP"))
        };
        replies.into_iter().map(version).collect()
    }

    /// One `UNLINK` for each 1,000 keys, in a Cluster one for each key; 1,000 of these in one
    /// round trip. An entry and its lease go in one step.
    async fn invalidate_now(&self, keys: &[WireKey]) -> Result<u64> {
        let unlink = |batch: &[WireKey]| {
            let both = |command: Command, key: &WireKey| {
                command.arg(key.as_bytes()).arg(names::lease(key))
            };
            Request::from(batch.iter().fold(Command::new("UNLINK"), both))
        };
        let at_once = if self.client.is_cluster() { 1 } else { 1000 };
        let requests: Vec<Request> = keys.chunks(at_once).map(unlink).collect();
        let replies = self.client.send_in_turns(&requests).await;
        let (mut removed, mut moving) = (0, Vec::new());
        for (batch, reply) in keys.chunks(at_once).zip(replies) {
            match reply.count() {
                Ok(count) => removed += count,
                Err(error) if is_try_again(&error) => moving.extend_from_slice(batch),
                Err(error) => return Err(error),
            }
        }
        Ok(removed + self.invalidate_moving(&moving).await?)
    }

    /// Removes entries whose slot is on its way from one node to another, where only single
    /// keys can be removed: the leases first, or a holder could store in between.
    async fn invalidate_moving(&self, keys: &[WireKey]) -> Result<u64> {
        let leases: Vec<Bytes> = keys.iter().map(|key| names::lease(key).into()).collect();
        let entries: Vec<Bytes> =
            keys.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect();
        Ok(self.client.unlink_all(&leases).await? + self.client.unlink_all(&entries).await?)
    }

    async fn invalidate_tags_now(&self, tags: &[WireKey]) -> Result<()> {
        let tags: Vec<Bytes> =
            tags.iter().map(|tag| Bytes::copy_from_slice(tag.as_bytes())).collect();
        self.client.unlink_all(&tags).await.map(drop)
    }
}

impl Backend for RedisBackend {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        Box::pin(self.read_now(keys))
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        Box::pin(self.acquire_now(acquire))
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        Box::pin(self.take_now(takes))
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        Box::pin(self.store_now(fills))
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let call = scripts::RELEASE.on(&[names::lease(key)]).arg(mark(token));
            self.client.call_one(call, self.client.store_timeout).await.map(drop)
        })
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let call = scripts::RENEW.on(&[names::lease(key)]).arg(mark(token)).millis(lease);
            let reply = self.client.call_one(call, self.client.store_timeout).await?;
            Ok(reply.integer()? == 1)
        })
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        Box::pin(self.capture_now(tags, keep))
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.invalidate_now(keys))
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.invalidate_tags_now(tags))
    }

    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.client.unlink_matching(pattern))
    }

    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        Box::pin(self.client.remaining_within(key.as_bytes(), self.client.read_timeout))
    }

    fn watch(&self, key: &WireKey) -> Option<Watch> {
        let tracked = self.client.is_tracking(key.as_bytes());
        tracked.then(|| self.changes.watchers.watch(key))
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.client.ping())
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async { Ok(info::parse(&self.client.info().await?)) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.client.close();
        Box::pin(std::future::ready(()))
    }
}

/// What stands in a lease for a token. The letter keeps it apart from the marks of a
/// hold (`H:`) and of a failed load (`E:`).
fn mark(token: Token) -> [u8; 18] {
    let mut mark = *b"t:................";
    mark[2..].copy_from_slice(token.as_bytes());
    mark
}

/// Reads answers of yes or no.
fn each<T>(replies: Vec<Reply>, answer: impl Fn(bool) -> T) -> Vec<Result<T>> {
    replies.into_iter().map(|reply| Ok(answer(reply.integer()? == 1))).collect()
}
