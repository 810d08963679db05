//! Writing without a loader.

use std::sync::Arc;

use bytes::Bytes;

use super::cleanup::{finish_even_if_dropped, release};
use super::take::{Takeover, take_over};
use super::{Engine, EngineShared};
use crate::backend::{Fill, Stored, Token};
use crate::context::CacheContext;
use crate::error::Error;
use crate::key::WireKey;
use crate::tag::Tags;
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

impl Engine {
    /// Writes entries, in two round trips for all of them together.
    ///
    /// A load in flight can't overwrite them, since its lease is taken over first. It
    /// answers in the order of `inserts`; [`Stored::Refused`] is the answer for an entry
    /// that was invalidated, or inserted again, in the same moment.
    ///
    /// # Cancel safety
    /// Once polled it is carried out, even if it is dropped.
    pub(crate) async fn insert(
        &self,
        inserts: Vec<Insert>,
        options: WriteOptions,
    ) -> Vec<Result<Stored, Error>> {
        let inserting = insert(Arc::clone(&self.shared), inserts, options);
        finish_even_if_dropped(&self.shared.runtime, inserting).await
    }
}

async fn insert(
    shared: Arc<EngineShared>,
    inserts: Vec<Insert>,
    options: WriteOptions,
) -> Vec<Result<Stored, Error>> {
    let keys = inserts.iter().map(|insert| insert.key.clone()).collect();
    let Takeover { leases, tags } = take_over(&shared, keys, &options).await;
    let fill = |(insert, lease): (Insert, &Result<Option<Token>, Error>)| {
        let token = lease.as_ref().ok().copied().flatten()?;
        Some(options.fill(insert, token, &tags))
    };
    let fills: Vec<Fill> = inserts.into_iter().zip(&leases).filter_map(fill).collect();
    let stored = shared.gate.store(&options.cache, &fills).await;

    // It may have been stored all the same; then there is no lease any more.
    let failed = fills.into_iter().zip(&stored).filter(|(_, stored)| stored.is_err());
    let unused: Vec<_> = failed.map(|(fill, _)| (fill.key, fill.token)).collect();
    if !unused.is_empty() {
        release(&shared, &options.cache, unused);
    }
    let mut stored = stored.into_iter();
    let answer = |lease: Result<Option<Token>, Error>| match lease? {
        Some(_) => stored.next().unwrap_or(Ok(Stored::Refused)),
        None => Ok(Stored::Refused),
    };
    leases.into_iter().map(answer).collect()
}
