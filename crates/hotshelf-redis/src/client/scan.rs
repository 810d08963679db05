//! Walks over the whole keyspace.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use hotshelf_core::{Error, ErrorKind, Pattern};
use hotshelf_wire::resp::Command;

use super::{RedisClient, Reply};
use crate::connection::{Connection, Manner, Request};
use crate::link::Link;
use crate::names;

/// How many keys a server looks at in one step.
const STEP: u64 = 1000;

/// The cursor of a walk's beginning, and of its end.
const START: &[u8] = b"0";

/// A walk over the keys that match a pattern, on all primaries, step by step.
///
/// What stands from the beginning of the walk to its end comes at least once; what comes and
/// goes meanwhile may or may not.
pub struct Scan {
    client: RedisClient,
    pattern: Vec<u8>,
    /// Those still to walk over, and where to go on at the first of them; `None` before the
    /// walk has begun.
    rest: Option<VecDeque<Arc<Link>>>,
    cursor: Bytes,
    /// The connection that the cursor came over.
    at: Option<Connection>,
}

impl Scan {
    /// Takes the next step: some keys, perhaps none; `None` at the end.
    ///
    /// Costs one round trip. The server looks at 1,000 keys.
    ///
    /// # Errors
    /// As [`RedisClient::command`]. The walk can go on after an error. Where the connection
    /// was lost, it begins anew on that server, since another one may stand in its place:
    /// keys may come again.
    ///
    /// # Cancel safety
    /// A step that is dropped is taken again by the next call.
    pub async fn next_keys(&mut self) -> Result<Option<Vec<Bytes>>, Error> {
        if self.rest.is_none() {
            let deadline = self.client.deadline(self.client.store_timeout);
            self.rest = Some(self.client.topology.primaries(deadline).await?.into());
        }
        let deadline = self.client.deadline(self.client.store_timeout);
        let Some(link) = self.rest.as_ref().and_then(|rest| rest.front()) else { return Ok(None) };
        let connection = link.connection(deadline).await?;
        if !self.at.replace(connection.clone()).is_some_and(|at| at.is(&connection)) {
            self.cursor = Bytes::from_static(START);
        }
        let scan = Command::new("SCAN").arg(&self.cursor).arg("MATCH").arg(&self.pattern);
        let request: Request = scan.arg("COUNT").number(STEP).into();
        let reply = connection.ask(&request, Manner::Plain, deadline).await?;
        let (next, keys) = read_step(reply.into())?;
        if next == START {
            self.rest.as_mut().and_then(VecDeque::pop_front);
            self.at = None;
        }
        self.cursor = next;
        Ok(Some(keys))
    }

    /// Gives the keys as a stream. It ends with the first error.
    pub fn keys(self) -> impl Stream<Item = Result<Bytes, Error>> {
        try_unfold((self, VecDeque::new()), async |(mut scan, mut found)| {
            loop {
                if let Some(key) = found.pop_front() {
                    return Ok(Some((key, (scan, found))));
                }
                match scan.next_keys().await? {
                    Some(keys) => found.extend(keys),
                    None => return Ok(None),
                }
            }
        })
    }
}

impl RedisClient {
    /// Begins a walk over all keys that match a glob-style pattern: `user:*`.
    pub fn scan(&self, pattern: impl AsRef<[u8]>) -> Scan {
        let pattern = pattern.as_ref().to_vec();
        Scan {
            client: self.clone(),
            pattern,
            rest: None,
            cursor: Bytes::from_static(START),
            at: None,
        }
    }

    /// Removes all entries and leases whose key matches, and says how many entries.
    ///
    /// Leases go first, in a walk of their own: a fill in flight is either refused from
    /// there on, or its entry stands before the second walk begins, and `SCAN` returns
    /// what stands from its beginning to its end.
    pub(crate) async fn unlink_matching(&self, pattern: &Pattern) -> Result<u64, Error> {
        let all_leases = format!("{}*", names::LEASE_PREFIX);
        let of_matching_key =
            |name: &str| names::key_of_lease(name).is_some_and(|key| pattern.matches(&key));
        self.unlink_walked(self.scan(all_leases), of_matching_key).await?;
        self.unlink_walked(self.scan(pattern.as_str()), |_| true).await
    }

    /// Removes those keys of a walk that `picks` agrees to, step by step. Keys that are no
    /// UTF-8 are none of ours.
    async fn unlink_walked(
        &self,
        mut scan: Scan,
        picks: impl Fn(&str) -> bool,
    ) -> Result<u64, Error> {
        let mut removed = 0;
        while let Some(mut keys) = scan.next_keys().await? {
            keys.retain(|key| std::str::from_utf8(key).is_ok_and(&picks));
            removed += self.unlink_all(&keys).await?;
        }
        Ok(removed)
    }

    /// Removes keys wherever they live, and says how many there were: 1,000 commands in one
    /// round trip, each of 1,000 keys, in a Cluster of one.
    pub(crate) async fn unlink_all(&self, keys: &[Bytes]) -> Result<u64, Error> {
        let unlink = |keys: &[Bytes]| Command::new("UNLINK").args(keys).into();
        // Keys of several slots can't stand in one command.
        let at_once = if self.is_cluster() { 1 } else { STEP as usize };
        let requests: Vec<Request> = keys.chunks(at_once).map(unlink).collect();
        let replies = self.send_in_turns(&requests).await;
        let count = |reply: Reply| Ok(u64::try_from(reply.integer()?).unwrap_or_default());
        replies.into_iter().map(count).sum()
    }
}

/// Reads a step's answer: where to go on, and the keys.
fn read_step(reply: Reply) -> Result<(Bytes, Vec<Bytes>), Error> {
    let [cursor, keys]: [Reply; 2] = reply.array()?.try_into().map_err(|_| {
        Error::new(ErrorKind::Protocol, "the server's answer to SCAN is not understood")
    })?;
    let cursor = cursor.bytes()?.unwrap_or_default();
    let keys = keys.array()?.into_iter().filter_map(|key| key.bytes().ok().flatten());
    Ok((cursor, keys.collect()))
}

impl fmt::Debug for Scan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Scan");
        debug.field("pattern", &String::from_utf8_lossy(&self.pattern)).finish_non_exhaustive()
    }
}
