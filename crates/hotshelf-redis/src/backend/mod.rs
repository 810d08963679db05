//! The backend's operations.

mod ends;
mod info;
mod invalidate;
mod large;
mod leases;
mod scripts;
mod store;
mod tags;
mod tracking;

pub use leases::LeaseState;

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Backend, EntryEnd, Fill, KeyScan, Pause, Result, Retrail, ServerInfo,
    Stored, TagVersion, Take, Taken, Token, Watch,
};
use hotshelf_core::near::{NearTier, TrackedRead};
use hotshelf_core::{BoxFuture, ErrorKind, Pattern, Remaining, Runtime, Ttl, WireKey};
use hotshelf_wire::resp::Command;

use crate::client::{RedisClient, Reply, Scan, ScriptCall};
use crate::connection::{Request, SourceCell};
use crate::errors::{is_refused, unexpected_reply};
use crate::options::RedisOptions;
use crate::transport::Transport;
use large::LargeKeys;
use tracking::Changes;

/// The backend for Redis and Valkey servers.
#[derive(Debug)]
pub struct RedisBackend {
    client: RedisClient,
    runtime: Arc<dyn Runtime>,
    changes: Changes,
    large: LargeKeys,
    /// Whether the server refuses scripts, which was logged.
    without_scripts: AtomicBool,
    /// Whether the server or its ACL refuses `RENAME` in scripts.
    without_rename: AtomicBool,
}

impl RedisBackend {
    /// Creates a backend on tokio's sockets; it connects on first use.
    ///
    /// Operations have to run in a tokio runtime with timers enabled.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for invalid certificates or timeouts.
    #[cfg(feature = "tokio")]
    pub fn new(options: &RedisOptions, runtime: Arc<dyn Runtime>) -> Result<Self> {
        options.validate()?;
        let transport = Arc::new(crate::tokio::TokioTransport::new(options, Arc::clone(&runtime))?);
        Ok(Self::on(transport, options, runtime))
    }

    /// Creates a backend on a custom transport; it connects on first use.
    pub fn on(
        transport: Arc<dyn Transport>,
        options: &RedisOptions,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let changes = Changes::default();
        let listener = Arc::new(changes.clone());
        let client = RedisClient::new(options, transport, Arc::clone(&runtime), listener);
        let (large, without_scripts) = (LargeKeys::new(), AtomicBool::new(false));
        let without_rename = AtomicBool::new(false);
        Self { client, runtime, changes, large, without_scripts, without_rename }
    }

    /// Returns the raw client, on the same connections.
    #[must_use]
    pub fn client(&self) -> &RedisClient {
        &self.client
    }

    /// Reads values with one `GET` or `MGET`; in a Cluster with one `GET` for each key, in
    /// parallel. `sources` has a cell for each key, or one for all of them on a single server.
    async fn read_now(
        &self,
        keys: &[WireKey],
        sources: Option<&[SourceCell]>,
    ) -> Result<Vec<Option<Bytes>>> {
        let timeout = self.client.read_timeout;
        let read = |command, position: usize, keys: &[WireKey]| {
            let expected = self.large.size_of(keys);
            let source = sources.and_then(|sources| sources.get(position)).cloned();
            Request { expected, tracked: source.is_some(), source, ..Request::from(command) }
        };
        let get = |(position, key): (usize, &WireKey)| {
            read(Command::new("GET").arg(key.as_bytes()), position, slice::from_ref(key))
        };
        let values = match keys {
            [] => Ok(Vec::new()),
            [key] => Ok(vec![self.client.send(get((0, key)), timeout).await?.bytes()?]),
            _ if self.client.is_cluster() => {
                let requests: Vec<Request> = keys.iter().enumerate().map(get).collect();
                let replies = self.client.send_all(&requests, timeout).await;
                replies.into_iter().map(Reply::bytes).collect()
            }
            _ => {
                let mget = Command::new("MGET").args(keys.iter().map(WireKey::as_bytes));
                let mget = read(mget, 0, keys);
                let replies = self.client.send(mget, timeout).await?.array()?;
                replies.into_iter().map(Reply::bytes).collect()
            }
        };
        if let Ok(values) = &values {
            self.large.note(keys, values);
        }
        values
    }

    async fn read_tracked_now(&self, keys: &[WireKey]) -> Result<Vec<TrackedRead>> {
        let is_apart = self.client.is_cluster();
        let count = if is_apart { keys.len() } else { 1 };
        let cells: Vec<SourceCell> = (0..count).map(|_| SourceCell::default()).collect();
        let values = self.read_now(keys, Some(&cells)).await?;
        let sources: Vec<_> = cells.iter().map(SourceCell::take).collect();
        let read = |(position, raw)| {
            let source = sources.get(if is_apart { position } else { 0 }).cloned().flatten();
            let source = source.filter(|_| self.client.asks_for_reports(keys[position].as_bytes()));
            let is_unreported =
                source.is_none() && !self.client.is_tracking(keys[position].as_bytes());
            TrackedRead { raw, source, is_unreported }
        };
        Ok(values.into_iter().enumerate().map(read).collect())
    }

    /// Replaces the trailer of an entry, unless another one was stored.
    async fn retrail_now(&self, key: &WireKey, trailers: &Retrail) -> Result<bool> {
        let call = scripts::SOFTEN.call(&[key.as_bytes()]);
        let call = call.arg(&trailers.seen).arg(&trailers.trailer);
        Ok(self.run_call(call, self.client.store_timeout).await.integer()? == 1)
    }

