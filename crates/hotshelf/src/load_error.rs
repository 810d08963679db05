//! A loader's error, shared by the callers of one flight.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A loader's error.
///
/// The callers that waited for one loader share its error, which is why it comes behind a
/// reference. It is the loader's own error, nothing else: a cache's trouble is none.
pub struct LoadError<E>(Arc<E>);

impl<E> LoadError<E> {
    pub(crate) fn new(error: Arc<E>) -> Self {
        Self(error)
    }

    /// Takes the error out, or a copy of it if other callers share it.
    pub fn into_inner(self) -> E
    where
        E: Clone,
    {
        Arc::unwrap_or_clone(self.0)
    }
}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> Deref for LoadError<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.0
    }
}

impl<E: fmt::Debug> fmt::Debug for LoadError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("LoadError").field(&self.0).finish()
    }
}

impl<E> fmt::Display for LoadError<E> {
    /// The loader's own error is the [source](StdError::source).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the value could not be loaded")
    }
}

impl<E: StdError + 'static> StdError for LoadError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}
