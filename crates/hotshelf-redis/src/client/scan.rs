//! Scans of the whole keyspace.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use hotshelf_core::Error;
use hotshelf_wire::resp::Command;

use super::{BATCH, RedisClient, Reply};
use crate::connection::{Connection, Request, Routing};
use crate::errors;
use crate::link::Link;

/// The cursor at the beginning and at the end of a scan.
const START: &[u8] = b"0";

/// A scan of the keys that match a pattern, on all primaries, step by step.
///
/// Keys that exist throughout the scan are returned at least once; keys that are created or
/// removed in the meantime may or may not be.
pub struct Scan {
    client: RedisClient,
    pattern: Vec<u8>,
    /// The type of the values; `None` for all.
    value_type: Option<Vec<u8>>,
    /// The servers that are still to be scanned; `None` before the first step.
    rest: Option<VecDeque<Arc<Link>>>,
    /// The cursor on the first of these servers.
    cursor: Bytes,
    /// The connection that the cursor was received on.
    connection: Option<Connection>,
}

impl Scan {
    /// Returns only keys with values of a type: `string`, `hash`, `list`, `set`, `zset` or
    /// `stream`.
    #[must_use]
    pub fn of_type(mut self, name: impl AsRef<[u8]>) -> Self {
        self.value_type = Some(name.as_ref().to_vec());
        self
    }

    /// Takes the next step and returns the matching keys, possibly none; `None` at the end.
    ///
    /// Costs one round trip, in which the server scans about 1,000 keys. The first step of a
    /// scan of a Cluster also fetches the slot map.
    ///
    /// # Errors
    /// Same as [`RedisClient::command`]. The scan can be continued after an error. If the
    /// connection was lost, it restarts on that server, since another server may have replaced
    /// it: keys may be returned again.
    ///
    /// # Cancel safety
    /// A dropped step is repeated by the next call.
    pub async fn next_keys(&mut self) -> Result<Option<Vec<Bytes>>, Error> {
        let mut timeout = self.client.store_timeout;
        if self.rest.is_none() {
            self.rest = Some(self.client.servers.current()?.primaries(timeout).await?.into());
        }
        let Some(link) = self.rest.as_ref().and_then(|rest| rest.front()) else { return Ok(None) };
        let connection = link.connection(&mut timeout).await?;
        let before = self.connection.replace(connection.clone());
        if !before.is_some_and(|before| before.is_same(&connection)) {
            self.cursor = Bytes::from_static(START);
        }
        let scan = Command::new("SCAN").arg(&self.cursor).arg("MATCH").arg(&self.pattern);
        let mut scan = scan.arg("COUNT").number(BATCH as u64);
        if let Some(name) = &self.value_type {
            scan = scan.arg("TYPE").arg(name);
        }
        let request: Request = scan.into();
        let reply = connection.send(&request, Routing::Owner, timeout)?.await?;
        let (next, keys) = read_step(reply.into())?;
        if next == START {
            self.rest.as_mut().and_then(VecDeque::pop_front);
            self.connection = None;
        }
        self.cursor = next;
        Ok(Some(keys))
    }

    /// Returns the keys as a stream. It ends after the first error.
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
    /// Creates a scan of all keys that match a glob-style pattern: `user:*`.
    pub fn scan(&self, pattern: impl AsRef<[u8]>) -> Scan {
        let pattern = pattern.as_ref().to_vec();
        Scan {
            client: self.clone(),
            pattern,
            value_type: None,
            rest: None,
            cursor: Bytes::from_static(START),
            connection: None,
        }
    }
}

/// Reads the reply of a step: the next cursor, and the keys.
fn read_step(reply: Reply) -> Result<(Bytes, Vec<Bytes>), Error> {
    let [cursor, keys]: [Reply; 2] =
        reply.array()?.try_into().map_err(|_| errors::unexpected_reply("SCAN"))?;
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
