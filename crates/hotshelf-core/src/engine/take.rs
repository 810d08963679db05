//! Taking leases over, for writers that have no loader.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join;

use super::Engine;
use super::cleanup::UnusedLeases;
use super::entry::FillStamp;
use crate::backend::{BATCH, Fill, Result, Take, Taken, Token};
use crate::context::CacheContext;
use crate::key::WireKey;
use crate::tag::{TagStamp, Tags};
use crate::ttl::Ttl;

/// What all entries of a write have in common.
#[derive(Clone, Debug)]
pub(crate) struct WriteOptions {
    pub(crate) cache: Arc<CacheContext>,
    /// The tags that they carry.
    pub(crate) tags: Tags,
    /// The longest time that any of them may live.
    pub(crate) keep: Ttl,
}

/// An entry to insert.
#[derive(Clone, Debug)]
pub(crate) struct Insert {
    pub(crate) key: WireKey,
    /// The value, encoded.
    pub(crate) value: Bytes,
    /// How long it lives.
    pub(crate) ttl: Ttl,
}

/// A lease that was granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    pub(crate) token: Token,
    /// Milliseconds of the backend's clock then.
    pub(crate) at: u64,
}

/// The result of taking over the leases of keys.
#[derive(Default)]
pub(crate) struct Takeover {
    /// For each key the lease that was granted; `None` if nobody may fill the key.
    pub(crate) leases: Vec<Result<Option<Granted>>>,
    /// The versions that the tags had meanwhile.
    pub(crate) tags: Vec<TagStamp>,
}

/// Takes leases over from whoever holds them and captures the versions of the tags, in one
/// round trip for each [`BATCH`].
///
/// Leases that are of no use, those that may have been granted without an answer or without
/// the tags' versions, are released in the background; so are all of them if this is
/// dropped.
pub(crate) async fn take_over(
    engine: &Arc<Engine>,
    keys: Vec<WireKey>,
    options: &WriteOptions,
) -> Takeover {
    let take = |key| Take { key, token: Token::random(&*engine.runtime), lease: engine.lease };
    let takes: Vec<Take> = keys.into_iter().map(take).collect();
    let asked_for = takes.iter().map(|take| (take.key.clone(), take.token)).collect();
    let mut unused = UnusedLeases::asked_for(engine, &options.cache, asked_for);
    let taking = async {
        let mut taken = Vec::with_capacity(takes.len());
        for batch in takes.chunks(BATCH) {
            taken.extend(engine.gate.take(&options.cache, batch).await);
        }
        taken
    };
    let capturing = engine.capture(&options.cache, &options.tags, options.keep);
    let (taken, versions) = join(taking, capturing).await;

    let tags = versions.map(|versions| options.tags.stamps(&versions));

    let is_unused = |taken: &Result<Taken>| match taken {
        // Without the tags' versions nothing could be stored.
        Ok(Taken::Granted(_)) => tags.is_err(),
        Ok(Taken::Held) => false,
        Err(error) => error.is_timeout(),
    };
    let mut answers = taken.iter();
    unused.retain(|_| answers.next().is_none_or(is_unused));

    let lease = |(take, taken): (&Take, Result<Taken>)| match (taken?, &tags) {
        (Taken::Granted(at), Ok(_)) => Ok(Some(Granted { token: take.token, at })),
        (Taken::Granted(_), Err(error)) => Err(error.clone()),
        (Taken::Held, _) => Ok(None),
    };
    let leases = takes.iter().zip(taken).map(lease).collect();
    Takeover { leases, tags: tags.unwrap_or_default() }
}

impl WriteOptions {
    /// Makes the fill of a key whose lease was taken over.
    pub(crate) fn fill(&self, insert: Insert, lease: Granted, tags: &[TagStamp]) -> Fill {
        let Insert { key, value, ttl } = insert;
        let tags = tags.to_vec();
        let Granted { token, at } = lease;
        let stamp = FillStamp { token, loaded_at: at, ttl, load_millis: 0, tags };
        Fill { key, token, value: self.cache.validated.format.entry(Some(value), stamp), ttl }
    }
}
