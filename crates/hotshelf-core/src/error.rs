//! The one error type of the workspace.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::key::WireKey;

/// What went wrong in the cache or its backend.
///
/// A loader's own error is never wrapped in this type: it reaches its caller as
/// itself. Cloning is cheap, since the callers of one flight share an error.
///
/// A message names a key by its digest only; [`Error::key`] gives the key itself.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    key: Option<WireKey>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of [`Error`], for code that wants to decide something on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option or a URL is wrong; the message says how to mend it.
    Configuration,
    /// The operation or URL scheme is not available in this build.
    Unsupported,
    /// An identifier, a parameter or a pattern can't become a key.
    Key,
    /// A value can't be written in the cache's format.
    Encode,
    /// Bytes found in the backend are no value of this cache.
    Decode,
    /// A value is larger than the cache's `max_value_bytes`.
    TooLarge,
    /// The backend can't be reached.
    Unavailable,
    /// The backend didn't answer in time. Whether it executed the operation is unknown.
    Timeout,
    /// The backend refused the credentials.
    Authentication,
    /// The backend's rules forbid this user the operation or the key.
    Permission,
    /// The backend is still loading its data.
    Loading,
    /// The backend is a replica, or became one, and takes no writes.
    ReadOnly,
    /// The backend has no memory left for what it was to keep.
    OutOfMemory,
    /// The key is another node's, and following the node's word has led nowhere.
    Moved,
    /// The backend doesn't know the script that was named by its hash.
    NoScript,
    /// What stands at the key is of another type than the operation is for.
    WrongType,
    /// What the backend says is not understood: it is no such backend, or a newer one.
    Protocol,
    /// The backend answered with another error of its own.
    Server,
    /// The store was closed.
    Closed,
}

impl Error {
    /// Makes an error of this kind with a message in lower case.
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let inner = Inner { kind, message: message.into(), key: None, source: None };
        Self { inner: Arc::new(inner) }
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = Some(Arc::from(source.into()));
        let Inner { kind, message, key, .. } = self.into_inner();
        Self { inner: Arc::new(Inner { kind, message, key, source }) }
    }

    /// Adds the key that the operation was for.
    #[must_use]
    pub fn with_key(self, key: &WireKey) -> Self {
        let key = Some(key.clone());
        let Inner { kind, message, source, .. } = self.into_inner();
        Self { inner: Arc::new(Inner { kind, message, key, source }) }
    }

    /// Says what kind of trouble this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Says whether the same call may well succeed a little later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        use ErrorKind::{Loading, Moved, ReadOnly, Timeout, Unavailable};

        matches!(self.inner.kind, Unavailable | Timeout | Loading | ReadOnly | Moved)
    }

    /// Says whether the backend failed to answer in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.inner.kind == ErrorKind::Timeout
    }

    /// Gives the key that the operation was for, where there is one.
    ///
    /// Identifiers may be personal data, which is why a message shows a digest only.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.inner.key.as_ref().map(WireKey::as_str)
    }

    /// Takes the parts out, or copies of them where the error is shared.
    fn into_inner(self) -> Inner {
        Arc::try_unwrap(self.inner).unwrap_or_else(|shared| Inner {
            kind: shared.kind,
            message: shared.message.clone(),
            key: shared.key.clone(),
            source: shared.source.clone(),
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.inner.message)?;
        match &self.inner.key {
            Some(key) => write!(formatter, " (key {})", key.digest()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Error");
        debug.field("kind", &self.inner.kind).field("message", &self.inner.message);
        if let Some(key) = &self.inner.key {
            debug.field("key", key);
        }
        if let Some(source) = &self.inner.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_shows_the_key_as_a_digest_only() {
        let key = WireKey::from("cache:v1:users:alice@example.org");
        let error = Error::new(ErrorKind::Timeout, "no answer within 100 ms").with_key(&key);

        assert_eq!(error.key(), Some("cache:v1:users:alice@example.org"));
        assert!(!format!("{error} {error:?}").contains("alice"), "{error:?}");
        assert!(error.to_string().starts_with("no answer within 100 ms (key #"));
    }

    #[test]
    fn a_source_is_kept_and_not_repeated() {
        let cause = std::io::Error::other("broken pipe");
        let error = Error::new(ErrorKind::Unavailable, "the backend is away").with_source(cause);

        assert_eq!(error.to_string(), "the backend is away");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("broken pipe"));
        assert!(error.is_temporary() && !error.is_timeout());

        let shared = error.clone();
        let with_key = error.with_key(&WireKey::from("k"));
        assert_eq!(with_key.source().map(ToString::to_string).as_deref(), Some("broken pipe"));
        assert_eq!(shared.key(), None);
    }
}
