//! Marks in the place of leases: those of holds and of failed loads.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{Acquired, Pause, Seen, Stored, Take, Taken, Token};
use hotshelf_core::{BoxFuture, WireKey};

use super::subject::LEASE;
use super::{Subject, define};

const SECOND: Duration = Duration::from_secs(1);

define! {
    /// While a key is on hold, nobody fills it.
    async fn held_key_is_not_filled(subject) {
        for key in ["k", "{a}b", "a}b"] {
            assert_eq!(hold(subject, &[key], 10 * SECOND).await, 0);
            let token = subject.token();
            let Acquired::Held(left) = subject.acquire(key, token).await else { panic!("{key}") };
            assert!(left <= 10 * SECOND && left > 5 * SECOND, "{left:?}");
            assert_eq!(taken(subject, key).await, Taken::Held);
            assert_eq!(subject.store(key, token, "1").await, Stored::Refused);
            assert_eq!(subject.read(key).await, None);
            subject.pass(10 * SECOND + Duration::from_millis(1)).await;
            subject.fill(key, "2").await;
        }
    }

    /// A hold removes entries and leases, and counts them.
    async fn hold_removes_entry_and_lease(subject) {
        subject.fill("a", "1").await;
        let seen = Seen::entry(&subject.read("a").await.unwrap());
        let (loading, other) = (subject.token(), subject.granted("b").await);
        subject.acquire_seeing("a", loading, seen).await;
        subject.fill("c", "1").await;
        assert_eq!(hold(subject, &["a", "b", "missing"], SECOND).await, 3);
        assert_eq!(subject.read("a").await, None);
        assert_eq!(subject.store("a", loading, "2").await, Stored::Refused);
        assert_eq!(subject.store("b", other, "2").await, Stored::Refused);
        assert!(subject.read("c").await.is_some());
        assert_eq!(hold(subject, &[], SECOND).await, 0);
    }

    /// A token whose lease was replaced by a mark does nothing to the mark.
    async fn lost_token_keeps_the_mark(subject) {
        let key = WireKey::from("k");
        let token = subject.granted("k").await;
        hold(subject, &["k"], 10 * SECOND).await;
        let backend = subject.backend();
        assert!(!backend.renew(&key, token, LEASE).await.unwrap());
        backend.release(&key, token).await.unwrap();
        backend.fail(&key, token, PAUSE).await.unwrap();
        assert!(matches!(subject.acquire("k", subject.token()).await, Acquired::Held(_)));
        subject.invalidate("k").await;
        let token = subject.granted("k").await;
        backend.fail(&key, token, PAUSE).await.unwrap();
        assert!(!backend.renew(&key, token, LEASE).await.unwrap());
        backend.release(&key, token).await.unwrap();
        assert_eq!(subject.store("k", token, "1").await, Stored::Refused);
        assert!(matches!(subject.acquire("k", subject.token()).await, Acquired::BackingOff(_)));
    }

    /// The longest of several holds counts, and an invalidation without a hold ends them.
    async fn longest_hold_counts(subject) {
        for (first, second) in [(20, 5), (5, 20)] {
            hold(subject, &["k"], first * SECOND).await;
            hold(subject, &["k"], second * SECOND).await;
            let answer = subject.acquire("k", subject.token()).await;
            let Acquired::Held(left) = answer else { panic!("{answer:?}") };
            assert!(left <= 20 * SECOND && left > 15 * SECOND, "{left:?}");
            assert_eq!(subject.invalidate("k").await, 1, "the mark counts like a lease");
            let token = subject.granted("k").await;
            subject.backend().release(&"k".into(), token).await.unwrap();
        }
    }

    /// A failed load is not repeated during its pause. Writers don't wait for it.
    async fn failed_load_pauses_others(subject) {
        for key in ["k", "{a}b", "a}b"] {
            let token = fail(subject, key, PAUSE).await;
            let answer = subject.acquire(key, subject.token()).await;
            let Acquired::BackingOff(left) = answer else { panic!("{answer:?}") };
            assert!(left <= PAUSE.without_entry && left > PAUSE.without_entry / 2, "{left:?}");
            assert_eq!(subject.store(key, token, "1").await, Stored::Refused);
            subject.pass(PAUSE.without_entry + Duration::from_millis(1)).await;
            subject.fill(key, "2").await;
            subject.invalidate(key).await;
            fail(subject, key, PAUSE).await;
            let token = subject.take(key).await;
            assert_eq!(subject.store(key, token, "3").await, Stored::Stored);
        }
    }

    /// With an entry the pause is another one, and ends with the entry. Callers that haven't seen
    /// the entry get it.
    async fn pause_ends_with_entry(subject) {
        for (ttl, longest) in [(60_000, 10_000), (900, 900)] {
            let token = subject.take("k").await;
            subject.store_for("k", token, "1", Duration::from_millis(ttl)).await;
            let seen = Seen::entry(&subject.read("k").await.unwrap());
            let token = subject.token();
            let granted = subject.acquire_seeing("k", token, seen.clone()).await;
            assert!(granted.granted().is_some(), "{granted:?}");
            subject.backend().fail(&"k".into(), token, PAUSE).await.unwrap();
            let answer = subject.acquire_seeing("k", subject.token(), seen).await;
            let Acquired::BackingOff(left) = answer else { panic!("{answer:?}") };
            assert!(left <= Duration::from_millis(longest), "{left:?}");
            let unseen = subject.acquire("k", subject.token()).await;
            assert_eq!(unseen, Acquired::Present(Bytes::from_static(b"1")));
            subject.pass(Duration::from_millis(longest + 1)).await;
            subject.granted_seeing_any("k").await;
        }
    }

    /// A failed load without a pause releases its lease.
    async fn failure_without_pause_releases(subject) {
        fail(subject, "k", Pause { without_entry: Duration::ZERO, ..PAUSE }).await;
        subject.fill("k", "1").await;
        let seen = Seen::entry(&subject.read("k").await.unwrap());
        let token = subject.token();
        subject.acquire_seeing("k", token, seen).await;
        let pause = Pause { with_entry: Duration::ZERO, ..PAUSE };
        subject.backend().fail(&"k".into(), token, pause).await.unwrap();
        subject.granted_seeing_any("k").await;
    }

    /// Only the holder of a lease marks its failure.
    async fn failure_of_another_token_does_nothing(subject) {
        let key = WireKey::from("k");
        subject.backend().fail(&key, subject.token(), PAUSE).await.unwrap();
        let holder = subject.granted("k").await;
        subject.backend().fail(&key, subject.token(), PAUSE).await.unwrap();
        assert!(matches!(subject.acquire("k", subject.token()).await, Acquired::Busy(_)));
        assert_eq!(subject.store("k", holder, "1").await, Stored::Stored);
    }

    /// Once the clock was read along with another operation, it is known without a request.
    async fn clock_is_estimated(subject) {
        let (_, millis) = subject.take_at("k").await;
        let estimate = subject.backend().clock(&"k".into()).unwrap();
        assert!(estimate.abs_diff(millis) < 30_000, "{estimate} {millis}");
    }
}

const PAUSE: Pause =
    Pause { with_entry: Duration::from_secs(10), without_entry: Duration::from_secs(30) };

async fn hold(subject: &dyn Subject, keys: &[&str], hold: Duration) -> u64 {
    let keys: Vec<_> = keys.iter().map(|key| WireKey::from(*key)).collect();
    subject.backend().hold(&keys, hold).await.unwrap()
}

async fn taken(subject: &dyn Subject, key: &str) -> Taken {
    let take = Take { key: key.into(), token: subject.token(), lease: LEASE };
    subject.backend().take(&[take]).await.remove(0).unwrap()
}

/// Acquires a lease, and ends the load with a failure.
async fn fail(subject: &dyn Subject, key: &str, pause: Pause) -> Token {
    let token = subject.granted(key).await;
    subject.backend().fail(&key.into(), token, pause).await.unwrap();
    token
}
