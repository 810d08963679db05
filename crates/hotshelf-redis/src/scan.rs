//! Walks over the whole keyspace.

use bytes::Bytes;
use hotshelf_core::{Error, ErrorKind, Pattern};
use hotshelf_wire::resp::Command;

use crate::client::RedisClient;
use crate::names;
use crate::reply::Reply;

/// How many keys the server looks at in one step.
const STEP: u64 = 1000;

impl RedisClient {
    /// Removes all entries and leases whose key matches, and says how many entries.
    ///
    /// Leases go first, in a walk of their own: a fill in flight is either refused from
    /// there on, or its entry stands before the second walk begins, and `SCAN` returns
    /// what stands from its beginning to its end.
    pub(crate) async fn unlink_matching(&self, pattern: &Pattern) -> Result<u64, Error> {
        let all_leases = format!("{}*", names::LEASE_PREFIX);
        let of_matching_key =
            |name: &str| names::key_of_lease(name).is_some_and(|key| pattern.matches(&key));
        self.walk(&all_leases, of_matching_key).await?;
        self.walk(pattern.as_str(), |_| true).await
    }

    /// Removes those keys matching a pattern that `picks` agrees to, step by step.
    async fn walk(&self, pattern: &str, picks: impl Fn(&str) -> bool) -> Result<u64, Error> {
        let mut cursor = Bytes::from_static(b"0");
        let mut removed = 0;
        loop {
            let scan = Command::new("SCAN").arg(&cursor).arg("MATCH").arg(pattern);
            let scan = scan.arg("COUNT").number(STEP);
            let (next, mut names) = read_step(self.send(scan, self.store_timeout).await?)?;
            names.retain(|name| picks(name));
            if !names.is_empty() {
                let unlink = Command::new("UNLINK").args(names);
                let count = self.send(unlink, self.store_timeout).await?.integer()?;
                removed += u64::try_from(count).unwrap_or_default();
            }
            if &next[..] == b"0" {
                return Ok(removed);
            }
            cursor = next;
        }
    }
}

/// Reads a step's answer: where to go on, and the keys. Keys that are no UTF-8 are none
/// of ours.
fn read_step(reply: Reply) -> Result<(Bytes, Vec<String>), Error> {
    let [cursor, keys]: [Reply; 2] = reply.array()?.try_into().map_err(|_| {
        Error::new(ErrorKind::Server, "the server's answer to SCAN is not understood")
    })?;
    let cursor = cursor.bytes()?.unwrap_or_default();
    let keys = keys.array()?.into_iter().filter_map(|key| key.bytes().ok().flatten());
    let texts = keys.filter_map(|key| String::from_utf8(key.into()).ok());
    Ok((cursor, texts.collect()))
}
