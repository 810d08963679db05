//! A loader's error, shared by the callers of one flight.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// The error of a loader, never one of the cache.
///
/// The callers that waited for one loader share its error, which is why it comes behind a
/// reference: it dereferences to the error itself, which [`LoadError::try_unwrap`] gives back
/// where it isn't shared. It reads as the error itself, and is an [`Error`](StdError) for every
/// error that can be shown, `anyhow::Error` and `Box<dyn Error + Send + Sync>` among them, so
/// that `?` turns it into these:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::error::Error;
///
/// async fn fetch() -> Result<u32, Box<dyn Error + Send + Sync>> {
///     Err("the database is away".into())
/// }
///
/// async fn price(prices: &hotshelf::Cache<u32>) -> Result<u32, Box<dyn Error + Send + Sync>> {
///     Ok(*prices.get_or_try_insert_with("lamp", fetch).await?)
/// }
///
/// let prices = hotshelf::Store::memory().cache::<u32>("prices").build().unwrap();
/// assert_eq!(price(&prices).await.unwrap_err().to_string(), "the database is away");
/// # }
/// ```
pub struct LoadError<E>(Arc<E>);

impl<E> LoadError<E> {
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
    /// This one, if other callers still share it.
    pub fn try_unwrap(self) -> Result<E, Self> {
        Arc::try_unwrap(self.0).map_err(Self)
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
        self.0.fmt(formatter)
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    /// Shows the error as `{:#}` does: an `anyhow::Error` with its causes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.0)
    }
}

/// It has no [source](StdError::source), since not every `E` has one; that of the error itself
/// is `(*error).source()`.
impl<E: fmt::Debug + fmt::Display> StdError for LoadError<E> {}

/// Responds as the error itself does by reference.
#[cfg(feature = "axum")]
impl<E> axum_core::response::IntoResponse for LoadError<E>
where
    for<'e> &'e E: axum_core::response::IntoResponse,
{
    fn into_response(self) -> axum_core::response::Response {
        (&*self.0).into_response()
    }
}
