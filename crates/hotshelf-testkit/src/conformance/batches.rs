//! Many operations in one request.

use hotshelf_core::backend::{Acquire, Acquired, Pause, Seen, Stored};
use hotshelf_core::{BoxFuture, ErrorKind, WireKey};

use super::subject::{LEASE, MINUTE};
use super::{Subject, define};

define! {
    /// Each of many requests for a lease is answered as if it was sent alone.
    async fn many_leases_are_acquired_at_once(subject) {
        let keys = ["free", "busy", "held", "failed", "filled", "seen", "free", "{a}b", "a}b"];
        let keys = keys.map(WireKey::from);
        let busy = subject.granted("busy").await;
        subject.backend().hold(&keys[2..3], MINUTE).await.unwrap();
        let failed = subject.granted("failed").await;
        let pause = Pause { with_entry: MINUTE, without_entry: MINUTE };
        subject.backend().fail(&keys[3], failed, pause).await.unwrap();
        subject.fill("filled", "1").await;
        subject.fill("seen", "2").await;
        let seen = Seen::entry(&subject.read("seen").await.unwrap());
        let acquire = |key| {
            let seen = if key == &keys[5] { seen.clone() } else { Seen::Nothing };
            Acquire { key, token: subject.token(), lease: LEASE, seen, skip_foreign: false, replace_failure: false }
        };
        let acquires: Vec<_> = keys.iter().map(acquire).collect();
        let answers = subject.backend().acquire_many(&acquires).await;
        let kind = |answer: &Acquired| match answer {
            Acquired::Granted(_) | Acquired::GrantedOver(_) => "granted",
            Acquired::Present(_) => "present",
            Acquired::Busy(_) => "busy",
            Acquired::Held(_) => "held",
            Acquired::BackingOff(_) => "backing off",
            _ => "unknown",
        };
        let kinds: Vec<_> = answers.iter().map(|answer| kind(answer.as_ref().unwrap())).collect();
        assert_eq!(kinds, [
            "granted", "busy", "held", "backing off", "present", "granted", "busy", "granted",
            "granted",
        ]);
        for position in [0, 5, 7, 8] {
            let (key, token) = (keys[position].as_str(), acquires[position].token);
            assert_eq!(subject.store(key, token, "3").await, Stored::Stored, "{key}");
        }
        let refused = subject.store("free", acquires[6].token, "4").await;
        assert_eq!(refused, Stored::Refused, "the second of two requests for one lease");
        assert_eq!(subject.store("busy", busy, "5").await, Stored::Stored);
        assert!(subject.backend().acquire_many(&[]).await.is_empty());
    }

    /// There is one answer for each request, also to more of them than fit into one round trip.
    async fn any_number_of_leases_is_acquired(subject) {
        let keys: Vec<_> = (0..1_100).map(|number| WireKey::from(format!("k{number}"))).collect();
        let acquire = |key| {
            let (token, seen) = (subject.token(), Seen::Nothing);
            Acquire { key, token, lease: LEASE, seen, skip_foreign: true, replace_failure: false }
        };
        let acquires: Vec<_> = keys.iter().map(acquire).collect();
        for granted in [true, false] {
            let answers = subject.backend().acquire_many(&acquires).await;
            assert_eq!(answers.len(), keys.len());
            let is_granted = |answer: Result<Acquired, _>| {
                answer.unwrap().granted().is_some()
            };
            assert!(answers.into_iter().all(|answer| is_granted(answer) == granted));
        }
        subject.backend().close().await;
        let answers = subject.backend().acquire_many(&acquires).await;
        assert_eq!(answers.len(), keys.len());
        let is_closed = |answer: Result<Acquired, hotshelf_core::Error>| {
            answer.unwrap_err().kind() == ErrorKind::Closed
        };
        assert!(answers.into_iter().all(is_closed));
    }
}
