//! The backend of a simulated process: a link to the server that all of them share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_channel::oneshot;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Pause, Result, Retrail, Stored, TagVersion, Take, Taken, Token, Watch,
    Watchers,
};
use hotshelf_core::near::{NearTier, TrackedRead};
use hotshelf_core::{
    Backend, BoxFuture, Error, ErrorKind, Pattern, Remaining, Runtime, ServerInfo, Ttl, WireKey,
};

use super::keyspace::OwnedAcquire;
use super::network::{Network, Operation, Sender, Wire};
use super::overlaps::Overlaps;
use super::process::SimProcess;
use super::reports::{Filled, read_tracked};
use super::server::SimServer;

/// A process's connection to a [`SimServer`], through a [`Network`].
///
/// A request that was sent is delivered even if the process cancels it or crashes.
#[derive(Clone)]
pub struct SimLink {
    wire: Arc<Wire>,
    driver: SimProcess,
    /// The watchers that are notified of changes, if the server pushes them.
    watchers: Option<Watchers>,
    closed: Arc<AtomicBool>,
    filled: Arc<Filled>,
}

impl SimLink {
    /// Connects a process to a server.
    #[must_use]
    pub fn new(
        process: &SimProcess,
        server: &SimServer,
        network: Network,
        overlaps: &Arc<Overlaps>,
    ) -> Self {
        let watchers = network.pushes.then(Watchers::default);
        if let Some(watchers) = &watchers {
            server.listen(watchers.clone(), network);
        }
        let wire = Wire::new(process, server, network, overlaps);
        Self {
            wire: Arc::new(wire),
            driver: process.clone(),
            watchers,
            closed: Arc::default(),
            filled: Arc::default(),
        }
    }

    /// Delivers nothing over one of the connections for a time. Then it works again, or is lost.
    pub fn silence(&self, duration: Duration, is_lost: bool) {
        self.wire.silence(duration, is_lost);
    }

    async fn send<T: Send + 'static>(
        &self,
        operation: Operation,
        execute: impl Fn(&SimServer, Sender) -> T + Send + Sync + 'static,
    ) -> Result<T> {
        let wire = Arc::clone(&self.wire);
        self.drive(async move { wire.exchange(operation, execute).await }).await
    }

    /// Runs an exchange, deadline included, in the link's own runtime.
    async fn drive<T: Send + 'static>(
        &self,
        exchange: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Closed, "the store is closed"));
        }
        let (sender, answer) = oneshot::channel();
        self.driver.spawn(Box::pin(async move {
            // The caller may have been cancelled.
            let _ = sender.send(exchange.await);
        }));
        answer.await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "the connection was lost with its runtime"))
        })
    }
}

impl fmt::Debug for SimLink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimLink").field("process", &self.wire.process()).finish()
    }
}