    /// Runs scripts of the protocol.
    ///
    /// If the server or its ACL refuses scripts, every reply is an error: the cache still reads
    /// and invalidates, but stores nothing.
    async fn run(&self, calls: Vec<ScriptCall<'_>>, timeout: Duration) -> Vec<Reply> {
        let replies = self.client.run_scripts(calls, timeout).await;
        self.note_refusal(&replies);
        replies
    }

    /// Runs a script of the protocol for each item.
    async fn run_each<'a, I>(
        &self,
        items: &'a [I],
        call: impl Fn(&'a I) -> ScriptCall<'static>,
        timeout: Duration,
    ) -> Vec<Reply> {
        match items {
            [item] => vec![self.run_call(call(item), timeout).await],
            _ => self.run(items.iter().map(call).collect(), timeout).await,
        }
    }

    /// Runs one script of the protocol.
    async fn run_call(&self, call: ScriptCall<'_>, timeout: Duration) -> Reply {
        let reply = self.client.run_call(call, timeout).await;
        self.note_refusal(slice::from_ref(&reply));
        reply
    }

    /// Notes whether the server or its ACL refuses scripts.
    fn note_refusal(&self, replies: &[Reply]) {
        let refused = replies.iter().find_map(|reply| match reply {
            Reply::Error(error) if is_refused(error) || error.kind() == ErrorKind::Permission => {
                Some(error)
            }
            _ => None,
        });
        match refused {
            Some(error) if !self.without_scripts.swap(true, Ordering::Relaxed) => {
                let error = error.with_causes();
                tracing::warn!("can't run scripts ({error}); nothing is stored in the cache");
            }
            None if replies.iter().any(|reply| !matches!(reply, Reply::Error(_))) => {
                self.without_scripts.store(false, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Returns what the server is known to refuse, and what the cache does instead.
    fn limitations(&self) -> Vec<String> {
        let mut limitations: Vec<String> =
            self.client.misnamed().into_iter().map(str::to_owned).collect();
        if self.without_scripts.load(Ordering::Relaxed) {
            limitations.push("scripts are refused: values are read, and not stored".to_owned());
        }
        if self.client.lacks_unlink() {
            limitations.push("UNLINK is refused: DEL is used, and may block the server".to_owned());
        }
        if !self.client.is_tracking(b"") {
            let text = "key changes are not reported: callers that wait for another process poll";
            limitations.push(text.to_owned());
            if let Some(near) = self.changes.near() {
                let instead = near.options().unreported();
                limitations.push(format!("key changes are not reported: {instead}"));
            }
        }
        limitations
    }
}

impl Backend for RedisBackend {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        Box::pin(self.read_now(keys, None))
    }

    fn read_ends<'a>(
        &'a self,
        keys: &'a [WireKey],
    ) -> BoxFuture<'a, Result<Vec<Option<EntryEnd>>>> {
        Box::pin(self.read_ends_now(keys))
    }

    fn report_to(&self, near: &Arc<NearTier>) -> bool {
        self.client.asks_for_entries() && self.changes.report_to(near)
    }

    fn read_tracked<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<TrackedRead>>> {
        Box::pin(self.read_tracked_now(keys))
    }

    fn longest_read(&self) -> Option<Duration> {
        Some(self.client.read_timeout)
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        Box::pin(async move {
            let answer = self.acquire_now(slice::from_ref(&acquire)).await.pop();
            answer.unwrap_or_else(|| Err(unexpected_reply("ACQUIRE")))
        })
    }

    fn acquire_many<'a>(
        &'a self,
        acquires: &'a [Acquire<'a>],
    ) -> BoxFuture<'a, Vec<Result<Acquired>>> {
        Box::pin(self.acquire_now(acquires))
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        Box::pin(self.take_now(takes))
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        Box::pin(self.store_now(fills))
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.release_now(key, token))
    }

    fn fail<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        pause: Pause,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.fail_now(key, token, pause))
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.renew_now(key, token, lease))
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        Box::pin(async move {
            let captured = self.capture_now(tags, keep, false).await?;
            Ok(captured.into_iter().map(|(version, _)| version).collect())
        })
    }

    fn capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>> {
        Box::pin(self.capture_now(tags, keep, true))
    }

    fn retrail<'a>(&'a self, key: &'a WireKey, trailers: Retrail) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { self.retrail_now(key, &trailers).await })
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.persistently(move || self.invalidate_now(keys)))
    }

    fn hold<'a>(&'a self, keys: &'a [WireKey], hold: Duration) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.persistently(move || self.hold_now(keys, hold)))
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.persistently(move || self.invalidate_tags_now(tags)))
    }

    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.persistently(move || self.invalidate_matching_now(pattern)))
    }

    fn scan(&self, pattern: &Pattern) -> Option<Box<dyn KeyScan>> {
        Some(Box::new(RedisScan(self.client.scan(pattern.as_str()))))
    }

    fn clock(&self, key: &WireKey) -> Option<u64> {
        self.client.clock(key.as_bytes())
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
        Box::pin(async {
            let text = match self.client.info().await {
                // A proxy may not know it.
                Err(error) if is_refused(&error) => String::new(),
                text => text?,
            };
            let mut info = info::parse(&text);
            info.limitations.extend(self.limitations());
            Ok(info)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.client.close();
        Box::pin(std::future::ready(()))
    }
}

/// A scan of the keys of all primaries. Keys that aren't valid UTF-8 are left out.
struct RedisScan(Scan);

impl KeyScan for RedisScan {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<WireKey>>>> {
        Box::pin(async move {
            let text = |key: &Bytes| std::str::from_utf8(key).ok().map(WireKey::from);
            let keys = self.0.next_keys().await?;
            Ok(keys.map(|keys| keys.iter().filter_map(text).collect()))
        })
    }
}
