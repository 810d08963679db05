//! The backend's operations.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Backend, Fill, Result, Seen, ServerInfo, Stored, TagVersion, Take, Taken,
    Token,
};
use hotshelf_core::trailer::MAGIC;
use hotshelf_core::{BoxFuture, Error, ErrorKind, Pattern, Remaining, Runtime, Ttl, WireKey};
use hotshelf_wire::resp::Command;

use crate::client::RedisClient;
use crate::options::RedisOptions;
use crate::reply::Reply;
use crate::{info, names, scripts};

/// Entries on a Redis or Valkey server.
#[derive(Debug)]
pub struct RedisBackend {
    client: RedisClient,
    runtime: Arc<dyn Runtime>,
}

impl RedisBackend {
    /// Prepares a backend; the first operation connects.
    ///
    /// Operations run in tokio: they need its runtime around them, with its timers.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for certificates that can't be read.
    pub fn new(options: &RedisOptions, runtime: Arc<dyn Runtime>) -> Result<Self> {
        Ok(Self { client: RedisClient::new(options, Arc::clone(&runtime))?, runtime })
    }

    /// Gives the raw client, on the same connection.
    #[must_use]
    pub fn client(&self) -> &RedisClient {
        &self.client
    }

    /// One `GET`, or one `MGET`.
    async fn read_now(&self, keys: &[WireKey]) -> Result<Vec<Option<Bytes>>> {
        let ask = |name| {
            let ask = Command::new(name).args(keys.iter().map(WireKey::as_bytes));
            self.client.send(ask, self.client.read_timeout)
        };
        match keys {
            [] => Ok(Vec::new()),
            [_] => Ok(vec![ask("GET").await?.bytes()?]),
            _ => ask("MGET").await?.array()?.into_iter().map(Reply::bytes).collect(),
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
        each(replies, takes.len(), |granted| if granted { Taken::Granted } else { Taken::Held })
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
        each(replies, fills.len(), |stored| if stored { Stored::Stored } else { Stored::Refused })
    }

    async fn capture_now(&self, tags: &[WireKey], keep: Ttl) -> Result<Vec<TagVersion>> {
        let call = |tag: &WireKey| {
            let version = self.runtime.random().to_be_bytes();
            scripts::CAPTURE.on(&[tag.as_bytes()]).arg(version).millis(keep.as_duration())
        };
        let calls: Vec<_> = tags.iter().map(call).collect();
        let replies = self.client.call(&calls, self.client.read_timeout).await?;
        let version = |reply: Reply| {
            let bytes = reply.bytes()?.unwrap_or_default();
            TagVersion::try_from(&bytes[..]).map_err(|_| not_understood("TAGCAP"))
        };
        replies.into_iter().map(version).collect()
    }

    /// One `UNLINK` for each 1,000 keys, all in one round trip. An entry and its lease go
    /// in one step.
    async fn invalidate_now(&self, keys: &[WireKey]) -> Result<u64> {
        let unlink = |batch: &[WireKey]| {
            let both = |command: Command, key: &WireKey| {
                command.arg(key.as_bytes()).arg(names::lease(key))
            };
            batch.iter().fold(Command::new("UNLINK"), both)
        };
        let commands: Vec<Command> = keys.chunks(1000).map(unlink).collect();
        let deadline = self.client.deadline(self.client.store_timeout);
        let replies = self.client.send_all(&commands, deadline).await?;
        let removed = |reply: Reply| Ok(u64::try_from(reply.integer()?).unwrap_or_default());
        replies.into_iter().map(removed).sum()
    }

    async fn invalidate_tags_now(&self, tags: &[WireKey]) -> Result<()> {
        if tags.is_empty() {
            return Ok(());
        }
        let unlink = Command::new("UNLINK").args(tags.iter().map(WireKey::as_bytes));
        self.client.send(unlink, self.client.store_timeout).await.map(drop)
    }

    async fn remaining_now(&self, key: &WireKey) -> Result<Remaining> {
        let ask = Command::new("PTTL").arg(key.as_bytes());
        match self.client.send(ask, self.client.read_timeout).await?.integer()? {
            -2 => Ok(Remaining::Missing),
            -1 => Ok(Remaining::Persistent),
            millis => {
                let millis = u64::try_from(millis).unwrap_or_default();
                Ok(Remaining::After(Duration::from_millis(millis)))
            }
        }
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
        Box::pin(self.remaining_now(key))
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let ping = self.client.send(Command::new("PING"), self.client.store_timeout);
            ping.await.map(drop)
        })
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async {
            let info = self.client.send(Command::new("INFO"), self.client.store_timeout);
            let text = info.await?.bytes()?;
            Ok(info::parse(&String::from_utf8_lossy(&text.unwrap_or_default())))
        })
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

/// Reads one answer of yes or no for each of `count` calls; trouble with the connection
/// is the answer to all of them.
fn each<T>(
    replies: Result<Vec<Reply>>,
    count: usize,
    answer: impl Fn(bool) -> T,
) -> Vec<Result<T>> {
    match replies {
        Ok(replies) => replies.into_iter().map(|reply| Ok(answer(reply.integer()? == 1))).collect(),
        Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
    }
}

fn not_understood(operation: &str) -> Error {
    Error::new(ErrorKind::Server, format!("the server's answer to {operation} is not understood"))
}
