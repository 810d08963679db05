//! Making values stale.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{ByteCache, EntryKey, Mistake};
use crate::backend::Retrail;
use crate::engine::Found;
use crate::error::{Error, ErrorKind};
use crate::trailer::Trailer;

/// By how much the clocks of two processes may differ in their estimates of the server's: a value
/// that is made stale was fresh for so much less than until now.
const CLOCKS_DIFFER: Duration = Duration::from_millis(250);

impl ByteCache {
    /// Makes the value of a key stale, as if the time for which it is fresh had ended: calls load it
    /// anew, and may be given it meanwhile or if that fails, as the cache's options allow. Returns
    /// `true` if there was a value of this cache.
    ///
    /// It is no invalidation: a load in flight goes on, and may store what it has read before.
    /// Costs two round trips.
    ///
    /// # Errors
    /// Returns the key's error, an error of kind [`ErrorKind::Configuration`] in a cache of plain
    /// entries or with plain readers, or an error if the backend fails.
    ///
    /// # Cancel safety
    /// May be dropped at any point. It is then unknown whether the value is stale.
    pub async fn expire(&self, key: Result<EntryKey, Error>) -> Result<bool, Error> {
        let (cache, gate) = (&self.context, &self.engine.gate);
        if cache.options.strict_plain || cache.options.plain_readers {
            let message = "plain clients can't tell a stale entry from a fresh one: invalidate it, \
                           or remove `strict_plain` and `plain_readers`";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let key = key?;
        let tags = Arc::clone(self.checked(Mistake::Tags, key.tags_in(cache))?);
        let key = key.wire;
        let inspected = self.counted(self.engine.inspect(cache, &key, &tags).await)?;
        let Ok(Found { raw, .. }) = inspected.found else { return Ok(false) };
        let Ok((value, trailer)) = Trailer::find(&raw) else { return Ok(false) };
        let now = gate.clock(&key).unwrap_or(trailer.loaded_at);
        let trailers = Retrail { seen: raw.slice(value.end..), trailer: stale(trailer, now) };
        if trailers.seen == trailers.trailer {
            return Ok(true);
        }
        // If another entry was stored meanwhile, it was loaded after the call began.
        self.counted(gate.retrail(cache, &key, trailers).await).map(|_| true)
    }
}

/// Returns the trailer of an entry whose value is stale from now on.
fn stale(trailer: Trailer, now: u64) -> Bytes {
    let margin = u64::try_from(CLOCKS_DIFFER.as_millis()).unwrap_or_default();
    // Not so much that a short window is over.
    let window = trailer.lives_for.map(|whole| whole.saturating_sub(trailer.fresh_for));
    let margin = window.map_or(margin, |window| margin.min(window / 8));
    let age = now.saturating_sub(trailer.loaded_at).saturating_sub(margin);
    let whole = trailer.lives_for.unwrap_or(trailer.fresh_for);
    let fresh_for = trailer.fresh_for.min(age);
    let mut written = Vec::new();
    Trailer { fresh_for, lives_for: Some(whole), ..trailer }.append_to(&mut written);
    Bytes::from(written)
}
