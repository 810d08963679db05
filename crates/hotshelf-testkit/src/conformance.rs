//! The suite that every backend runs: one behaviour of the protocol a check.
//!
//! A backend's tests implement [`Subject`] and hand a harness to
//! [`conformance_suite!`](crate::conformance_suite), which makes a test of each check, or run
//! all of [`CHECKS`] themselves.
#![expect(clippy::unwrap_used, reason = "a check is a test")]

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{Acquire, Acquired, Fill, Seen, Stored, Take, Taken, Token};
use hotshelf_core::{Backend, BoxFuture, ErrorKind, Pattern, Remaining, Runtime, Ttl, WireKey};

/// A backend under test, and what the suite needs around it.
pub trait Subject: Send + Sync {
    /// The backend, empty at the beginning of a check.
    fn backend(&self) -> &dyn Backend;

    /// Where tokens come from.
    fn runtime(&self) -> &dyn Runtime;

    /// Lets time pass for entries and leases, without waiting for it.
    fn pass(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

/// One behaviour.
pub type Check = for<'a> fn(&'a dyn Subject) -> BoxFuture<'a, ()>;

const LEASE: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

/// Writes the checks, async functions whose futures are boxed, and what runs all of them. It
/// is given a dollar for the macro that it writes.
macro_rules! checks {
    ($dollar:tt $($(#[$doc:meta])* async fn $name:ident($subject:ident) $body:block)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Panics
            /// If the backend doesn't do so.
            pub fn $name($subject: &dyn Subject) -> BoxFuture<'_, ()> {
                Box::pin(async move $body)
            }
        )+

        /// All checks with their names, for a test that runs them in one go where a server for
        /// each would be too expensive. Each still needs an empty backend.
        pub const CHECKS: &[(&str, Check)] = &[$((stringify!($name), $name)),+];

        /// Makes a test of each check; the harness is a `fn(Check)` that runs one on a new
        /// subject.
        #[macro_export]
        macro_rules! conformance_suite {
            ($dollar harness:path) => {
                $(
                    #[test]
                    fn $name() {
                        $dollar harness($dollar crate::conformance::$name);
                    }
                )+
            };
        }
    };
}

/// The operations in the short form that checks read best in.
impl dyn Subject + '_ {
    fn token(&self) -> Token {
        Token::random(self.runtime())
    }

    async fn read(&self, key: &str) -> Option<Bytes> {
        self.backend().read(&[key.into()]).await.unwrap().remove(0)
    }

    async fn acquire(&self, key: &str, token: Token) -> Acquired {
        self.acquire_seeing(key, token, Seen::Nothing).await
    }

    async fn acquire_seeing(&self, key: &str, token: Token, seen: Seen) -> Acquired {
        let key = WireKey::from(key);
        let acquire = Acquire { key: &key, token, lease: LEASE, seen, skip_foreign: false };
        self.backend().acquire(acquire).await.unwrap()
    }

    /// Acquires, which must be granted.
    async fn granted(&self, key: &str) -> Token {
        let token = self.token();
        let answer = self.acquire(key, token).await;
        assert!(matches!(answer, Acquired::Granted(_)), "{key}: {answer:?}");
        token
    }

    async fn store(&self, key: &str, token: Token, value: &'static str) -> Stored {
        self.store_for(key, token, value, MINUTE).await
    }

    async fn store_for(
        &self,
        key: &str,
        token: Token,
        value: &'static str,
        ttl: Duration,
    ) -> Stored {
        let ttl = Ttl::new(ttl).unwrap();
        let fill =
            Fill { key: key.into(), token, value: Bytes::from_static(value.as_bytes()), ttl };
        self.backend().store(&[fill]).await.remove(0).unwrap()
    }

    /// Acquires and fills, which must work.
    async fn fill(&self, key: &str, value: &'static str) {
        let token = self.granted(key).await;
        assert_eq!(self.store(key, token, value).await, Stored::Stored, "{key}");
    }

    async fn take(&self, key: &str) -> Token {
        let token = self.token();
        let take = Take { key: key.into(), token, lease: LEASE };
        assert_eq!(self.backend().take(&[take]).await.remove(0).unwrap(), Taken::Granted);
        token
    }

    async fn invalidate(&self, key: &str) -> u64 {
        self.backend().invalidate(&[key.into()]).await.unwrap()
    }

    async fn invalidate_matching(&self, pattern: &str) -> u64 {
        self.backend().invalidate_matching(&Pattern::new(pattern)).await.unwrap()
    }
}

