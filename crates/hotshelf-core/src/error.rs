//! The error type of all crates.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::key::WireKey;

/// An error of the cache or its backend.
///
/// A loader's error is never wrapped in this type; it reaches its caller unchanged. Cloning is
/// cheap, since the callers of one flight share an error.
///
/// Messages contain only a digest of a key; [`Error::key`] returns the key itself.
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

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option or a URL is invalid. The message says how to fix it.
    Configuration,
    /// The operation or URL scheme is not available in this build.
    Unsupported,
    /// An identifier, parameter, pattern or tag is invalid.
    Key,
    /// A value cannot be encoded.
    Encode,
    /// An entry cannot be decoded as a value of this cache.
    Decode,
    /// A value exceeds the cache's `max_value_bytes`, or what the backend can store.
    TooLarge,
    /// The backend cannot be reached.
    Unavailable,
    /// The backend didn't answer in time. It is unknown whether it executed the operation.
    Timeout,
    /// The backend rejected the credentials.
    Authentication,
    /// The backend denies the user this operation or key.
    Permission,
    /// The backend is still loading its data.
    Loading,
    /// The backend is a replica, or became one, and accepts no writes.
    ReadOnly,
    /// The backend is out of memory.
    OutOfMemory,
    /// The key belongs to another node, and following the redirections has failed.
    Moved,
    /// The backend doesn't know a script by its hash.
    NoScript,
    /// The key holds a value of another type than the operation expects.
    WrongType,
    /// The backend's reply is not understood: it is another kind of server, or a newer
    /// version.
    Protocol,
    /// The backend returned another error.
    Server,
    /// The store was closed.
    Closed,
}

impl ErrorKind {
    /// Returns the name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Unsupported => "unsupported",
            Self::Key => "key",
            Self::Encode => "encode",
            Self::Decode => "decode",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::Loading => "loading",
            Self::ReadOnly => "read_only",
            Self::OutOfMemory => "out_of_memory",
            Self::Moved => "moved",
            Self::NoScript => "no_script",
            Self::WrongType => "wrong_type",
            Self::Protocol => "protocol",
            Self::Server => "server",
            Self::Closed => "closed",
        }
    }
}

impl Error {
    /// Creates an error of this kind. The message is in lower case.
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

    /// Returns the message, and those of what has caused the error, unless it contains them: for
    /// logs, which show nothing else of it.
    #[must_use]
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            let message = cause.to_string();
            if !text.contains(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            next = cause.source();
        }
        text
    }

    /// Returns the kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Returns `true` if the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        use ErrorKind::{Loading, Moved, ReadOnly, Timeout, Unavailable};

        matches!(self.inner.kind, Unavailable | Timeout | Loading | ReadOnly | Moved)
    }

    /// Returns `true` if the backend didn't answer in time.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.inner.kind == ErrorKind::Timeout
    }

    /// Returns the key of the operation, if there is one.
    ///
    /// Identifiers may be personal data, so messages contain only a digest.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.inner.key.as_ref().map(WireKey::as_str)
    }

    /// Returns the parts, cloned if the error is shared.
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
    fn message_shows_digest_of_key() {
        let key = WireKey::from("cache:v1:users:alice@example.org");
        let error = Error::new(ErrorKind::Timeout, "no answer within 100 ms").with_key(&key);

        assert_eq!(error.key(), Some("cache:v1:users:alice@example.org"));
        assert!(!format!("{error} {error:?}").contains("alice"), "{error:?}");
        assert!(error.to_string().starts_with("no answer within 100 ms (key #"));
    }

    #[test]
    fn source_is_kept_but_not_displayed() {
        let cause = std::io::Error::other("broken pipe");
        let error =
            Error::new(ErrorKind::Unavailable, "cannot reach the backend").with_source(cause);

        assert_eq!(error.to_string(), "cannot reach the backend");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("broken pipe"));
        assert!(error.is_temporary() && !error.is_timeout());

        let shared = error.clone();
        let with_key = error.with_key(&WireKey::from("k"));
        assert_eq!(with_key.source().map(ToString::to_string).as_deref(), Some("broken pipe"));
        assert_eq!(shared.key(), None);
    }
}
