//! Storing fills.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join;
use hotshelf_core::ErrorKind;
use hotshelf_core::backend::{Fill, Result, Retrail, Stored};
use hotshelf_wire::resp::Command;

use super::leases::{hold_mark, lease_value};
use super::{RedisBackend, scripts};
use crate::client::{Reply, ScriptCall};
use crate::connection::LARGE;
use crate::errors::is_refused;
use crate::names;

/// How long a value may remain under its temporary name: longer than any script takes.
const TEMPORARY: Duration = Duration::from_secs(60);

/// The length of a value from which on its trailer alone is sent, in bytes: shorter ones cost no more
/// than a second trailer.
const WORTH_KEEPING: usize = 256;

impl RedisBackend {
    pub(super) async fn store_now(&self, fills: &[Fill]) -> Vec<Result<Stored>> {
        // Once for all of them: the first refusal changes it.
        let can_rename = !self.without_rename.load(Ordering::Relaxed);
        let is_large = |fill: &Fill| can_rename && fill.value.len() >= LARGE;
        let is_apart = |fill: &Fill| kept(fill).is_some() || is_large(fill);
        let (apart, small): (Vec<&Fill>, Vec<&Fill>) =
            fills.iter().partition(|fill| is_apart(fill));
        let storing = self.run_each(&small, |fill| store(fill), self.client.store_timeout);
        let storing_apart = async {
            let mut replies = Vec::new();
            for fill in &apart {
                replies.push(match kept(fill) {
                    Some(trailers) => self.store_kept(fill, trailers, is_large(fill)).await,
                    None => self.store_large(fill).await,
                });
            }
            replies
        };
        let (stored, stored_apart) = match apart.is_empty() {
            true => (storing.await, Vec::new()),
            false => join(storing, storing_apart).await,
        };
        let (mut stored, mut stored_apart) = (stored.into_iter(), stored_apart.into_iter());
        let outcome = |fill: &Fill| {
            let reply = if is_apart(fill) { stored_apart.next() } else { stored.next() };
            self.large.note_size(&fill.key, fill.value.len());
            match reply.unwrap_or(Reply::Nil).integer()? {
                1 => Ok(Stored::Stored),
                _ => Ok(Stored::Refused),
            }
        };
        fills.iter().map(outcome).collect()
    }

    /// Stores a value that the entry has already: sends its trailer alone. If the entry isn't the
    /// one that was seen any more, stores the value in a second round trip.
    async fn store_kept(&self, fill: &Fill, trailers: &Retrail, is_large: bool) -> Reply {
        let (key, lease) = (fill.key.as_bytes(), names::lease(&fill.key));
        let storing = scripts::STORE_KEPT
            .call(&[key, lease.as_bytes()])
            .arg(lease_value(fill.token))
            .arg(&trailers.seen)
            .arg(&trailers.trailer)
            .millis(fill.ttl.as_duration());
        let timeout = self.client.store_timeout;
        let reply = self.client.run_call(held(storing, fill), timeout).await;
        // Nothing was changed: the lease is still held.
        let is_unchanged = match &reply {
            Reply::Error(error) => is_refused(error) || error.kind() == ErrorKind::Permission,
            reply => matches!(reply, Reply::Integer(2)),
        };
        match (is_unchanged, is_large) {
            (false, _) => reply,
            (true, true) => self.store_large(fill).await,
            (true, false) => self.run_call(store(fill), timeout).await,
        }
    }

    /// Stores a large value: under a temporary name first, which the script then changes. As its
    /// argument, the value would be copied and hashed.
    async fn store_large(&self, fill: &Fill) -> Reply {
        let (key, lease) = (fill.key.as_bytes(), names::lease(&fill.key));
        let temporary = names::temporary(&lease, fill.token.as_bytes());
        let set = Command::with_room("SET", fill.value.len() + temporary.len());
        let set = set.arg(&temporary).arg(&fill.value).arg("PX");
        let set = set.number(TEMPORARY.as_millis() as u64);
        let renaming = scripts::STORE_LARGE
            .call(&[key, lease.as_bytes(), temporary.as_bytes()])
            .arg(lease_value(fill.token))
            .millis(fill.ttl.as_duration());
        let renaming = held(renaming, fill);
        let timeout = self.client.store_timeout;
        let [set, renamed] = self.client.run_behind(set.into(), renaming, timeout).await;
        match (set, &renamed) {
            (Reply::Error(error), _) => Reply::Error(error),
            // Nothing was changed: the lease is still held.
            (_, Reply::Error(error))
                if is_refused(error) || error.kind() == ErrorKind::Permission =>
            {
                self.without_rename.store(true, Ordering::Relaxed);
                self.run_call(store(fill), timeout).await
            }
            _ => renamed,
        }
    }
}

/// Returns the trailers of a fill that need not send its value again.
fn kept(fill: &Fill) -> Option<&Retrail> {
    fill.kept.as_ref().filter(|trailers| {
        let Retrail { seen, trailer } = trailers;
        let fits = !seen.is_empty() && trailer.len() >= seen.len();
        fits && fill.value.len().saturating_sub(trailer.len()) >= WORTH_KEEPING
    })
}

fn store(fill: &Fill) -> ScriptCall<'static> {
    let lease = names::lease(&fill.key);
    let storing = scripts::STORE
        .call_with_room(&[fill.key.as_bytes(), lease.as_bytes()], fill.value.len())
        .arg(lease_value(fill.token))
        .arg(&fill.value)
        .millis(fill.ttl.as_duration());
    held(storing, fill)
}

/// Adds the mark that a fill leaves in the place of its lease.
fn held<'a>(storing: ScriptCall<'a>, fill: &Fill) -> ScriptCall<'a> {
    match fill.hold {
        None => storing,
        Some(hold) => storing.arg(hold_mark(&fill.token.as_bytes()[..8])).millis(hold),
    }
}
