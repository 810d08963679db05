//! Tags as an option of a cache.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::key::Key;
use crate::tag::TagId;

/// A rule that returns the tags of an entry from its key.
#[derive(Clone)]
pub struct TagRule(Arc<Names>);

type Names = dyn Fn(&Key<'_>) -> Vec<String> + Send + Sync;

impl TagRule {
    /// Creates a rule from a function that returns the names of an entry's tags. The function
    /// runs in every call.
    pub fn new(names: impl Fn(&Key<'_>) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(names))
    }

    pub(crate) fn ids(&self, key: &Key<'_>) -> Result<Vec<TagId>, Error> {
        (self.0)(key).iter().map(|name| TagId::of(name)).collect()
    }
}

impl fmt::Debug for TagRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TagRule")
    }
}
