//! One call of a cache, from the engine's point of view.

use std::any::TypeId;
use std::sync::Arc;
use std::time::Duration;

use super::read::View;
use crate::context::{CacheContext, Format};
use crate::key::WireKey;
use crate::outage::Budget;
use crate::runtime::Moment;
use crate::stats::Counter;
use crate::tag::Tags;
use crate::trailer::CodecId;
use crate::ttl::Ttl;

/// One call that loads or fills.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) cache: &'a Arc<CacheContext>,
    pub(crate) key: &'a WireKey,
    /// The tags that the value will carry.
    pub(crate) tags: &'a Arc<Tags>,
    /// An upper bound for the lifetime of the call's entry, which its tags have to outlive.
    pub(crate) keep: Ttl,
    /// The type of the loader's error.
    pub(crate) errors: TypeId,
    /// Whether the call accepts a cached negative.
    pub(crate) takes_absent: bool,
    /// Whether the value must come from a loader that begins after this call.
    pub(crate) reload: bool,
    /// How long the call waits for a leader in this process; `None` for no limit.
    pub(crate) join_timeout: Option<Duration>,
    /// How long the call waits for the load of another caller, here or elsewhere, at most.
    pub(crate) wait_limit: Option<Duration>,
    /// Whether the call is told that a load has failed elsewhere. Otherwise it loads nevertheless.
    pub(crate) backs_off: bool,
    /// When the call stops waiting for another process that gives no sign of life.
    pub(crate) waits_until: Moment,
    /// The remaining time that the call may wait for the backend, over all its requests.
    pub(crate) budget: Budget,
}

/// The properties that callers must have in common to share a flight, so that each of them can
/// use what any of them loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    cache: u64,
    /// Views of one cache may differ in both.
    format: Format,
    codec: CodecId,
}

impl<'a> Call<'a> {
    pub(crate) fn identity(&self) -> Identity {
        let CacheContext { number, validated, codec_id, .. } = &**self.cache;
        Identity { cache: *number, format: validated.format, codec: *codec_id }
    }

    pub(crate) fn view(&self) -> View<'a> {
        View::of(self.cache, self.tags)
    }

    pub(crate) fn count(&self, counter: Counter) {
        self.cache.stats.count(counter);
    }
}
