//! A backend under test, and short forms of its operations for the checks.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{Acquire, Acquired, Fill, Seen, Stored, Take, Taken, Token};
use hotshelf_core::{Backend, BoxFuture, Pattern, Runtime, Ttl, WireKey};

/// A backend under test, with the runtime and clock that the suite needs.
pub trait Subject: Send + Sync {
    /// Returns the backend, which is empty at the beginning of a check.
    fn backend(&self) -> &dyn Backend;

    /// Returns the runtime that tokens are drawn from.
    fn runtime(&self) -> &dyn Runtime;

    /// Advances the time of entries and leases, without waiting.
    fn pass(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

pub(super) const LEASE: Duration = Duration::from_secs(5);
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Operations that panic if they fail.
impl dyn Subject + '_ {
    pub(super) fn token(&self) -> Token {
        Token::random(self.runtime())
    }

    pub(super) async fn read(&self, key: &str) -> Option<Bytes> {
        self.backend().read(&[key.into()]).await.unwrap().remove(0)
    }

    pub(super) async fn acquire(&self, key: &str, token: Token) -> Acquired {
        self.acquire_seeing(key, token, Seen::Nothing).await
    }

    pub(super) async fn acquire_seeing(&self, key: &str, token: Token, seen: Seen) -> Acquired {
        let key = WireKey::from(key);
        let acquire = Acquire {
            key: &key,
            token,
            lease: LEASE,
            seen,
            skip_foreign: false,
            replace_failure: false,
        };
        self.backend().acquire(acquire).await.unwrap()
    }

    /// Acquires a lease. Panics if it is not granted.
    pub(super) async fn granted(&self, key: &str) -> Token {
        let token = self.token();
        let answer = self.acquire(key, token).await;
        assert!(answer.granted().is_some(), "{key}: {answer:?}");
        token
    }

    /// Acquires a free lease, whether or not there is an entry, and releases it.
    pub(super) async fn granted_seeing_any(&self, key: &str) {
        let entry = self.read(key).await;
        let seen = entry.as_ref().map_or(Seen::Nothing, Seen::entry);
        let token = self.token();
        let answer = self.acquire_seeing(key, token, seen).await;
        assert!(answer.granted().is_some(), "{key}: {answer:?}");
        self.backend().release(&key.into(), token).await.unwrap();
    }

    pub(super) async fn store(&self, key: &str, token: Token, value: &'static str) -> Stored {
        self.store_for(key, token, value, MINUTE).await
    }

    pub(super) async fn store_for(
        &self,
        key: &str,
        token: Token,
        value: &'static str,
        ttl: Duration,
    ) -> Stored {
        let ttl = Ttl::new(ttl).unwrap();
        let fill = Fill {
            key: key.into(),
            token,
            value: Bytes::from_static(value.as_bytes()),
            decoded_size: 0,
            ttl,
            hold: None,
            kept: None,
        };
        self.backend().store(&[fill]).await.remove(0).unwrap()
    }

    /// Acquires and fills a key. Panics if either fails.
    pub(super) async fn fill(&self, key: &str, value: &'static str) {
        let token = self.granted(key).await;
        assert_eq!(self.store(key, token, value).await, Stored::Stored, "{key}");
    }

    pub(super) async fn take(&self, key: &str) -> Token {
        self.take_at(key).await.0
    }

    /// Takes a lease over, and returns the time of the backend's clock.
    pub(super) async fn take_at(&self, key: &str) -> (Token, u64) {
        let token = self.token();
        let take = Take { key: key.into(), token, lease: LEASE };
        match self.backend().take(&[take]).await.remove(0).unwrap() {
            Taken::Granted(millis) => (token, millis),
            other => panic!("{key:?}: {other:?}"),
        }
    }

    pub(super) async fn invalidate(&self, key: &str) -> u64 {
        self.backend().invalidate(&[key.into()]).await.unwrap()
    }

    pub(super) async fn invalidate_matching(&self, pattern: &str) -> u64 {
        self.backend().invalidate_matching(&Pattern::new(pattern)).await.unwrap()
    }
}
