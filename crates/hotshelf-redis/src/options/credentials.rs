//! Credentials and their providers.

use std::fmt;
use std::time::Duration;

use hotshelf_core::{BoxFuture, Error};

/// A user and a password. `Debug` never shows the password.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The user. Default: `default`.
    pub user: Option<String>,
    /// The password or token.
    pub password: Option<String>,
    /// The time for which they are valid. Default: no limit.
    pub valid_for: Option<Duration>,
}

impl Credentials {
    /// Creates credentials that don't expire.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: Some(user.into()), password: Some(password.into()), valid_for: None }
    }

    /// Sets the time for which they are valid.
    ///
    /// After 80 % of this time the provider is asked for new credentials, and connections are
    /// re-authenticated without interrupting calls.
    #[must_use]
    pub fn valid_for(mut self, duration: Duration) -> Self {
        self.valid_for = Some(duration);
        self
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Credentials");
        debug.field("user", &self.user).field("password", &self.password.as_ref().map(|_| "***"));
        debug.field("valid_for", &self.valid_for).finish()
    }
}

/// Provides the current credentials: rotating tokens, secrets from a vault.
///
/// It is called for each new connection, and again before its credentials expire.
pub trait CredentialsProvider: fmt::Debug + Send + Sync + 'static {
    /// Returns the current credentials.
    ///
    /// It has to return within `connect_timeout`. An error fails a connection that is being
    /// opened, but not one that is up; the call is repeated in both cases.
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, Error>>;
}

impl CredentialsProvider for Credentials {
    fn credentials(&self) -> BoxFuture<'_, Result<Credentials, Error>> {
        Box::pin(std::future::ready(Ok(self.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_not_shown() {
        let credentials = Credentials::new("app", "sekret");
        assert!(!format!("{credentials:?}").contains("sekret"));
    }
}
