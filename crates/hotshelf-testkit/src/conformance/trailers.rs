//! Replacing the trailer of an entry.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{Acquired, Retrail, Seen, Stored};
use hotshelf_core::{BoxFuture, Remaining, WireKey};

use super::{Subject, define};

define! {
    /// A trailer is replaced by one of the same length or a longer one. The entry keeps its time
    /// to live.
    async fn trailer_is_replaced(subject) {
        for key in ["k", "{a}b", "a}b"] {
            subject.fill(key, "value one").await;
            subject.pass(Duration::from_secs(20)).await;
            assert!(retrail(subject, key, " one", " two").await);
            assert_eq!(subject.read(key).await.unwrap(), "value two");
            assert!(retrail(subject, key, " two", " three!").await);
            assert_eq!(subject.read(key).await.unwrap(), "value three!");
            let remaining = subject.backend().remaining(&key.into()).await.unwrap();
            let Remaining::After(left) = remaining else { panic!("{remaining:?}") };
            assert!((20..=40).contains(&left.as_secs()), "{left:?}");
            // The value itself may be as long as the trailer that was seen.
            assert!(retrail(subject, key, "value three!", "value of four").await);
            assert_eq!(subject.read(key).await.unwrap(), "value of four");
        }
    }

    /// Only the trailer that was seen is replaced.
    async fn other_trailer_is_kept(subject) {
        subject.fill("k", "value one").await;
        for (seen, trailer) in [
            ("", " two"),
            (" two", " one"),
            (" one", "two"),
            ("e on", "e tw"),
            ("a longer value one", "a longer value two"),
        ] {
            assert!(!retrail(subject, "k", seen, trailer).await, "{seen:?}");
            assert_eq!(subject.read("k").await.unwrap(), "value one");
        }
    }

    /// What was removed or replaced meanwhile doesn't come back.
    async fn trailer_of_missing_entry_is_not_set(subject) {
        assert!(!retrail(subject, "k", " one", " two").await);
        assert!(!retrail(subject, "k", "", " two").await);
        assert_eq!(subject.read("k").await, None);
        subject.fill("k", "value one").await;
        subject.invalidate("k").await;
        assert!(!retrail(subject, "k", " one", " two").await);
        assert_eq!(subject.read("k").await, None);
        subject.fill("k", "value next").await;
        assert!(!retrail(subject, "k", " one", " two").await);
        assert_eq!(subject.read("k").await.unwrap(), "value next");
    }

    /// A fill in flight goes on, and later callers see an entry that they don't know.
    async fn replaced_trailer_keeps_the_lease(subject) {
        subject.fill("k", "value one").await;
        let seen = Seen::entry(&subject.read("k").await.unwrap());
        let token = subject.token();
        let answer = subject.acquire_seeing("k", token, seen.clone()).await;
        assert!(answer.granted().is_some(), "{answer:?}");
        assert!(retrail(subject, "k", " one", " two").await);
        let answer = subject.acquire_seeing("k", subject.token(), seen).await;
        assert_eq!(answer, Acquired::Present(Bytes::from_static(b"value two")));
        assert_eq!(subject.store("k", token, "next").await, Stored::Stored);
    }

    /// Where changes are reported, a new trailer is one.
    async fn replaced_trailer_is_reported(subject) {
        subject.fill("k", "value one").await;
        // Only a connection knows whether changes are reported.
        subject.read("k").await;
        let Some(mut watch) = subject.backend().watch(&"k".into()) else { return };
        let answer = subject.acquire("k", subject.token()).await;
        assert!(matches!(answer, Acquired::Present(_)), "{answer:?}");
        assert!(retrail(subject, "k", " one", " two").await);
        // The report comes before the next answer.
        subject.read("k").await;
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut watch).poll(&mut context), Poll::Ready(()));
    }
}

async fn retrail(
    subject: &dyn Subject,
    key: &str,
    seen: &'static str,
    trailer: &'static str,
) -> bool {
    let [seen, trailer] = [seen, trailer].map(|text| Bytes::from_static(text.as_bytes()));
    subject.backend().retrail(&WireKey::from(key), Retrail { seen, trailer }).await.unwrap()
}
