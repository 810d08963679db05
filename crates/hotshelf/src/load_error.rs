//! Why a loading call was given no value.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a call was given no value: the error of a loader, or a limit of the cache's options. Never
/// a failure of the cache.
///
/// The callers that waited for a loader share its error. So it is behind an `Arc`:
/// [`LoadError::loader`] returns a reference to it, and [`LoadError::try_unwrap`] the error itself
/// if no other caller shares it. The other two variants occur only in caches with
/// [`hard_timeout`](crate::CacheBuilder::hard_timeout) or
/// [`error_backoff`](crate::CacheBuilder::error_backoff).
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
/// the feature `axum`: a load that takes too long is `504 Gateway Timeout`, one that isn't repeated
/// yet `503 Service Unavailable` with `Retry-After`. An enum of thiserror takes it as
/// `#[error(transparent)] Load(#[from] LoadError<DbError>)`.
///
/// Since not every `E` has a source, it has none itself: the error in [`LoadError::Failed`] is one
/// with the loader's own sources, and a downcast looks for `LoadError<E>` first, then into it.
#[non_exhaustive]
pub enum LoadError<E> {
    /// The loader's error, shared with the other callers.
    Failed(Arc<E>),
    /// The load takes longer than the cache's `hard_timeout`.
    TimedOut,
    /// A load of the key has failed a short time ago, in this process or in another one. It isn't
    /// repeated for this time, by the cache's `error_backoff`.
    BackingOff(Duration),
}

impl<E> LoadError<E> {
    /// Returns the loader's error, if that is what it is.
    #[must_use]
    pub fn loader(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => Some(error),
            Self::TimedOut | Self::BackingOff(_) => None,
        }
    }

    /// Returns the loader's error, or a copy of it if other callers still share it.
    ///
    /// # Errors
    /// Returns `self` if it is not a loader's error.
    pub fn unwrap_or_clone(self) -> Result<E, Self>
    where
        E: Clone,
    {
        match self {
            Self::Failed(error) => Ok(Arc::unwrap_or_clone(error)),
            other => Err(other),
        }
    }

    /// Returns the loader's error itself.
    ///
    /// # Errors
    /// Returns `self` if other callers still share the error, or if it is not a loader's error.
    pub fn try_unwrap(self) -> Result<E, Self> {
        match self {
            Self::Failed(error) => Arc::try_unwrap(error).map_err(Self::Failed),
            other => Err(other),
        }
    }
}

impl<E: PartialEq> PartialEq for LoadError<E> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Failed(one), Self::Failed(other)) => one == other,
            (Self::BackingOff(one), Self::BackingOff(other)) => one == other,
            (Self::TimedOut, Self::TimedOut) => true,
            _ => false,
        }
    }
}

impl<E: Eq> Eq for LoadError<E> {}

impl<E> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(Arc::clone(error)),
            Self::TimedOut => Self::TimedOut,
            Self::BackingOff(left) => Self::BackingOff(*left),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for LoadError<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(formatter),
            Self::TimedOut => formatter.write_str("TimedOut"),
            Self::BackingOff(left) => formatter.debug_tuple("BackingOff").field(left).finish(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    /// Formats the error with `{:#}`: an `anyhow::Error` with its causes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(formatter, "{error:#}"),
            Self::TimedOut => formatter.write_str("the load takes longer than `hard_timeout`"),
            Self::BackingOff(left) => {
                write!(formatter, "a load has failed; the next one is due in {left:?}")
            }
        }
    }
}

/// Has no [source](StdError::source), since not every `E` has one; that of the error itself is
/// `error.loader().and_then(Error::source)`.
impl<E: fmt::Debug + fmt::Display> StdError for LoadError<E> {}

/// Responds like a reference to the error.
#[cfg(feature = "axum")]
impl<E> axum_core::response::IntoResponse for LoadError<E>
where
    for<'e> &'e E: axum_core::response::IntoResponse,
{
    fn into_response(self) -> axum_core::response::Response {
        const GATEWAY_TIMEOUT: u16 = 504;
        const SERVICE_UNAVAILABLE: u16 = 503;
        let mut response = axum_core::response::Response::default();
        let status = match self {
            Self::Failed(error) => return (&*error).into_response(),
            Self::TimedOut => GATEWAY_TIMEOUT,
            Self::BackingOff(left) => {
                let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
                response.headers_mut().insert("retry-after", seconds.into());
                SERVICE_UNAVAILABLE
            }
        };
        if let Ok(status) = status.try_into() {
            *response.status_mut() = status;
        }
        response
    }
}
