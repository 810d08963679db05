//! The error of a loader, shared by the callers of one flight.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The error of a loader, never that of the cache.
///
/// The callers that waited for a loader share its error. So it is behind a reference:
/// `LoadError` dereferences to the error, and [`LoadError::try_unwrap`] returns the error
/// itself if no other caller shares it.
///
/// It displays as the error does, and implements [`Error`](StdError) for every error that
/// implements `Debug` and `Display`, `anyhow::Error` and `Box<dyn Error + Send + Sync>` among
/// them, so that `?` converts it to these:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::error::Error;
///
/// async fn fetch() -> Result<u32, Box<dyn Error + Send + Sync>> {
///     Err("the database is down".into())
/// }
///
/// async fn price(prices: &hotshelf::Cache<u32>) -> Result<u32, Box<dyn Error + Send + Sync>> {
///     Ok(*prices.get_or_try_insert_with("lamp", fetch).await?)
/// }
///
/// let prices = hotshelf::Store::memory().cache::<u32>("prices").build().unwrap();
/// assert_eq!(price(&prices).await.unwrap_err().to_string(), "the database is down");
/// # }
/// ```
///
/// An `impl IntoResponse for &AppError` makes `LoadError<AppError>` a response of axum, with
/// the feature `axum`. An enum of thiserror takes it as
/// `#[error(transparent)] Load(#[from] LoadError<DbError>)`.
///
/// Since not every `E` has a source, it has none itself: `error.into_arc()` is an error with
/// the loader's own sources, and a downcast looks for `LoadError<E>` first, then into it.
pub struct LoadError<E>(Arc<E>);

impl<E> LoadError<E> {
    /// Returns the error itself, or a copy of it if other callers still share it.
    #[must_use]
    pub fn unwrap_or_clone(self) -> E
    where
        E: Clone,
    {
        Arc::unwrap_or_clone(self.0)
    }

    pub(crate) fn new(error: Arc<E>) -> Self {
        Self(error)
    }

    /// Returns the error, shared with the other callers.
    #[must_use]
    pub fn into_arc(self) -> Arc<E> {
        self.0
    }

    /// Returns the error itself.
    ///
    /// # Errors
    /// Returns `self` if other callers still share the error.
    pub fn try_unwrap(self) -> Result<E, Self> {
        Arc::try_unwrap(self.0).map_err(Self)
    }
}

impl<E: PartialEq> PartialEq for LoadError<E> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<E: Eq> Eq for LoadError<E> {}

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
        self.0.fmt(formatter)
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    /// Formats the error with `{:#}`: an `anyhow::Error` with its causes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.0)
    }
}

/// Has no [source](StdError::source), since not every `E` has one; that of the error itself is
/// `(*error).source()`.
impl<E: fmt::Debug + fmt::Display> StdError for LoadError<E> {}

/// Responds like a reference to the error.
#[cfg(feature = "axum")]
impl<E> axum_core::response::IntoResponse for LoadError<E>
where
    for<'e> &'e E: axum_core::response::IntoResponse,
{
    fn into_response(self) -> axum_core::response::Response {
        (&*self.0).into_response()
    }
}
