//! The context of a cache: the state that all its calls share, independent of its backend.

mod options;
mod tag_rule;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use crate::backend::LocalEntry;
use crate::codec::ErasedCodec;
#[cfg(test)]
use crate::codec::{Json, erase};
use crate::error::{Error, ErrorKind};
use crate::key::{Namespace, WireKey};
use crate::stats::Stats;
use crate::tag::{TAG_PREFIX, TagId, Tags};
use crate::trailer::CodecId;
use crate::ttl::{Lifetime, Ttl};

pub use options::{CacheOptions, Foreign, NegativeTtl};
pub(crate) use options::{Format, Negative, Validated};
pub use tag_rule::TagRule;
pub(crate) use tag_rule::TagSets;

/// A cache, independent of its backend.
pub(crate) struct CacheContext {
    /// The cache's number in its store. Views of one cache share it, and with it their
    /// flights.
    pub(crate) number: u64,
    pub(crate) namespace: Namespace,
    /// The prefix of all keys.
    pub(crate) key_prefix: String,
    /// The tags of all entries: the epoch, if there is one.
    pub(crate) tags: Arc<Tags>,
    /// Returns the tags of an entry from its key.
    pub(crate) tag_rule: Option<TagRule>,
    pub(crate) tag_sets: Arc<TagSets>,
    pub(crate) options: CacheOptions,
    pub(crate) validated: Validated,
    pub(crate) codec: Arc<dyn ErasedCodec>,
    pub(crate) codec_id: CodecId,
    pub(crate) stats: Arc<Stats>,
    /// Whether the caches of the store are enabled.
    pub(crate) enabled: Arc<AtomicBool>,
    /// The kinds of errors that were already logged, one bit for each.
    pub(crate) logged: Arc<AtomicU32>,
}

impl CacheContext {
    /// Creates a cache with its own counters.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Configuration`] if the options are invalid.
    pub(crate) fn new(
        namespace: Namespace,
        options: CacheOptions,
        codec: Arc<dyn ErasedCodec>,
        tag_rule: Option<TagRule>,
        number: u64,
        enabled: &Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        if tag_rule.is_some() && options.strict_plain {
            let message = "plain entries cannot carry tags: remove `tags` or `strict_plain`";
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
            tag_sets: Arc::default(),
            validated: options.validate()?,
            namespace,
            options,
            codec_id: CodecId::of(&codec.name()),
            codec,
            stats: Arc::default(),
            enabled: Arc::clone(enabled),
            logged: Arc::default(),
        })
    }

    /// Returns how long an entry lives that is fresh for some time.
    pub(crate) fn lifetime(&self, fresh: Ttl) -> Lifetime {
        Lifetime::with_window(fresh, self.validated.stale_window)
    }

    /// Returns the size of the decoded value of an entry in the memory of this process; 0 for
    /// what is never decoded: versions of tags, negatives, and values of other codecs.
    pub(crate) fn decoded_size(&self, key: &WireKey, entry: &LocalEntry) -> usize {
        let is_value = match entry.stamp() {
            Ok(stamp) => !stamp.absent && stamp.codec == self.codec_id,
            Err(_) => {
                self.validated.format != Format::Trailer(Foreign::Reject)
                    && !key.as_str().starts_with(TAG_PREFIX)
            }
        };
        if is_value { self.codec.decoded_size(entry.raw()) } else { 0 }
    }

    /// Creates a cache of numbers.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        let (options, codec) = (CacheOptions::default(), erase::<u64>(Json));
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
