//! Keys and values of any kind.

use bytes::Bytes;
use hotshelf_core::backend::{Fill, Retrail, Stored};
use hotshelf_core::{BoxFuture, Remaining, Ttl, WireKey};

use super::subject::MINUTE;
use super::{Subject, define};

define! {
    /// Every text is a valid key, whatever its length and characters.
    async fn any_text_is_a_key(subject) {
        let long = "x".repeat(100_000);
        for key in ["", "a b\n\0*?[x]", "é€😀", "{", "}", "{}", "a}b", "{a}b", "{}x", "}{", &long] {
            subject.fill(key, "1").await;
            assert!(subject.read(key).await.is_some(), "{key:?}");
            let token = subject.take(key).await;
            subject.invalidate(key).await;
            assert_eq!(subject.store(key, token, "2").await, Stored::Refused, "{key:?}");
        }
    }

    /// Values are arbitrary bytes, and may be empty.
    async fn any_bytes_are_a_value(subject) {
        let key = WireKey::from("k");
        for value in [Bytes::new(), Bytes::from_static(b"\r\n\0\xff"), Bytes::from(vec![7; 300_000])] {
            let token = subject.take("k").await;
            let ttl = Ttl::new(MINUTE).unwrap();
            let fill = Fill { key: key.clone(), token, value: value.clone(), decoded_size: 0, ttl, hold: None, kept: None };
            subject.backend().store(&[fill]).await.remove(0).unwrap();
            assert_eq!(subject.read("k").await.unwrap(), value);
        }
    }

    /// Large values are fenced like small ones, in one batch with them.
    async fn large_values_are_fenced(subject) {
        let keys = ["small", "large", "larger", "{a}b", "a}b"];
        let value = |key: &str| match key {
            "small" => Bytes::from_static(b"1"),
            key => Bytes::from(vec![b'x'; 200_000 * key.len()]),
        };
        let ttl = Ttl::new(MINUTE).unwrap();
        for invalidated in [false, true] {
            let mut fills = Vec::new();
            for key in keys {
                let token = subject.take(key).await;
                fills.push(Fill { key: key.into(), token, value: value(key), decoded_size: 0, ttl, hold: None, kept: None });
            }
            if invalidated {
                let all = keys.map(WireKey::from);
                subject.backend().invalidate(&all).await.unwrap();
            }
            let stored = subject.backend().store(&fills).await;
            let expected = if invalidated { Stored::Refused } else { Stored::Stored };
            for (key, stored) in keys.into_iter().zip(stored) {
                assert_eq!(stored.unwrap(), expected, "{key}");
                let found = subject.read(key).await;
                assert_eq!(found, (!invalidated).then(|| value(key)), "{key}");
                let remaining = subject.backend().remaining(&key.into()).await.unwrap();
                let lives = matches!(remaining, Remaining::After(left) if left > MINUTE / 2);
                assert_eq!(lives, !invalidated, "{key}: {remaining:?}");
                // The lease is free.
                subject.granted_seeing_any(key).await;
            }
        }
    }

    /// A fill of the value that is stored may send its trailer alone: under its token, as long as the
    /// entry is the one that was seen, and with a time to live of its own.
    async fn kept_values_are_fenced(subject) {
        let (key, ttl) = (WireKey::from("k"), Ttl::new(10 * MINUTE).unwrap());
        for length in [1, 1_000, 200_000] {
            let entry = |trailer: &'static str| {
                Bytes::from([&vec![b'x'; length][..], trailer.as_bytes()].concat())
            };
            let fill = |token, seen: &'static str, trailer: &'static str| {
                let kept = Retrail { seen: seen.into(), trailer: trailer.into() };
                let (key, value, kept) = (key.clone(), entry(trailer), Some(kept));
                Fill { key, token, value, decoded_size: 0, ttl, hold: None, kept }
            };
            let trailers = [" one", " two", " three!", " 4", " 5"];
            let token = subject.take("k").await;
            let whole = Fill { kept: None, ..fill(token, "", trailers[0]) };
            assert_eq!(subject.backend().store(&[whole]).await.remove(0).unwrap(), Stored::Stored);
            // As long, longer, shorter, and another one than that which was seen.
            for (seen, trailer) in [(0, 1), (1, 2), (2, 3), (0, 4)] {
                let token = subject.take("k").await;
                let fill = fill(token, trailers[seen], trailers[trailer]);
                let stored = subject.backend().store(&[fill]).await.remove(0).unwrap();
                assert_eq!(stored, Stored::Stored);
                assert_eq!(subject.read("k").await.unwrap(), entry(trailers[trailer]));
                let remaining = subject.backend().remaining(&key).await.unwrap();
                assert!(matches!(remaining, Remaining::After(left) if left > 9 * MINUTE));
                subject.granted_seeing_any("k").await;
            }
            for seen in [" 5", " one"] {
                let token = subject.take("k").await;
                subject.invalidate("k").await;
                let fill = fill(token, seen, " 6");
                let stored = subject.backend().store(&[fill]).await.remove(0).unwrap();
                assert_eq!((stored, subject.read("k").await), (Stored::Refused, None));
            }
            // What was evicted is stored as a whole.
            let token = subject.take("k").await;
            let fill = fill(token, " 5", " 6");
            assert_eq!(subject.backend().store(&[fill]).await.remove(0).unwrap(), Stored::Stored);
            assert_eq!(subject.read("k").await.unwrap(), entry(" 6"));
        }
    }
}
