//! Tags that a load takes over from the loads within it.
//!
//! A value that is made of cached ones is valid only as long as they are. The tags are recorded
//! with the versions under which the parts were valid: a tag that was invalidated since then makes
//! the whole a miss, however old the part was.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::ByteCache;
use super::call::CallOptions;
use super::entry_key::EntryKey;
use super::load::Loaded;
use super::trace::Trace;
use crate::engine::{ReadOutcome, Use, Value};
use crate::error::{Error, ErrorKind};
use crate::near::ConsistencyToken;
use crate::runtime::BoxFuture;
use crate::sync::Mutex;
use crate::tag::{TagId, TagStamp, TagVersion};

/// Collects the tags of the values that a load is made of. A cheap handle.
#[derive(Clone, Debug)]
pub struct InheritedTags {
    /// The store and the prefix of the load, to which its tags belong.
    owner: (usize, Arc<str>),
    /// The token that the load presents, and so each call within it.
    after: Option<ConsistencyToken>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    versions: BTreeMap<TagId, TagVersion>,
    /// Why the whole can't be stored.
    obstacle: Option<Obstacle>,
}

#[derive(Clone, Debug)]
enum Obstacle {
    /// The tags of a part are not known, or one of them changed between two parts.
    Unknown,
    Mistake(Error),
}

impl InheritedTags {
    pub(super) fn new(cache: &ByteCache, after: Option<ConsistencyToken>) -> Self {
        Self { owner: cache.owner_of_tags(), after, state: Arc::default() }
    }

    /// Notes a part whose tags are not known.
    pub(super) fn cannot_know(&self) {
        self.state.lock().obstacle.get_or_insert(Obstacle::Unknown);
    }

    /// Adds the tags of a part, and the versions under which it was valid.
    fn add(&self, cache: &ByteCache, stamps: &[TagStamp]) {
        let mut state = self.state.lock();
        if !stamps.is_empty() && cache.owner_of_tags() != self.owner {
            let message = "tags can't be inherited from a cache of another store or prefix: \
                           use the same `prefix` for both caches, or don't pass the tags";
            let error = Error::new(ErrorKind::Configuration, message);
            state.obstacle = Some(Obstacle::Mistake(error));
            return;
        }
        for TagStamp { id, version } in stamps {
            let known = *state.versions.entry(*id).or_insert(*version);
            if known != *version {
                state.obstacle.get_or_insert(Obstacle::Unknown);
            }
        }
    }

    /// Returns the tags; `None` if the whole can't be stored.
    ///
    /// # Errors
    /// Returns an error if that is a mistake.
    pub(super) fn stamps(&self) -> Result<Option<Vec<TagStamp>>, Error> {
        let state = self.state.lock();
        match &state.obstacle {
            Some(Obstacle::Mistake(error)) => Err(error.clone()),
            Some(Obstacle::Unknown) => Ok(None),
            None => {
                let stamp =
                    |(id, version): (&TagId, &TagVersion)| TagStamp { id: *id, version: *version };
                Ok(Some(state.versions.iter().map(stamp).collect()))
            }
        }
    }
}

impl CallOptions {
    /// Notes the tags of the value that the call is given, if they are passed on; `None` if they
    /// are not known.
    pub(super) fn pass_tags(&self, cache: &ByteCache, stamps: Option<&[TagStamp]>) {
        match (self.tags_into(), stamps) {
            (Some(outer), Some(stamps)) => outer.add(cache, stamps),
            (Some(outer), None) => outer.cannot_know(),
            (None, _) => {}
        }
    }
}

impl ByteCache {
    /// Returns the store and the prefix to which the cache's tags belong.
    fn owner_of_tags(&self) -> (usize, Arc<str>) {
        (Arc::as_ptr(&self.engine) as usize, Arc::clone(self.context.tags.prefix()))
    }

    /// Loads a part of another value, and passes its tags on.
    ///
    /// Costs one more round trip for a value that another call has loaded: its tags are those of the
    /// entry, so the value is taken from there, too.
    pub(super) fn load_part(
        &self,
        outer: InheritedTags,
        key: Result<EntryKey, Error>,
        options: CallOptions,
        errors: TypeId,
    ) -> BoxFuture<'_, Loaded> {
        let (options, trace) = traced(options, &outer);
        Box::pin(async move {
            let within = options.clone().pass_tags_into(outer.clone());
            match self.load(key.clone(), options, errors).await {
                Loaded::Value(value) => Loaded::Value(self.part(key, value, &within, &trace).await),
                Loaded::Refresh(value, refresh) => {
                    Loaded::Refresh(self.part(key, value, &within, &trace).await, refresh)
                }
                // It passes them on when its load ends.
                Loaded::Lead(ticket) => Loaded::Lead(Box::new(ticket.within(outer))),
                loaded => loaded,
            }
        })
    }

    /// Returns a part, and passes its tags on.
    async fn part(
        &self,
        key: Result<EntryKey, Error>,
        value: Value,
        options: &CallOptions,
        trace: &Trace,
    ) -> Value {
        let outcome = trace.outcome();
        if outcome.is_instead || outcome.tags.is_some() {
            // What is served instead of an error is to make no value that is fresh for longer.
            options.pass_tags(self, outcome.tags.as_deref().filter(|_| !outcome.is_instead));
            return value;
        }
        let found = self.stored_part(key, options).await;
        options.pass_tags(self, found.as_ref().map(|(_, tags)| &**tags));
        found.map_or(value, |(value, _)| value)
    }

    /// Reads an entry that another call has stored, with its tags.
    async fn stored_part(
        &self,
        key: Result<EntryKey, Error>,
        options: &CallOptions,
    ) -> Option<(Value, Vec<TagStamp>)> {
        let key = key.ok()?;
        let tags = options.tags_in(&self.context, Some(&key)).ok()?;
        let inspected = self.engine.inspect(&self.context, &key.wire, &tags).await.ok()?;
        let stamps = inspected.found.as_ref().ok()?.stamps();
        match self.engine.outcome(inspected, &self.context, &key.wire, options.takes_absent) {
            ReadOutcome::Hit(value) => Some((value, stamps)),
            ReadOutcome::Stale(stale) if stale.usable != Use::OnError => {
                Some((stale.value, stamps))
            }
            ReadOutcome::Stale(_) | ReadOutcome::Miss(_) => None,
        }
    }

    /// Reads a part of another value, and passes its tags on.
    pub(super) fn read_part<'a>(
        &'a self,
        outer: &'a InheritedTags,
        key: Result<EntryKey, Error>,
        options: &CallOptions,
    ) -> BoxFuture<'a, Result<ReadOutcome, Error>> {
        let mut options = options.clone();
        options.take_tags_into();
        let (options, trace) = traced(options, outer);
        Box::pin(async move {
            let outcome = self.read_as(key, &options).await?;
            if matches!(outcome, ReadOutcome::Hit(_)) {
                options
                    .pass_tags_into(outer.clone())
                    .pass_tags(self, trace.outcome().tags.as_deref());
            }
            Ok(outcome)
        })
    }
}

/// Returns the options of a call that collects where its value comes from, and presents the token of
/// the load that it is a part of.
fn traced(options: CallOptions, outer: &InheritedTags) -> (CallOptions, Trace) {
    let trace = options.trace().cloned().unwrap_or_default();
    let token = options.token().or(outer.after);
    (options.after(token).traced(trace.clone()), trace)
}
