//! Removing entries, leases and the versions of tags.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::Result;
use hotshelf_core::backoff::Backoff;
use hotshelf_core::{ErrorKind, Pattern, WireKey};
use hotshelf_wire::resp::Command;

use super::leases::hold_mark;
use super::{RedisBackend, scripts};
use crate::client::{BATCH, Scan, ScriptCall};
use crate::errors::{is_from_server, is_lost, is_try_again, unavailable};
use crate::names;

/// How long an invalidation that meets a lost connection is repeated.
const PERSISTENCE: Duration = Duration::from_secs(1);

/// The pauses in between.
const REPEATING: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));

const NOT_HELD: &str = "the key was invalidated, but is not held: the server refused the mark";

impl RedisBackend {
    /// Repeats an invalidation that met a lost connection or a demoted server, until another one
    /// is found: it may be done twice. A server that was down before fails it at once.
    pub(super) async fn persistently<T, F>(&self, invalidate: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let (runtime, mut repeating) = (&*self.runtime, REPEATING);
        let until = runtime.now() + PERSISTENCE;
        let mut lost = false;
        loop {
            let done = invalidate().await;
            let Err(error) = &done else { return done };
            lost |= is_lost(error);
            // Until another server is found, connecting fails, and a Cluster is down.
            let may_pass = is_lost(error) || error.kind() != ErrorKind::Timeout;
            if !lost || !may_pass || !error.is_temporary() || runtime.now() >= until {
                return done;
            }
            runtime.sleep(repeating.next(runtime.random())).await;
        }
    }

    /// Removes entries, each together with its lease in one step, and returns the number of both.
    ///
    /// Sends one `UNLINK` for each [`BATCH`] of keys, in a Cluster one for each key, and a
    /// [`BATCH`] of these in each round trip.
    pub(super) async fn invalidate_now(&self, keys: &[WireKey]) -> Result<u64> {
        let at_once = if self.client.is_cluster() { 1 } else { BATCH };
        let removals = |remove: &Command| {
            let both = |command: Command, key: &WireKey| {
                command.arg(key.as_bytes()).arg(names::lease(key))
            };
            let of_batch = |batch: &[WireKey]| batch.iter().fold(remove.clone(), both).into();
            keys.chunks(at_once).map(of_batch).collect()
        };
        let replies = self.client.send_removals(removals).await;
        let (mut removed, mut migrating) = (0, Vec::new());
        for (batch, reply) in keys.chunks(at_once).zip(replies) {
            match reply.count() {
                Ok(count) => removed += count,
                Err(error) if is_try_again(&error) => migrating.extend_from_slice(batch),
                Err(error) => return Err(error),
            }
        }
        Ok(removed + self.invalidate_migrating(&migrating).await?)
    }

    /// Removes entries in migrating slots, where a command can have only one key: the leases
    /// first, or a holder could store in between.
    async fn invalidate_migrating(&self, keys: &[WireKey]) -> Result<u64> {
        let leases: Vec<Bytes> = keys.iter().map(|key| names::lease(key).into()).collect();
        Ok(self.client.unlink_all(&leases).await? + self.client.unlink_all(&bytes(keys)).await?)
    }

    /// Removes entries, each together with its lease in one step, and leaves a mark in the place
    /// of the lease. Returns the number of entries and leases.
    ///
    /// What the server doesn't mark, it removes all the same.
    pub(super) async fn hold_now(&self, keys: &[WireKey], hold: Duration) -> Result<u64> {
        let held = self.run_each(keys, |key| self.hold_call(key, hold), self.client.store_timeout);
        let (mut removed, mut unmarked, mut failure) = (0, Vec::new(), None);
        for (key, reply) in keys.iter().zip(held.await) {
            let error = match reply.count() {
                Ok(count) => {
                    removed += count;
                    continue;
                }
                // A server that was demoted can't remove it either.
                Err(error) if is_from_server(&error) && !is_lost(&error) => {
                    unmarked.push(key.clone());
                    unavailable(NOT_HELD).with_source(error)
                }
                Err(error) => error,
            };
            failure.get_or_insert(error);
        }
        self.invalidate_now(&unmarked).await?;
        failure.map_or(Ok(removed), Err)
    }

    fn hold_call(&self, key: &WireKey, hold: Duration) -> ScriptCall<'static> {
        let (lease, unique) = (names::lease(key), self.runtime.random().to_be_bytes());
        let call = scripts::HOLD.call(&[key.as_bytes(), lease.as_bytes()]);
        call.arg(hold_mark(&unique)).millis(hold)
    }

    pub(super) async fn invalidate_tags_now(&self, tags: &[WireKey]) -> Result<()> {
        self.client.unlink_all(&bytes(tags)).await.map(drop)
    }

    /// Removes all entries and leases whose key matches, and returns the number of entries.
    ///
    /// Leases are removed first, in a separate scan: a fill in flight is either refused from
    /// then on, or has stored its entry before the second scan begins, and `SCAN` returns
    /// every key that exists throughout the scan.
    pub(super) async fn invalidate_matching_now(&self, pattern: &Pattern) -> Result<u64> {
        let all_leases = format!("{}*", names::LEASE_PREFIX);
        let of_matching_key =
            |name: &str| names::key_of_lease(name).is_some_and(|key| pattern.matches(&key));
        self.unlink_scanned(self.client.scan(all_leases), of_matching_key).await?;
        self.unlink_scanned(self.client.scan(pattern.as_str()), |_| true).await
    }

    /// Removes the keys of a scan that `picks` selects, step by step. Skips keys that are not
    /// valid UTF-8: they are not hotshelf's.
    async fn unlink_scanned(&self, mut scan: Scan, picks: impl Fn(&str) -> bool) -> Result<u64> {
        let mut removed = 0;
        while let Some(mut keys) = scan.next_keys().await? {
            keys.retain(|key| std::str::from_utf8(key).is_ok_and(&picks));
            removed += self.client.unlink_all(&keys).await?;
        }
        Ok(removed)
    }
}

fn bytes(keys: &[WireKey]) -> Vec<Bytes> {
    keys.iter().map(|key| Bytes::copy_from_slice(key.as_bytes())).collect()
}
