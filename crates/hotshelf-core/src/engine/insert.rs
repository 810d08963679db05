//! Writing without a loader.

use std::sync::Arc;

use bytes::Bytes;

use super::cleanup::finish_even_if_dropped;
use super::flight::release;
use super::{Engine, EngineShared, LEASE};
use crate::backend::{Fill, Stored, Take, Taken, Token};
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::Stats;
use crate::ttl::Ttl;

/// An entry to insert.
#[derive(Clone, Debug)]
pub struct Insert {
    /// The key.
    pub key: WireKey,
    /// The entry.
    pub value: Bytes,
    /// How long it lives.
    pub ttl: Ttl,
}

impl Engine {
    /// Writes entries, in two round trips for all of them together.
    ///
    /// A load in flight can't overwrite them, since its lease is taken over first. It
    /// answers in the order of `inserts`; [`Stored::Refused`] is the answer for an entry
    /// that was invalidated, or inserted again, in the same moment.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub async fn insert(
        &self,
        inserts: Vec<Insert>,
        stats: &Arc<Stats>,
    ) -> Vec<Result<Stored, Error>> {
        let inserting = insert(Arc::clone(&self.shared), inserts, Arc::clone(stats));
        finish_even_if_dropped(&self.shared.runtime, inserting).await
    }
}

async fn insert(
    shared: Arc<EngineShared>,
    inserts: Vec<Insert>,
    stats: Arc<Stats>,
) -> Vec<Result<Stored, Error>> {
    let (takes, values): (Vec<_>, Vec<_>) = inserts
        .into_iter()
        .map(|Insert { key, value, ttl }| {
            let token = Token::random(&*shared.runtime);
            (Take { key, token, lease: LEASE }, (value, ttl))
        })
        .unzip();
    let taken = shared.backend.take(&takes).await;

    let mut fills = Vec::with_capacity(takes.len());
    // Leases that may have been granted, to nobody's use.
    let mut unused = Vec::new();
    for ((take, (value, ttl)), taken) in takes.iter().zip(values).zip(&taken) {
        let (key, token) = (take.key.clone(), take.token);
        match taken {
            Ok(Taken::Granted) => fills.push(Fill { key, token, value, ttl }),
            Err(error) if error.is_timeout() => unused.push((key, token)),
            Ok(Taken::Held) | Err(_) => {}
        }
    }
    let stored = shared.backend.store(&fills).await;
    let failed = fills.into_iter().zip(&stored).filter(|(_, stored)| stored.is_err());
    unused.extend(failed.map(|(fill, _)| (fill.key, fill.token)));
    if !unused.is_empty() {
        release(&shared, &stats, unused);
    }
    let mut stored = stored.into_iter();
    let answer = |taken: Result<Taken, Error>| match taken? {
        Taken::Granted => stored.next().unwrap_or(Ok(Stored::Refused)),
        Taken::Held => Ok(Stored::Refused),
    };
    taken.into_iter().map(answer).collect()
}