checks! { $
    /// A key that nobody filled is missing.
    async fn nothing_is_read_where_nothing_was_stored(subject) {
        assert_eq!(subject.read("k").await, None);
    }

    /// What was stored under a granted lease is there, to the byte.
    async fn a_granted_fill_is_read(subject) {
        subject.fill("k", r#"{"a": 1}"#).await;
        assert_eq!(subject.read("k").await.unwrap(), r#"{"a": 1}"#);
    }

    /// Answers stand in the order of the keys, misses among them.
    async fn many_keys_are_read_in_their_order(subject) {
        subject.fill("a", "1").await;
        subject.fill("c", "3").await;
        let keys = ["c", "b", "a", "c"].map(WireKey::from);
        let read = subject.backend().read(&keys).await.unwrap();
        let texts: Vec<_> = read.iter().map(|raw| raw.as_deref().unwrap_or(b"-")).collect();
        assert_eq!(texts, [b"3", b"-", b"1", b"3"]);
    }

    /// An entry is gone when its time is over, and not before.
    async fn an_entry_expires(subject) {
        subject.fill("k", "1").await;
        subject.pass(MINUTE - Duration::from_secs(20)).await;
        assert!(subject.read("k").await.is_some());
        subject.pass(Duration::from_secs(21)).await;
        assert_eq!(subject.read("k").await, None);
    }

    /// A lifetime is counted in milliseconds.
    async fn a_ttl_below_a_second_is_kept(subject) {
        let token = subject.granted("k").await;
        subject.store_for("k", token, "1", Duration::from_millis(900)).await;
        let remaining = subject.backend().remaining(&"k".into()).await.unwrap();
        assert!(matches!(remaining, Remaining::After(left) if left <= Duration::from_millis(900)));
        subject.pass(Duration::from_millis(901)).await;
        assert_eq!(subject.read("k").await, None);
    }

    /// The time that an entry still lives shrinks; without an entry there is none.
    async fn the_remaining_time_is_told(subject) {
        let key = WireKey::from("k");
        assert_eq!(subject.backend().remaining(&key).await.unwrap(), Remaining::Missing);
        subject.fill("k", "1").await;
        subject.pass(Duration::from_secs(30)).await;
        let remaining = subject.backend().remaining(&key).await.unwrap();
        let Remaining::After(left) = remaining else { panic!("{remaining:?}") };
        assert!((25..=30).contains(&left.as_secs()), "{left:?}");
    }

    /// While one caller holds the lease, another is told for how long.
    async fn a_second_acquire_is_busy(subject) {
        subject.granted("k").await;
        let answer = subject.acquire("k", subject.token()).await;
        let Acquired::Busy(left) = answer else { panic!("{answer:?}") };
        assert!(left <= LEASE && left > LEASE / 2, "{left:?}");
    }

    /// A caller that comes late is given the entry, and sets no lease.
    async fn an_acquire_answers_what_the_caller_has_not_seen(subject) {
        subject.fill("k", "1").await;
        let late = subject.token();
        assert_eq!(subject.acquire("k", late).await, Acquired::Present(Bytes::from_static(b"1")));
        assert_eq!(subject.store("k", late, "2").await, Stored::Refused);
    }

    /// A caller that has judged the entry a miss may fill the key.
    async fn an_acquire_over_what_was_seen_is_granted(subject) {
        subject.fill("k", "not for us").await;
        let seen = Seen::entry(&subject.read("k").await.unwrap());
        let token = subject.token();
        let answer = subject.acquire_seeing("k", token, seen).await;
        assert!(matches!(answer, Acquired::Granted(_)), "{answer:?}");
        assert_eq!(subject.store("k", token, "2").await, Stored::Stored);
        assert_eq!(subject.read("k").await.unwrap(), "2");
    }

    /// A caller that takes nothing from plain writers may fill over what they wrote.
    async fn an_acquire_can_skip_what_has_no_trailer(subject) {
        for (value, skipped) in [("plain", true), ("ours\r \n\n\t\t\r\n", false)] {
            subject.fill("k", value).await;
            let key = WireKey::from("k");
            let (token, seen) = (subject.token(), Seen::Nothing);
            let acquire = Acquire { key: &key, token, lease: LEASE, seen, skip_foreign: true };
            let answer = subject.backend().acquire(acquire).await.unwrap();
            assert_eq!(matches!(answer, Acquired::Granted(_)), skipped, "{answer:?}");
            subject.invalidate("k").await;
        }
    }

    /// Nothing is stored without a lease.
    async fn a_fill_without_lease_is_refused(subject) {
        assert_eq!(subject.store("k", subject.token(), "1").await, Stored::Refused);
        assert_eq!(subject.read("k").await, None);
    }

    /// Nothing is stored under a lease that another holds.
    async fn a_fill_with_anothers_token_is_refused(subject) {
        let holder = subject.granted("k").await;
        assert_eq!(subject.store("k", subject.token(), "1").await, Stored::Refused);
        assert_eq!(subject.store("k", holder, "2").await, Stored::Stored);
    }

    /// A fill gives its lease up.
    async fn a_token_fills_once(subject) {
        let token = subject.granted("k").await;
        assert_eq!(subject.store("k", token, "1").await, Stored::Stored);
        assert_eq!(subject.store("k", token, "2").await, Stored::Refused);
        assert_eq!(subject.read("k").await.unwrap(), "1");
    }

    /// A holder that crashed blocks a key for one lease at most.
    async fn a_lease_runs_out(subject) {
        subject.granted("k").await;
        subject.pass(LEASE + Duration::from_millis(1)).await;
        subject.granted("k").await;
    }

    /// A holder that was paused for too long stores nothing.
    async fn a_fill_after_the_lease_ran_out_is_refused(subject) {
        let slow = subject.granted("k").await;
        subject.pass(LEASE + Duration::from_millis(1)).await;
        assert_eq!(subject.store("k", slow, "1").await, Stored::Refused);
    }

    /// Renewing makes a lease last as long again.
    async fn a_renewed_lease_lasts(subject) {
        let token = subject.granted("k").await;
        subject.pass(LEASE * 4 / 5).await;
        assert!(subject.backend().renew(&"k".into(), token, LEASE).await.unwrap());
        subject.pass(LEASE * 4 / 5).await;
        assert_eq!(subject.store("k", token, "1").await, Stored::Stored);
    }

    /// Renewing never brings a lease back.
    async fn a_lost_lease_is_not_renewed(subject) {
        let token = subject.granted("k").await;
        subject.invalidate("k").await;
        assert!(!subject.backend().renew(&"k".into(), token, LEASE).await.unwrap());
        assert_eq!(subject.store("k", token, "1").await, Stored::Refused);
    }

    /// A caller that gives up lets the next one in at once.
    async fn a_release_frees_the_key(subject) {
        let token = subject.granted("k").await;
        subject.backend().release(&"k".into(), token).await.unwrap();
        subject.granted("k").await;
    }

    /// Only its holder can give a lease up.
    async fn a_release_with_anothers_token_does_nothing(subject) {
        let holder = subject.granted("k").await;
        subject.backend().release(&"k".into(), subject.token()).await.unwrap();
        assert_eq!(subject.store("k", holder, "1").await, Stored::Stored);
    }

    /// An invalidated entry is gone; a missing one is no error.
    async fn an_invalidation_removes_the_entry(subject) {
        subject.fill("k", "1").await;
        assert_eq!(subject.invalidate("k").await, 1);
        assert_eq!(subject.read("k").await, None);
        assert_eq!(subject.invalidate("k").await, 0);
    }

    /// A load that began before the invalidation stores nothing after it.
    async fn an_invalidation_refuses_the_fill_in_flight(subject) {
        let before = subject.granted("k").await;
        subject.invalidate("k").await;
        assert_eq!(subject.store("k", before, "old").await, Stored::Refused);
        let after = subject.granted("k").await;
        assert_eq!(subject.store("k", before, "old").await, Stored::Refused);
        assert_eq!(subject.store("k", after, "new").await, Stored::Stored);
    }

    /// One call invalidates many keys.
    async fn many_keys_are_invalidated_at_once(subject) {
        subject.fill("a", "1").await;
        subject.fill("b", "2").await;
        subject.fill("c", "3").await;
        let keys = ["a", "b", "missing"].map(WireKey::from);
        assert_eq!(subject.backend().invalidate(&keys).await.unwrap(), 2);
        assert_eq!(subject.read("b").await, None);
        assert!(subject.read("c").await.is_some());
    }

    /// An insert can't be overwritten by a load that began before it.
    async fn a_take_refuses_the_fill_in_flight(subject) {
        let loading = subject.granted("k").await;
        subject.take("k").await;
        assert_eq!(subject.store("k", loading, "loaded").await, Stored::Refused);
    }

    /// Whoever has taken a key over may fill it, whatever stands there.
    async fn a_taken_key_is_filled(subject) {
        subject.fill("k", "1").await;
        let token = subject.take("k").await;
        assert_eq!(subject.store("k", token, "2").await, Stored::Stored);
        assert_eq!(subject.read("k").await.unwrap(), "2");
    }

    /// The last one to take a key fills it.
    async fn of_two_takes_the_later_one_fills(subject) {
        let first = subject.take("k").await;
        let second = subject.take("k").await;
        assert_eq!(subject.store("k", first, "1").await, Stored::Refused);
        assert_eq!(subject.store("k", second, "2").await, Stored::Stored);
    }

    /// A pattern removes all that matches, counts it, and leaves the rest.
    async fn a_pattern_removes_what_matches_and_no_more(subject) {
        for number in 0..50 {
            subject.fill(&format!("cache:v1:list:{number}"), "1").await;
        }
        subject.fill("cache:v1:lists", "1").await;
        assert_eq!(subject.invalidate_matching("cache:v1:list:*").await, 50);
        assert_eq!(subject.read("cache:v1:list:7").await, None);
        assert!(subject.read("cache:v1:lists").await.is_some());
        assert_eq!(subject.invalidate_matching("cache:v1:list:*").await, 0);
    }

    /// A load in flight under a key that matches stores nothing.
    async fn a_pattern_refuses_the_fill_in_flight(subject) {
        let matching = subject.granted("cache:v1:list:1").await;
        let other = subject.granted("cache:v1:other:1").await;
        let braces = subject.granted("cache:v1:list:{x}").await;
        assert_eq!(subject.invalidate_matching("cache:v1:list:*").await, 0);
        assert_eq!(subject.store("cache:v1:list:1", matching, "old").await, Stored::Refused);
        assert_eq!(subject.store("cache:v1:list:{x}", braces, "old").await, Stored::Refused);
        assert_eq!(subject.store("cache:v1:other:1", other, "1").await, Stored::Stored);
    }

    /// A star in an identifier is a star.
    async fn a_pattern_treats_escaped_characters_literally(subject) {
        subject.fill("c:user[1]*", "1").await;
        subject.fill("c:user1x", "1").await;
        let pattern = format!("c:{}", Pattern::escape("user[1]*"));
        assert_eq!(subject.invalidate_matching(&pattern).await, 1);
        assert!(subject.read("c:user1x").await.is_some());
    }

    /// A tag has one version, and after an invalidation another that it never had.
    async fn a_tag_keeps_its_version_until_it_is_invalidated(subject) {
        let tags = [WireKey::from("hs:t:x")];
        let keep = Ttl::new(MINUTE).unwrap();
        let capture = || subject.backend().capture(&tags, keep);
        let first = capture().await.unwrap();
        assert_eq!(capture().await.unwrap(), first);
        let read = subject.backend().read(&tags).await.unwrap();
        assert_eq!(read[0].as_deref(), Some(&first[0][..]), "a read gives the version");
        subject.backend().invalidate_tags(&tags).await.unwrap();
        assert_ne!(capture().await.unwrap(), first);
    }

    /// Tags are told apart, and answered in order.
    async fn tags_have_versions_of_their_own(subject) {
        let (one, two) = (WireKey::from("hs:t:1"), WireKey::from("hs:t:2"));
        let keep = Ttl::new(MINUTE).unwrap();
        let forth = subject.backend().capture(&[one.clone(), two.clone()], keep).await.unwrap();
        let back = subject.backend().capture(&[two, one], keep).await.unwrap();
        assert_ne!(forth[0], forth[1]);
        assert_eq!(forth, [back[1], back[0]]);
    }

    /// No text is too strange, or too long, to be a key.
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

    /// Values are bytes, even none at all.
    async fn any_bytes_are_a_value(subject) {
        let key = WireKey::from("k");
        for value in [Bytes::new(), Bytes::from_static(b"\r\n\0\xff"), Bytes::from(vec![7; 300_000])] {
            let token = subject.take("k").await;
            let ttl = Ttl::new(MINUTE).unwrap();
            let fill = Fill { key: key.clone(), token, value: value.clone(), ttl };
            subject.backend().store(&[fill]).await.remove(0).unwrap();
            assert_eq!(subject.read("k").await.unwrap(), value);
        }
    }

    /// Operations on no keys answer without trouble.
    async fn no_keys_are_no_work(subject) {
        assert!(subject.backend().read(&[]).await.unwrap().is_empty());
        assert!(subject.backend().store(&[]).await.is_empty());
        assert!(subject.backend().take(&[]).await.is_empty());
        assert_eq!(subject.backend().invalidate(&[]).await.unwrap(), 0);
        subject.backend().invalidate_tags(&[]).await.unwrap();
    }

    /// The backend answers a ping and tells what it is and does.
    async fn the_server_says_what_it_is(subject) {
        subject.backend().ping().await.unwrap();
        subject.fill("k", "1").await;
        subject.read("k").await;
        subject.read("missing").await;
        let info = subject.backend().info().await.unwrap();
        assert!(info.version.starts_with(|first: char| first.is_ascii_digit()), "{info:?}");
        assert!(info.keyspace_hits >= 1 && info.keyspace_misses >= 1, "{info:?}");
        assert!(info.used_memory > 0 && info.total_commands > 0, "{info:?}");
    }

    /// After `close` every operation answers so, at once.
    async fn a_closed_backend_says_so(subject) {
        subject.backend().close().await;
        assert_eq!(subject.backend().ping().await.unwrap_err().kind(), ErrorKind::Closed);
        let read = subject.backend().read(&["k".into()]).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Closed);
    }
}
