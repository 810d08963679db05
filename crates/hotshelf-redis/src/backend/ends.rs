//! Reading the ends of entries.

use hotshelf_core::backend::{EntryEnd, Result};
use hotshelf_core::trailer::LONGEST_TRAILER;
use hotshelf_core::{ErrorKind, WireKey};
use hotshelf_wire::resp::Command;

use super::RedisBackend;
use crate::client::Reply;
use crate::connection::Request;

impl RedisBackend {
    /// Reads the size and the end of entries, in one round trip. What is no string has no size.
    pub(super) async fn read_ends_now(&self, keys: &[WireKey]) -> Result<Vec<Option<EntryEnd>>> {
        let start = format!("-{LONGEST_TRAILER}");
        let requests: Vec<Request> = keys
            .iter()
            .flat_map(|key| {
                let size = Command::new("STRLEN").arg(key.as_bytes());
                let end = Command::new("GETRANGE").arg(key.as_bytes()).arg(&start).arg("-1");
                [Request::from(size), Request::from(end)]
            })
            .collect();
        let mut replies =
            self.client.send_all(&requests, self.client.store_timeout).await.into_iter();
        let mut ends = Vec::with_capacity(keys.len());
        while let (Some(size), Some(end)) = (replies.next(), replies.next()) {
            ends.push(end_of(size, end)?);
        }
        Ok(ends)
    }
}

fn end_of(size: Reply, end: Reply) -> Result<Option<EntryEnd>> {
    if let Reply::Error(error) = &size
        && error.kind() == ErrorKind::WrongType
    {
        return Ok(Some(EntryEnd::default()));
    }
    let size = usize::try_from(size.count()?).unwrap_or(usize::MAX);
    let end = end.bytes()?.unwrap_or_default();
    Ok((size > 0).then_some(EntryEnd { size, end }))
}
