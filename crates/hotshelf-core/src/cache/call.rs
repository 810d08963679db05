//! The options of one call.

use std::sync::Arc;
use std::time::Duration;

use super::entry_key::EntryKey;
use super::inherited::InheritedTags;
use super::trace::Trace;
use crate::context::{CacheContext, Format, Negative, NegativeTtl};
use crate::engine::MissReason;
use crate::error::{Error, ErrorKind};
use crate::near::ConsistencyToken;
use crate::tag::{TagId, Tags};
use crate::ttl::Ttl;

/// The options of one call, which override those of its cache.
///
/// An invalid option is kept as its error, and reported only when it matters: a load with an
/// invalid lifetime still returns hits.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// Boxed, since most calls name none of them and are held while they load.
    rare: Option<Box<RareOptions>>,
    pub(crate) mode: Mode,
    pub(crate) takes_absent: bool,
    pub(crate) nested: bool,
    pub(crate) refresh: RefreshMode,
    pub(crate) must_load: bool,
    /// Whether the call has a span.
    pub(super) in_span: bool,
}

/// Where a value that isn't fresh is loaded anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshMode {
    /// In one of the calls that find it, which waits for its loader: that may borrow from its
    /// caller.
    #[default]
    Inline,
    /// In the background: [`Loaded::Refresh`](super::Loaded::Refresh) tells the caller to begin it.
    Background,
}

/// The options of the entry that the call stores, and a token that it presents.
#[derive(Clone, Debug, Default)]
struct RareOptions {
    after: Option<ConsistencyToken>,
    trace: Option<Trace>,
    tags_into: Option<InheritedTags>,
    ttl: Option<Result<Ttl, Error>>,
    negative_ttl: Option<Result<Negative, Error>>,
    tags: Option<Result<Vec<TagId>, Error>>,
}

/// How a call uses the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Reads and stores.
    #[default]
    Use,
    /// Stores, and only accepts values from a loader that begins after the call.
    Reload,
    /// Neither reads nor stores.
    Bypass,
    /// Replaces an entry that the caller read and could not decode.
    Undecodable,
    /// Neither reads nor stores, since the caller is computing the key: it would wait for itself.
    /// Counted as `degraded`.
    OwnKey,
}

impl Mode {
    /// Returns the mode of the next attempt after the caller could not decode an entry: first
    /// the entry is replaced; if that cannot be decoded either, the cache is bypassed.
    #[must_use]
    pub fn after_undecodable(self) -> Self {
        match self {
            Self::Use => Self::Undecodable,
            Self::Reload | Self::Bypass | Self::Undecodable => Self::Bypass,
            Self::OwnKey => Self::OwnKey,
        }
    }
}

impl CallOptions {
    /// Returns the default, as a constant.
    pub(super) const fn none() -> Self {
        Self {
            rare: None,
            mode: Mode::Use,
            takes_absent: false,
            nested: false,
            refresh: RefreshMode::Inline,
            must_load: false,
            in_span: false,
        }
    }

    /// Sets the entry's time to live. Default: the cache's `time_to_live`.
    #[must_use]
    pub fn time_to_live(mut self, duration: Result<Duration, Error>) -> Self {
        self.rare_mut().ttl = Some(duration.and_then(Ttl::new));
        self
    }

    /// Sets the time to live of a negative. Default: the cache's `negative_ttl`.
    #[must_use]
    pub fn negative_ttl(mut self, negative: Result<NegativeTtl, Error>) -> Self {
        self.rare_mut().negative_ttl = Some(negative.and_then(NegativeTtl::validate));
        self
    }

    /// Sets the tags of the entry, in addition to those of the cache.
    #[must_use]
    pub fn tags<N: AsRef<str>>(
        mut self,
        names: Result<impl IntoIterator<Item = N>, Error>,
    ) -> Self {
        let ids = |names: Vec<N>| names.iter().map(|name| TagId::of(name.as_ref())).collect();
        let ids = names.and_then(|names| ids(names.into_iter().collect()));
        self.rare_mut().tags = Some(ids);
        self
    }

    /// Sets how the call uses the cache. Default: [`Mode::Use`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets whether the call accepts a cached negative. Default: it doesn't.
    #[must_use]
    pub fn takes_absent(mut self, takes_absent: bool) -> Self {
        self.takes_absent = takes_absent;
        self
    }

    /// Sets whether the call is made inside a loader or a write that another caller may be
    /// waiting for. A nested call waits for other calls of this process for at most its
    /// `wait_timeout` and `backend_budget`, since two loaders that ask for each other's keys
    /// would deadlock. Default: it isn't.
    #[must_use]
    pub fn nested(mut self, nested: bool) -> Self {
        self.nested = nested;
        self
    }

    /// Sets where a value that isn't fresh is loaded anew. Default: [`RefreshMode::Inline`].
    #[must_use]
    pub fn refresh(mut self, mode: RefreshMode) -> Self {
        self.refresh = mode;
        self
    }

