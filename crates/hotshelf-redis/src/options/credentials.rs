//! Who we are on a server.

use std::fmt;
use std::time::Duration;

use hotshelf_core::{BoxFuture, Error};

/// A user and a password. `Debug` never shows the password.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// The user; without one, the server's `default`.
    pub user: Option<String>,
    /// The password, or the token.
    pub password: Option<String>,
    /// For how long they are good. Default: for ever.
    pub valid_for: Option<Duration>,
}

impl Credentials {
    /// Makes credentials of a user and a password, good for ever.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: Some(user.into()), password: Some(password.into()), valid_for: None }
    }

    /// Says for how long they are good.
    ///
    /// When four fifths of it are over the provider is asked again, and the connections are
    /// authenticated anew while calls go on.
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

/// Knows the credentials of the day: tokens that rotate, secrets kept elsewhere.
///
/// It is asked for each new connection, and again before what it gave ends to be valid.
pub trait CredentialsProvider: fmt::Debug + Send + Sync + 'static {
    /// Gives the credentials that are good now.
    ///
    /// It has `connect_timeout` to answer. An error leaves a connection that is up as it is,
    /// and one that is being made undone; both try again.
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
    fn the_password_is_not_shown() {
        let credentials = Credentials::new("app", "sekret");
        assert!(!format!("{credentials:?}").contains("sekret"));
    }
}
