//! A cache by itself, independent of the backend that it is on: what all of its calls have in
//! common.

mod options;
mod tag_rule;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use crate::codec::Codec;
#[cfg(test)]
use crate::codec::Json;
use crate::error::{Error, ErrorKind};
use crate::key::Namespace;
use crate::stats::Stats;
use crate::tag::{TagId, Tags};

pub use options::{CacheOptions, Foreign, NegativeTtl};
pub(crate) use options::{Format, Negative, Validated};
pub use tag_rule::TagRule;

/// A cache, independent of the backend that it is on.
pub(crate) struct CacheContext {
    /// The cache's number in its store: views of one cache share it, and with it flights.
    pub(crate) number: u64,
    pub(crate) namespace: Namespace,
    /// What all keys begin with.
    pub(crate) key_prefix: String,
    /// The tags that all entries carry: the epoch, or none.
    pub(crate) tags: Arc<Tags>,
    /// The tags that an entry carries by its key.
    pub(crate) tag_rule: Option<TagRule>,
    pub(crate) options: CacheOptions,
    pub(crate) validated: Validated,
    pub(crate) codec: Arc<dyn Codec>,
    pub(crate) stats: Arc<Stats>,
    /// Whether the caches of the store are on.
    pub(crate) enabled: Arc<AtomicBool>,
    /// The kinds of errors that were logged already, a bit for each.
    pub(crate) logged: Arc<AtomicU32>,
}

impl CacheContext {
    /// Creates a cache that shares its counters with no other.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for invalid options.
    pub(crate) fn new(
        namespace: Namespace,
        options: CacheOptions,
        codec: Arc<dyn Codec>,
        tag_rule: Option<TagRule>,
        number: u64,
        enabled: &Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        if tag_rule.is_some() && options.strict_plain {
            let message = "plain entries carry no tags: leave `tags` or `strict_plain` out";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let key_prefix = namespace.key_prefix()?;
        let none = Tags::none(namespace.prefix_name().into());
        let tags = match options.epoch {
            true => none.with([TagId::of_epoch(&key_prefix)])?,
            false => none,
        };
        Ok(Self {
            number,
            key_prefix,
            tags: Arc::new(tags),
            tag_rule,
            validated: options.validate()?,
            namespace,
            options,
            codec,
            stats: Arc::default(),
            enabled: Arc::clone(enabled),
            logged: Arc::default(),
        })
    }

    /// Creates a cache of numbers.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let (options, codec) = (CacheOptions::default(), Arc::new(Json::<u64>::default()));
        Self::new(Namespace::new("tests"), options, codec, None, 0, &Arc::default())
            .expect("the defaults are valid")
    }
}

impl fmt::Debug for CacheContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("CacheContext");
        debug.field("namespace", &self.namespace).field("options", &self.options);
        debug.field("codec", &self.codec).finish_non_exhaustive()
    }
}
