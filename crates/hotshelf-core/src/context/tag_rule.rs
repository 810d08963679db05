//! Tags as an option of a cache.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::key::Key;
use crate::tag::TagId;

/// A rule that returns the tags of an entry from its key.
#[derive(Clone)]
pub struct TagRule {
    names: Arc<Names>,
    /// The function, unless it captures values: then two of one type may differ.
    identity: Option<TypeId>,
}

type Names = dyn Fn(&Key<'_>) -> Vec<String> + Send + Sync;

impl TagRule {
    /// Creates a rule from a function that returns the names of an entry's tags. The function
    /// runs in every call.
    pub fn new<F: Fn(&Key<'_>) -> Vec<String> + Send + Sync + 'static>(names: F) -> Self {
        let identity = (size_of::<F>() == 0).then(TypeId::of::<F>);
        Self { names: Arc::new(names), identity }
    }

    /// Returns `true` if both rules are known to return the same tags.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_shared = Arc::ptr_eq(&self.names, &other.names);
        is_shared || self.identity.is_some() && self.identity == other.identity
    }

    pub(crate) fn ids(&self, key: &Key<'_>) -> Result<Vec<TagId>, Error> {
        (self.names)(key).iter().map(|name| TagId::of(name)).collect()
    }
}

impl fmt::Debug for TagRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TagRule")
    }
}
