//! The versions of tags.

use std::time::Duration;

use hotshelf_core::backend::{Result, TagVersion};
use hotshelf_core::tag::{self, random_versions};
use hotshelf_core::{Ttl, WireKey};

use super::{RedisBackend, scripts};
use crate::client::Reply;
use crate::errors::unexpected_reply;

impl RedisBackend {
    /// Captures tags, and how long each of the versions has been its tag's. The ages are zero
    /// unless they are asked for.
    pub(super) async fn capture_now(
        &self,
        tags: &[WireKey],
        keep: Ttl,
        ages: bool,
    ) -> Result<Vec<(TagVersion, Duration)>> {
        let mut new = random_versions(&*self.runtime);
        let mut call = |tags: &[WireKey]| {
            let names: Vec<&[u8]> = tags.iter().map(WireKey::as_bytes).collect();
            let call = scripts::CAPTURE.call(&names).millis(keep.as_duration());
            let call = call.arg(if ages { "NOW" } else { "" });
            tags.iter().zip(&mut new).fold(call, |call, (_, version)| call.arg(version))
        };
        // In a Cluster they are in different slots.
        let replies = match self.client.is_cluster() {
            true => {
                let calls = tags.chunks(1).map(&mut call).collect();
                self.run(calls, self.client.read_timeout).await
            }
            false => vec![self.run_call(call(tags), self.client.read_timeout).await],
        };
        let mut versions = Vec::with_capacity(tags.len());
        for reply in replies {
            let mut captured = reply.array()?;
            let now = match ages {
                true => Some(captured.pop().ok_or_else(|| unexpected_reply("CAPTURE"))?.integer()?),
                false => None,
            };
            for raw in captured {
                versions.push(read(raw, now)?);
            }
        }
        if versions.len() == tags.len() { Ok(versions) } else { Err(unexpected_reply("CAPTURE")) }
    }
}

/// Reads a version, and how old it is if the server's time is known.
fn read(raw: Reply, now: Option<i64>) -> Result<(TagVersion, Duration)> {
    let raw = raw.bytes()?.unwrap_or_default();
    let (version, since) = tag::read(&raw).ok_or_else(|| unexpected_reply("CAPTURE"))?;
    let now = now.and_then(|now| u64::try_from(now).ok()).unwrap_or_default();
    Ok((version, Duration::from_millis(now.saturating_sub(since))))
}
