//! Tags that are known only when a value is loaded: those that its loader has named, and those of the
//! values that it is made of.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::entry::version;
use super::flight::{Flight, Leadership};
use super::ticket::Ticket;
use crate::backend::TagVersion;
use crate::error::Error;
use crate::key::WireKey;
use crate::stats::Counter;
use crate::tag::{TagStamp, Tags};
use crate::ttl::Ttl;

/// By how much the backend's clock may gain on that of the process during a load.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

/// Tags that were known only from the loaded data.
#[derive(Debug, Default)]
pub(crate) struct LateTags {
    pub(super) stamps: Vec<TagStamp>,
    pub(super) keys: Vec<WireKey>,
}

impl LateTags {
    /// Returns the keys of the tags, with the versions that were captured.
    pub(super) fn into_captured(self) -> impl Iterator<Item = (WireKey, TagVersion)> {
        self.keys.into_iter().zip(self.stamps).map(|(key, stamp)| (key, stamp.version))
    }
}

impl Ticket {
    /// Captures the versions of tags that were known only from the loaded data. Returns `None` if
    /// one of them may have been invalidated since the loader began: then the value may be older
    /// than that, and can't be stored.
    ///
    /// Costs one round trip, within the call's budget.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub(crate) async fn capture_late(&mut self, tags: &Tags, keep: Ttl) -> Option<LateTags> {
        let Self { leadership, began, .. } = self;
        let (engine, flight) = (Arc::clone(&leadership.engine), Arc::clone(&leadership.flight));
        // What the call has named was captured before.
        let late = tags.without(&flight.tags);
        let capturing = pin!(engine.gate.capture_with_age(&flight.cache, late.keys(), keep));
        let captured = leadership.budget.spend(&*engine.runtime, capturing).await;
        let Some(Ok(captured)) = captured else {
            flight.cache.stats.count(Counter::Error);
            return None;
        };
        let since = engine.runtime.now().since(*began).saturating_add(CLOCKS_DIFFER);
        if captured.iter().any(|(_, age)| *age < since) {
            return None;
        }
        let versions: Vec<TagVersion> = captured.into_iter().map(|(version, _)| version).collect();
        Some(LateTags { stamps: late.stamps(&versions), keys: late.keys().to_vec() })
    }

    /// Adds the tags of the values that the loaded one is made of, with the versions under which
    /// these were valid. Returns `None` if one of them has changed since.
    ///
    /// Costs one round trip, within the call's budget, if there are tags that the value doesn't have
    /// anyway: they have to outlive it.
    ///
    /// # Errors
    /// Returns an error if there are too many.
    ///
    /// # Cancel safety
    /// May be dropped at any point.
    pub(crate) async fn inherit(
        &mut self,
        late: LateTags,
        inherited: &[TagStamp],
        keep: Ttl,
    ) -> Result<Option<LateTags>, Error> {
        let own = self.stamps(&late).unwrap_or_default();
        let known = |tag: &TagStamp| own.iter().find(|own| own.id == tag.id);
        let changed = |tag: &&TagStamp| known(tag).is_some_and(|own| own.version != tag.version);
        let changed = inherited.iter().filter(changed).map(|tag| tag.id);
        let changed = self.tags().of_ids(changed);
        if !changed.ids().is_empty() {
            // The near tier may have given the outdated part, and would do so again.
            self.leadership.engine.gate.forget_tags(changed.keys());
            return Ok(None);
        }
        let others: Vec<TagStamp> =
            inherited.iter().filter(|tag| known(tag).is_none()).copied().collect();
        if others.is_empty() {
            return Ok(Some(late));
        }
        let Self { leadership, .. } = self;
        let (engine, flight) = (Arc::clone(&leadership.engine), Arc::clone(&leadership.flight));
        // Not too many, together with the others.
        flight.tags.with(late.stamps.iter().chain(&others).map(|tag| tag.id))?;
        let added = flight.tags.of_ids(others.iter().map(|tag| tag.id));
        let capturing = pin!(engine.capture(&flight.cache, &added, keep));
        let captured = leadership.budget.spend(&*engine.runtime, capturing).await;
        let Some(Ok(versions)) = captured else {
            flight.cache.stats.count(Counter::Error);
            return Ok(None);
        };
        if added.stamps(&versions) != others {
            engine.gate.forget_tags(added.keys());
            return Ok(None);
        }
        let LateTags { mut stamps, mut keys } = late;
        stamps.extend(others);
        keys.extend_from_slice(added.keys());
        Ok(Some(LateTags { stamps, keys }))
    }

    /// Returns the tags that the value is stored with, and their versions; `None` without a lease.
    pub(crate) fn stamps(&self, late: &LateTags) -> Option<Vec<TagStamp>> {
        let Leadership { flight, lease, .. } = &self.leadership;
        let own = flight.tags.stamps(&lease.as_ref()?.tags);
        Some(own.into_iter().chain(late.stamps.iter().copied()).collect())
    }
}

/// Returns `true` if tags still have the versions that were captured before the load.
pub(super) async fn tags_unchanged(
    engine: &Engine,
    flight: &Flight,
    captured: &[TagVersion],
    late: &LateTags,
) -> bool {
    let mut tags = Cow::Borrowed(flight.tags.keys());
    if !late.keys.is_empty() {
        tags.to_mut().extend(late.keys.iter().cloned());
    }
    if tags.is_empty() {
        return true;
    }
    let captured = captured.iter().copied().chain(late.stamps.iter().map(|stamp| stamp.version));
    let now = engine.gate.read(&flight.cache, &tags).await.unwrap_or_default();
    now.iter().map(|raw| version(raw.as_ref())).eq(captured.map(Some))
}
