//! Tags as a property of a cache.

use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::key::Key;
use crate::tag::TagId;

/// How a cache tags its entries by their keys.
#[derive(Clone)]
pub struct TagRule(Arc<Names>);

type Names = dyn Fn(&Key<'_>) -> Vec<String> + Send + Sync;

impl TagRule {
    /// Creates a rule that returns the names of an entry's tags. It runs in every call that
    /// names the key.
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
