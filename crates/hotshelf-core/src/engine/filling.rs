//! What a ticket stores.

use std::time::Duration;

use bytes::Bytes;

use super::entry::FillStamp;
use super::flight::{Flight, Lease};
use super::late_tags::LateTags;
use crate::backend::{Fill, Retrail, Seen};
use crate::ttl::Lifetime;

/// What a ticket stores.
#[derive(Debug)]
pub(crate) struct Filling {
    /// The encoded value; `None` for a negative.
    pub(crate) entry: Option<Bytes>,
    pub(crate) lifetime: Lifetime,
    pub(crate) late: LateTags,
    /// The fingerprint of the stored entry, if that has the same value.
    pub(crate) kept: Option<Seen>,
}

impl Filling {
    /// Returns the request to store it, and its late tags.
    pub(super) fn into_fill(
        self,
        flight: &Flight,
        lease: &Lease,
        load_time: Duration,
    ) -> (Fill, LateTags) {
        let Self { entry, lifetime, late, kept } = self;
        let length = entry.as_ref().map_or(0, Bytes::len);
        let Flight { key, cache, .. } = flight;
        let mut tags = flight.tags.stamps(&lease.tags);
        tags.extend(late.stamps.iter().copied());
        tags.sort_unstable_by_key(|stamp| stamp.id);
        let stamp = FillStamp {
            codec: cache.codec_id,
            token: lease.token,
            loaded_at: lease.granted_at,
            lifetime,
            load_millis: load_time.as_millis(),
            late_tags: !late.stamps.is_empty(),
            tags,
        };
        let decoded_size = entry.as_ref().map_or(0, |raw| cache.codec.decoded_size(raw));
        let value = cache.validated.format.entry(entry, stamp);
        let (token, ttl) = (lease.token, lifetime.whole);
        let kept = match kept {
            Some(Seen::Suffix(seen)) => Some(Retrail { seen, trailer: value.slice(length..) }),
            Some(Seen::Nothing) | None => None,
        };
        (Fill { key: key.clone(), token, value, decoded_size, ttl, hold: None, kept }, late)
    }
}