impl Backend for SimLink {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        let keys = keys.to_vec();
        Box::pin(self.send(Operation::Read, move |server, sender| server.read(sender, &keys)))
    }

    fn report_to(&self, near: &Arc<NearTier>) -> bool {
        self.wire.report_to(near);
        true
    }

    fn read_tracked<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<TrackedRead>>> {
        let (wire, filled) = (Arc::clone(&self.wire), Arc::clone(&self.filled));
        let keys = keys.to_vec();
        Box::pin(self.drive(async move { read_tracked(&wire, &filled, keys).await }))
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        let acquire = OwnedAcquire::from(acquire);
        Box::pin(
            self.send(Operation::Acquire, move |server, sender| server.acquire(sender, &acquire)),
        )
    }

    fn acquire_many<'a>(
        &'a self,
        acquires: &'a [Acquire<'a>],
    ) -> BoxFuture<'a, Vec<Result<Acquired>>> {
        let sent: Vec<_> = acquires.iter().cloned().map(OwnedAcquire::from).collect();
        Box::pin(async move {
            let acquired = self.send(Operation::Acquire, move |server, sender| {
                sent.iter().map(|acquire| server.acquire(sender, acquire)).collect()
            });
            each(acquired.await, acquires.len())
        })
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        let sent = takes.to_vec();
        Box::pin(async move {
            let taken = self.send(Operation::Take, move |server, sender| {
                sent.iter().map(|take| server.take(sender, take)).collect()
            });
            each(taken.await, takes.len())
        })
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        let sent = fills.to_vec();
        Box::pin(async move {
            let stored = self.send(Operation::Store, move |server, sender| {
                sent.iter().map(|fill| server.store(sender, fill)).collect()
            });
            let stored = each(stored.await, fills.len());
            self.filled.stored(fills, &stored);
            stored
        })
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        let key = key.clone();
        Box::pin(self.send(Operation::Release, move |server, sender| {
            server.release(sender, &key, token);
        }))
    }

    fn fail<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        pause: Pause,
    ) -> BoxFuture<'a, Result<()>> {
        let key = key.clone();
        Box::pin(self.send(Operation::Release, move |server, sender| {
            server.fail(sender, &key, token, pause);
        }))
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        let key = key.clone();
        Box::pin(
            self.send(Operation::Renew, move |server, sender| {
                server.renew(sender, &key, token, lease)
            }),
        )
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        let captured = self.capture_with_age(tags, keep);
        Box::pin(async { Ok(captured.await?.into_iter().map(|(version, _)| version).collect()) })
    }

    fn capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>> {
        let new = |tag: &WireKey| (tag.clone(), self.wire.new_version());
        let tags: Vec<_> = tags.iter().map(new).collect();
        Box::pin(
            self.send(Operation::Capture, move |server, sender| {
                server.capture(sender, &tags, keep)
            }),
        )
    }

    fn retrail<'a>(&'a self, key: &'a WireKey, trailers: Retrail) -> BoxFuture<'a, Result<bool>> {
        let key = key.clone();
        Box::pin(
            self.send(Operation::Other, move |server, sender| {
                server.retrail(sender, &key, &trailers)
            }),
        )
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        let keys = keys.to_vec();
        Box::pin(
            self.send(Operation::Invalidate, move |server, sender| {
                server.invalidate(sender, &keys)
            }),
        )
    }

    fn hold<'a>(&'a self, keys: &'a [WireKey], hold: Duration) -> BoxFuture<'a, Result<u64>> {
        let keys = keys.to_vec();
        Box::pin(
            self.send(Operation::Invalidate, move |server, sender| {
                server.hold(sender, &keys, hold)
            }),
        )
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        let tags = tags.to_vec();
        Box::pin(self.send(Operation::Invalidate, move |server, sender| {
            server.invalidate_tags(sender, &tags);
        }))
    }

    /// Two scans, the second of them in two steps.
    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        let (of_leases, of_entries) = (pattern.clone(), pattern.clone());
        Box::pin(async move {
            self.send(Operation::Invalidate, move |server, sender| {
                server.remove_leases(sender, &of_leases);
            })
            .await?;
            let found = self
                .send(Operation::Other, move |server, sender| {
                    server.scan_entries(sender, &of_entries)
                })
                .await?;
            self.invalidate(&found).await?;
            Ok(found.len() as u64)
        })
    }

    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        let key = key.clone();
        Box::pin(self.send(Operation::Other, move |server, _| server.remaining(&key)))
    }

    fn clock(&self, _: &WireKey) -> Option<u64> {
        Some(self.wire.clock())
    }

    fn watch(&self, key: &WireKey) -> Option<Watch> {
        self.watchers.as_ref().map(|watchers| watchers.watch(key))
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.send(Operation::Other, |_, _| ()))
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(self.send(Operation::Other, |server, _| server.info()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.closed.store(true, Ordering::Relaxed);
        Box::pin(std::future::ready(()))
    }
}

/// Splits the answer of a batch into those of its `count` requests.
fn each<T>(answers: Result<Vec<T>>, count: usize) -> Vec<Result<T>> {
    match answers {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(error) => vec![error; count].into_iter().map(Err).collect(),
    }
}

#[cfg(test)]
mod tests {
    use hotshelf_core::Runtime;

    use super::super::history::History;
    use super::super::runtime::SimRuntime;
    use super::*;
    use crate::conformance::{CHECKS, Check, Subject};

    conformance_suite!(run);

    #[test]
    fn all_conformance_checks_pass() {
        CHECKS.iter().for_each(|&(_, check)| run(check));
    }

    fn run(check: Check) {
        let runtime = SimRuntime::new(1);
        let (history, overlaps) = (Arc::new(History::new(runtime.clone(), false)), Arc::default());
        let server = SimServer::new(&runtime, &history, &overlaps);
        let process = runtime.start_process();
        let link = SimLink::new(&process, &server, Network::calm(), &overlaps);
        runtime.block_on(check(&Linked { link, runtime: runtime.clone() }));
        runtime.shut_down();
    }

    struct Linked {
        link: SimLink,
        runtime: SimRuntime,
    }

    impl Subject for Linked {
        fn backend(&self) -> &dyn Backend {
            &self.link
        }

        fn runtime(&self) -> &dyn Runtime {
            &self.runtime
        }

        fn pass(&self, duration: Duration) -> BoxFuture<'_, ()> {
            self.runtime.sleep(duration)
        }
    }
}
