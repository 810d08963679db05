//! The options of one call.

use std::sync::Arc;
use std::time::Duration;

use super::entry_key::EntryKey;
use crate::context::{CacheContext, Format, Negative, NegativeTtl};
use crate::error::{Error, ErrorKind};
use crate::tag::{TagId, Tags};
use crate::ttl::Ttl;

/// How one call differs from the options of its cache.
///
/// An invalid option is kept as the error that it is, and reported when it matters: a load
/// with an invalid lifetime still answers hits.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    ttl: Option<Result<Ttl, Error>>,
    negative_ttl: Option<Result<Negative, Error>>,
    tags: Option<Result<Vec<TagId>, Error>>,
    pub(crate) mode: Mode,
    pub(crate) takes_absent: bool,
    pub(crate) nested: bool,
}

/// How a call uses what is cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// It reads, and stores.
    #[default]
    Use,
    /// It stores, and takes only what a loader reads that begins after the call.
    Reload,
    /// It neither reads nor stores.
    Bypass,
    /// It loads over an entry that it has read and could not decode.
    Undecodable,
}

impl Mode {
    /// Returns how a call goes on whose caller could not decode what it was given. Once more
    /// it loads over the entry; what even then can't be decoded isn't read again.
    #[must_use]
    pub fn after_undecodable(self) -> Self {
        match self {
            Self::Use => Self::Undecodable,
            Self::Reload | Self::Bypass | Self::Undecodable => Self::Bypass,
        }
    }
}

impl CallOptions {
    /// Sets how long the entry lives. Default: the cache's `time_to_live`.
    #[must_use]
    pub fn time_to_live(mut self, duration: Result<Duration, Error>) -> Self {
        self.ttl = Some(duration.and_then(Ttl::new));
        self
    }

    /// Sets how long it is kept that there is no value. Default: the cache's
    /// `negative_ttl`.
    #[must_use]
    pub fn negative_ttl(mut self, negative: Result<NegativeTtl, Error>) -> Self {
        self.negative_ttl = Some(negative.and_then(NegativeTtl::validate));
        self
    }

    /// Sets the names of the tags that the entry carries beside the cache's own.
    #[must_use]
    pub fn tags<N: AsRef<str>>(
        mut self,
        names: Result<impl IntoIterator<Item = N>, Error>,
    ) -> Self {
        let ids = |names: Vec<N>| names.iter().map(|name| TagId::of(name.as_ref())).collect();
        self.tags = Some(names.and_then(|names| ids(names.into_iter().collect())));
        self
    }

    /// Sets how the call uses what is cached. Default: [`Mode::Use`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets whether the knowledge that there is no value answers the call. Default: it
    /// doesn't.
    #[must_use]
    pub fn takes_absent(mut self, takes_absent: bool) -> Self {
        self.takes_absent = takes_absent;
        self
    }

    /// Sets whether the call is made from within a loader or a write, which another caller
    /// may be waiting for. Such a call waits for another one of this process for its
    /// `wait_timeout` and `backend_budget` at most: two loaders that ask for each other's
    /// keys would wait for ever. Default: it isn't.
    #[must_use]
    pub fn nested(mut self, nested: bool) -> Self {
        self.nested = nested;
        self
    }

    /// Returns the tags of the call's entry: the cache's own, those of its key, and those
    /// that the call names.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Key`] for an invalid or too many tags; of kind
    /// [`ErrorKind::Configuration`] for tags in a cache of plain entries.
    pub(crate) fn tags_in(
        &self,
        cache: &CacheContext,
        key: Option<&EntryKey>,
    ) -> Result<Arc<Tags>, Error> {
        let own = match key.and_then(|key| key.tags.as_ref()) {
            Some(own) => &(**own).as_ref().map_err(Clone::clone)?[..],
            None => &[],
        };
        let named = match &self.tags {
            Some(named) => &named.as_ref().map_err(Clone::clone)?[..],
            None => &[],
        };
        if own.is_empty() && named.is_empty() {
            return Ok(Arc::clone(&cache.tags));
        }
        if cache.validated.format == Format::Plain {
            let message = "plain entries carry no tags: leave `strict_plain` out";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        cache.tags.with(own.iter().chain(named).copied()).map(Arc::new)
    }

    /// Returns how long the call's entry lives, before jitter.
    pub(crate) fn ttl_in(&self, cache: &CacheContext) -> Result<Ttl, Error> {
        self.ttl.clone().unwrap_or(Ok(cache.validated.ttl))
    }

    /// Returns how long the call's entry lives if there is no value, before jitter; `None`
    /// if that is not stored.
    pub(crate) fn negative_ttl_in(&self, cache: &CacheContext) -> Result<Option<Ttl>, Error> {
        match self.negative_ttl.clone().unwrap_or(Ok(cache.validated.negative_ttl))? {
            Negative::Off => Ok(None),
            Negative::SameAsValues => self.ttl_in(cache).map(Some),
            Negative::For(ttl) => Ok(Some(ttl)),
        }
    }

    /// Returns a time that no entry of the call outlives: lifetimes are spread by at most
    /// their own length.
    pub(crate) fn keep_in(&self, cache: &CacheContext) -> Ttl {
        let ttl = self.ttl_in(cache).unwrap_or(cache.validated.ttl);
        let negative = self.negative_ttl_in(cache).ok().flatten().unwrap_or(ttl);
        Ttl::new(ttl.max(negative).as_duration() * 2).unwrap_or(Ttl::MAX)
    }
}
