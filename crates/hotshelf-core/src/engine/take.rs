//! Taking over leases, for writers without a loader.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join;

use super::Engine;
use super::cleanup::UnusedLeases;
use super::entry::FillStamp;
use super::held::{HeldLeases, Hold, Purpose};
use crate::backend::{BATCH, Fill, Result, Take, Taken, Token};
use crate::context::CacheContext;
use crate::key::WireKey;
use crate::tag::{TagStamp, Tags};
use crate::ttl::Ttl;

/// An entry to insert.
#[derive(Clone, Debug)]
pub(crate) struct Insert {
    pub(crate) key: WireKey,
    /// The value, encoded.
    pub(crate) value: Bytes,
    /// Its time to live.
    pub(crate) ttl: Ttl,
}

/// A request to take over the lease of a key.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) key: WireKey,
    /// The tags that its entry will carry.
    pub(crate) tags: Arc<Tags>,
}

/// A lease that was granted.
#[derive(Clone, Debug)]
pub(crate) struct Granted {
    pub(crate) token: Token,
    /// The backend's clock when it was granted, in milliseconds.
    at: u64,
    /// The versions of the entry's tags, captured in the same round trip.
    tags: Vec<TagStamp>,
    /// Keeps it on the list of the process.
    _hold: Arc<Hold>,
}

/// Takes leases over from any holders, and captures the versions of the tags, in one round
/// trip for each [`BATCH`]. Returns the lease of each key, or `None` if no caller may fill the
/// key. Each tag lives for at least `keep`.
///
/// Unused leases, which may have been granted without an answer or without the versions of the
/// tags, are released in the background. If the future is dropped, all of them are.
pub(crate) async fn take_over(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    wanted: &[Wanted],
    keep: Ttl,
) -> Vec<Result<Option<Granted>>> {
    let take = |wanted: &Wanted| {
        let token = Token::random(&*engine.runtime);
        Take { key: wanted.key.clone(), token, lease: engine.lease }
    };
    let takes: Vec<Take> = wanted.iter().map(take).collect();
    let asked_for = takes.iter().map(|take| (take.key.clone(), take.token)).collect();
    let mut unused = UnusedLeases::asked_for(engine, cache, asked_for);
    let taking = async {
        let mut taken = Vec::with_capacity(takes.len());
        for batch in takes.chunks(BATCH) {
            if !taken.is_empty() {
                engine.runtime.yield_now().await;
            }
            taken.extend(engine.gate.take(cache, batch).await);
        }
        taken
    };
    let all_tags = union(wanted);
    let (taken, versions) = join(taking, engine.capture(cache, &all_tags, keep)).await;
    let stamps = versions.map(|versions| all_tags.stamps(&versions));

    let is_unused = |taken: &Result<Taken>| match taken {
        // Without the versions of the tags, nothing can be stored.
        Ok(Taken::Granted(_)) => stamps.is_err(),
        Ok(Taken::Held) => false,
        Err(error) => error.is_timeout(),
    };
    let mut answers = taken.iter();
    let needed = unused.retain(|_| answers.next().is_none_or(is_unused));

    let lease = |((take, wanted), taken): ((&Take, &Wanted), Result<Taken>)| {
        let Taken::Granted(at) = taken? else { return Ok(None) };
        if !needed {
            return Ok(None);
        }
        let stamps = stamps.as_ref().map_err(Clone::clone)?;
        let tags = match Arc::ptr_eq(&wanted.tags, &all_tags) {
            true => stamps.clone(),
            false => {
                let carries =
                    |stamp: &&TagStamp| wanted.tags.ids().binary_search(&stamp.id).is_ok();
                stamps.iter().filter(carries).copied().collect()
            }
        };
        let hold = HeldLeases::add(engine, cache, &take.key, take.token, Purpose::Write);
        Ok(Some(Granted { token: take.token, at, tags, _hold: hold }))
    };
    takes.iter().zip(wanted).zip(taken).map(lease).collect()
}

/// Returns the tags of all keys. In most writes all keys have the same tags.
fn union(wanted: &[Wanted]) -> Arc<Tags> {
    let first = wanted.first().map(|wanted| Arc::clone(&wanted.tags)).unwrap_or_default();
    match wanted.iter().all(|wanted| Arc::ptr_eq(&wanted.tags, &first)) {
        true => first,
        false => Arc::new(first.union(wanted.iter().map(|wanted| &*wanted.tags))),
    }
}

impl Granted {
    /// Returns the fill of the leased key.
    pub(crate) fn fill(&self, cache: &CacheContext, insert: Insert) -> Fill {
        let Insert { key, value, ttl } = insert;
        let Self { token, at, .. } = *self;
        let tags = self.tags.clone();
        let lifetime = cache.lifetime(ttl);
        let (codec, loaded_at, load_millis, late_tags) = (cache.codec_id, at, 0, false);
        let stamp = FillStamp { codec, token, loaded_at, lifetime, load_millis, late_tags, tags };
        let decoded_size = cache.codec.decoded_size(&value);
        let value = cache.validated.format.entry(Some(value), stamp);
        // Until the lag of the source is over, a load might replace the value by an older one.
        let hold = Some(cache.options.hold).filter(|hold| !hold.is_zero());
        Fill { key, token, value, decoded_size, ttl: lifetime.whole, hold, kept: None }
    }
}
