//! Writing without a loader.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join;

use super::cleanup::finish_even_if_dropped;
use super::flight::release;
use super::format::FillStamp;
use super::{Engine, EngineShared, Format, LEASE};
use crate::backend::{Fill, Stored, Take, Taken, Token};
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::Stats;
use crate::tag::Tags;
use crate::ttl::Ttl;

/// What all entries of a write have in common.
#[derive(Clone, Debug)]
pub struct Writing {
    /// The tags that they carry.
    pub tags: Tags,
    /// How they are written.
    pub format: Format,
    /// The longest time that any of them may live.
    pub keep: Ttl,
    /// The cache's counters.
    pub stats: Arc<Stats>,
}

/// An entry to insert.
#[derive(Clone, Debug)]
pub struct Insert {
    /// The key.
    pub key: WireKey,
    /// The value, encoded.
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
        writing: Writing,
    ) -> Vec<Result<Stored, Error>> {
        let inserting = insert(Arc::clone(&self.shared), inserts, writing);
        finish_even_if_dropped(&self.shared.runtime, inserting).await
    }
}

async fn insert(
    shared: Arc<EngineShared>,
    inserts: Vec<Insert>,
    writing: Writing,
) -> Vec<Result<Stored, Error>> {
    let (takes, values): (Vec<_>, Vec<_>) = inserts
        .into_iter()
        .map(|Insert { key, value, ttl }| {
            let token = Token::random(&*shared.runtime);
            (Take { key, token, lease: LEASE }, (value, ttl))
        })
        .unzip();
    let capturing = shared.capture(&writing.tags, writing.keep);
    let (mut taken, versions) = join(shared.backend.take(&takes), capturing).await;
    let tags = match versions {
        Ok(versions) => writing.tags.stamps(&versions),
        Err(error) => {
            let granted = takes.iter().map(|take| (take.key.clone(), take.token)).collect();
            release(&shared, &writing.stats, granted);
            taken.iter_mut().for_each(|taken| *taken = Err(error.clone()));
            Vec::new()
        }
    };

    let mut fills = Vec::with_capacity(takes.len());
    // Leases that may have been granted, to nobody's use.
    let mut unused = Vec::new();
    for ((take, (value, ttl)), taken) in takes.iter().zip(values).zip(&taken) {
        let (key, token) = (take.key.clone(), take.token);
        match taken {
            Ok(Taken::Granted) => {
                let stamp =
                    FillStamp { token, loaded_at: 0, ttl, load_millis: 0, tags: tags.clone() };
                let value = writing.format.entry(Some(value), stamp);
                fills.push(Fill { key, token, value, ttl });
            }
            Err(error) if error.is_timeout() => unused.push((key, token)),
            Ok(Taken::Held) | Err(_) => {}
        }
    }
    let stored = shared.backend.store(&fills).await;
    let failed = fills.into_iter().zip(&stored).filter(|(_, stored)| stored.is_err());
    unused.extend(failed.map(|(fill, _)| (fill.key, fill.token)));
    if !unused.is_empty() {
        release(&shared, &writing.stats, unused);
    }
    let mut stored = stored.into_iter();
    let answer = |taken: Result<Taken, Error>| match taken? {
        Taken::Granted => stored.next().unwrap_or(Ok(Stored::Refused)),
        Taken::Held => Ok(Stored::Refused),
    };
    taken.into_iter().map(answer).collect()
}