    /// Sets that the call ends with a value only: its loader can't fail, so that neither
    /// `hard_timeout` nor `error_backoff` apply. Default: it may end otherwise.
    #[must_use]
    pub fn must_load(mut self, must_load: bool) -> Self {
        self.must_load = must_load;
        self
    }

    /// Sets the token of a change that the value must reflect. Default: none.
    #[must_use]
    pub fn after(mut self, token: Option<ConsistencyToken>) -> Self {
        if token.is_some() {
            self.rare_mut().after = token;
        }
        self
    }

    /// Collects where the call's value comes from. Default: not collected.
    #[must_use]
    pub fn traced(mut self, trace: Trace) -> Self {
        self.rare_mut().trace = Some(trace);
        self
    }

    /// Passes the tags of the call's value to the load that it is a part of. Default: not passed.
    #[must_use]
    pub fn pass_tags_into(mut self, outer: InheritedTags) -> Self {
        self.rare_mut().tags_into = Some(outer);
        self
    }

    /// Returns the load that is given the tags of the call's value.
    #[inline]
    pub(crate) fn tags_into(&self) -> Option<&InheritedTags> {
        self.rare.as_ref()?.tags_into.as_ref()
    }

    /// Removes and returns the load that is given the tags.
    pub(super) fn take_tags_into(&mut self) -> Option<InheritedTags> {
        self.rare.as_mut()?.tags_into.take()
    }

    /// Stops collecting, and returns what has collected.
    pub(crate) fn take_trace(&mut self) -> Option<Trace> {
        self.rare.as_mut()?.trace.take()
    }

    /// Returns what collects the outcome, if anything does.
    #[inline]
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.rare.as_ref()?.trace.as_ref()
    }

    /// Notes why the call takes its value from no entry, if it is traced.
    pub(crate) fn note_reason(&self, reason: MissReason) {
        if let Some(trace) = self.trace() {
            trace.note(|traced| traced.reason = Some(reason));
        }
    }

    /// Returns the token that the call presents.
    pub(crate) fn token(&self) -> Option<ConsistencyToken> {
        self.rare.as_ref()?.after
    }

    fn rare_mut(&mut self) -> &mut RareOptions {
        self.rare.get_or_insert_default()
    }

    /// Returns the tags of the call's entry: those of the cache, of its key and of the call.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Key`] if a tag is invalid or there are too many,
    /// or [`ErrorKind::Configuration`] for tags in a cache of plain entries.
    pub(crate) fn tags_in(
        &self,
        cache: &CacheContext,
        key: Option<&EntryKey>,
    ) -> Result<Arc<Tags>, Error> {
        let own = key.map_or(Ok(&cache.tags), |key| key.tags_in(cache))?;
        let named = match self.rare.as_ref().and_then(|rare| rare.tags.as_ref()) {
            Some(named) => &named.as_ref().map_err(Clone::clone)?[..],
            None => &[],
        };
        if named.is_empty() {
            return Ok(Arc::clone(own));
        }
        if cache.validated.format == Format::Plain {
            return Err(plain_entries_have_no_tags());
        }
        cache.tag_sets.of_call(own, named)
    }

    /// Returns the time to live of the call's entry, before jitter.
    pub(crate) fn ttl_in(&self, cache: &CacheContext) -> Result<Ttl, Error> {
        let own = self.rare.as_ref().and_then(|rare| rare.ttl.clone());
        own.unwrap_or(Ok(cache.validated.ttl))
    }

    /// Returns the time to live of a negative, before jitter; `None` if negatives are not
    /// stored.
    pub(crate) fn negative_ttl_in(&self, cache: &CacheContext) -> Result<Option<Ttl>, Error> {
        let own = self.rare.as_ref().and_then(|rare| rare.negative_ttl.clone());
        match own.unwrap_or(Ok(cache.validated.negative_ttl))? {
            Negative::Off => Ok(None),
            Negative::SameAsValues => self.ttl_in(cache).map(Some),
            Negative::For(ttl) => Ok(Some(ttl)),
        }
    }

    /// Returns an upper bound for the lifetime of the call's entry: jitter at most doubles the time
    /// for which it is fresh.
    pub(crate) fn keep_in(&self, cache: &CacheContext) -> Ttl {
        let ttl = self.ttl_in(cache).unwrap_or(cache.validated.ttl);
        let negative = self.negative_ttl_in(cache).ok().flatten().unwrap_or(ttl);
        keep(ttl.max(negative), cache)
    }
}

/// Returns an upper bound for the lifetime of an entry that is fresh for some time, before jitter.
pub(super) fn keep(fresh: Ttl, cache: &CacheContext) -> Ttl {
    let window = cache.validated.stale_window;
    Ttl::new((fresh.as_duration() * 2).saturating_add(window)).unwrap_or(Ttl::MAX)
}

pub(super) fn plain_entries_have_no_tags() -> Error {
    let message = "plain entries cannot carry tags: remove `strict_plain`, or the tags";
    Error::new(ErrorKind::Configuration, message)
}
