//! The conformance suite of backends. Each check tests one behaviour of the protocol.
//!
//! A backend's tests implement [`Subject`] and pass a harness to
//! [`conformance_suite!`](crate::conformance_suite), which defines a test for each check, or
//! run all of [`CHECKS`] themselves.
#![expect(clippy::unwrap_used, reason = "a check is a test")]

mod batches;
mod marks;
mod subject;
mod tags;
mod trailers;
mod values;

use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{Acquire, Acquired, Seen, Stored};
use hotshelf_core::{BoxFuture, ErrorKind, Pattern, Remaining, WireKey};

pub use batches::*;
pub use marks::*;
pub use subject::Subject;
use subject::{LEASE, MINUTE};
pub use tags::*;
pub use trailers::*;
pub use values::*;

/// A test of one behaviour.
pub type Check = for<'a> fn(&'a dyn Subject) -> BoxFuture<'a, ()>;

/// Defines checks, which are async functions with boxed futures.
macro_rules! define {
    ($($(#[$doc:meta])* async fn $name:ident($subject:ident) $body:block)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Panics
            /// If the backend behaves differently.
            pub fn $name($subject: &dyn Subject) -> BoxFuture<'_, ()> {
                Box::pin(async move $body)
            }
        )+

        /// The number of checks.
        pub(super) const DEFINED: usize = [$(stringify!($name)),+].len();
    };
}
use define;

/// Defines the list and the macro that run all checks. The dollar sign is for the macro that it
/// defines.
macro_rules! list {
    ($dollar:tt $($name:ident)+) => {
        /// All checks with their names, for a test that runs them one after another because a
        /// server for each would be too expensive. Each still needs an empty backend.
        pub const CHECKS: &[(&str, Check)] = &[$((stringify!($name), $name)),+];

        /// Defines a test for each check. The harness is a `fn(Check)` that runs a check on a
        /// new subject.
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

define! {
    /// A key that was never filled is missing.
    async fn missing_key_reads_nothing(subject) {
        assert_eq!(subject.read("k").await, None);
    }

    /// A value stored with a granted lease is read back unchanged.
    async fn granted_fill_is_read(subject) {
        subject.fill("k", r#"{"a": 1}"#).await;
        assert_eq!(subject.read("k").await.unwrap(), r#"{"a": 1}"#);
    }

    /// Values are returned in the order of the keys, including misses.
    async fn reads_keep_order_of_keys(subject) {
        subject.fill("a", "1").await;
        subject.fill("c", "3").await;
        let keys = ["c", "b", "a", "c"].map(WireKey::from);
        let read = subject.backend().read(&keys).await.unwrap();
        let texts: Vec<_> = read.iter().map(|raw| raw.as_deref().unwrap_or(b"-")).collect();
        assert_eq!(texts, [b"3", b"-", b"1", b"3"]);
    }

    /// An entry expires after its time to live, not earlier.
    async fn entry_expires(subject) {
        subject.fill("k", "1").await;
        subject.pass(MINUTE - Duration::from_secs(20)).await;
        assert!(subject.read("k").await.is_some());
        subject.pass(Duration::from_secs(21)).await;
        assert_eq!(subject.read("k").await, None);
    }

    /// Times to live have a resolution of milliseconds.
    async fn ttl_below_a_second_is_kept(subject) {
        let token = subject.granted("k").await;
        subject.store_for("k", token, "1", Duration::from_millis(900)).await;
        let remaining = subject.backend().remaining(&"k".into()).await.unwrap();
        assert!(matches!(remaining, Remaining::After(left) if left <= Duration::from_millis(900)));
        subject.pass(Duration::from_millis(901)).await;
        assert_eq!(subject.read("k").await, None);
    }

    /// The remaining time of an entry shrinks, and a missing entry has none.
    async fn remaining_time_shrinks(subject) {
        let key = WireKey::from("k");
        assert_eq!(subject.backend().remaining(&key).await.unwrap(), Remaining::Missing);
        subject.fill("k", "1").await;
        subject.pass(Duration::from_secs(30)).await;
        let remaining = subject.backend().remaining(&key).await.unwrap();
        let Remaining::After(left) = remaining else { panic!("{remaining:?}") };
        assert!((25..=30).contains(&left.as_secs()), "{left:?}");
    }

    /// While one caller holds the lease, another gets its remaining time.
    async fn second_acquire_is_busy(subject) {
        subject.granted("k").await;
        let answer = subject.acquire("k", subject.token()).await;
        let Acquired::Busy(left) = answer else { panic!("{answer:?}") };
        assert!(left <= LEASE && left > LEASE / 2, "{left:?}");
    }

    /// A late caller gets the entry instead of the lease.
    async fn acquire_returns_unseen_entry(subject) {
        subject.fill("k", "1").await;
        let late = subject.token();
        assert_eq!(subject.acquire("k", late).await, Acquired::Present(Bytes::from_static(b"1")));
        assert_eq!(subject.store("k", late, "2").await, Stored::Refused);
    }

    /// A caller to which the entry is a miss may fill the key, and is told if it is there still.
    async fn acquire_over_seen_entry_is_granted(subject) {
        subject.fill("k", "not for us").await;
        let seen = Seen::entry(&subject.read("k").await.unwrap());
        let token = subject.token();
        subject.invalidate("k").await;
        let answer = subject.acquire_seeing("k", token, seen.clone()).await;
        assert!(matches!(answer, Acquired::Granted(_)), "{answer:?}");
        subject.invalidate("k").await;
        subject.fill("k", "not for us").await;
        let token = subject.token();
        let answer = subject.acquire_seeing("k", token, seen).await;
        assert!(matches!(answer, Acquired::GrantedOver(_)), "{answer:?}");
        assert_eq!(subject.store("k", token, "2").await, Stored::Stored);
        assert_eq!(subject.read("k").await.unwrap(), "2");
    }

    /// A caller that rejects untracked entries may fill over them.
    async fn acquire_can_skip_untracked_entry(subject) {
        for (value, skipped) in [("plain", true), ("ours\r \n\n\t\t\r\n", false)] {
            subject.fill("k", value).await;
            let key = WireKey::from("k");
            let (token, seen) = (subject.token(), Seen::Nothing);
            let acquire = Acquire { key: &key, token, lease: LEASE, seen, skip_foreign: true, replace_failure: false };
            let answer = subject.backend().acquire(acquire).await.unwrap();
            assert_eq!(answer.granted().is_some(), skipped, "{answer:?}");
            subject.invalidate("k").await;
        }
    }

    /// ACQUIRE and TAKE return the time of the same clock.
    async fn take_and_acquire_share_a_clock(subject) {
        let acquired = async |key| match subject.acquire(key, subject.token()).await {
            Acquired::Granted(millis) | Acquired::GrantedOver(millis) => millis,
            other => panic!("{other:?}"),
        };
        subject.pass(Duration::from_secs(1)).await;
        let first = acquired("a").await;
        let (_, second) = subject.take_at("b").await;
        let third = acquired("c").await;
        assert!(0 < first && first <= second && second <= third, "{first} {second} {third}");
        assert!(third - first < 30_000, "{first} {third}");
    }

    /// Nothing is stored without a lease.
    async fn fill_without_lease_is_refused(subject) {
        assert_eq!(subject.store("k", subject.token(), "1").await, Stored::Refused);
        assert_eq!(subject.read("k").await, None);
    }

    /// Nothing is stored while another token holds the lease.
    async fn fill_with_another_token_is_refused(subject) {
        let holder = subject.granted("k").await;
        assert_eq!(subject.store("k", subject.token(), "1").await, Stored::Refused);
        assert_eq!(subject.store("k", holder, "2").await, Stored::Stored);
    }

    /// A fill releases its lease.
    async fn token_fills_once(subject) {
        let token = subject.granted("k").await;
        assert_eq!(subject.store("k", token, "1").await, Stored::Stored);
        assert_eq!(subject.store("k", token, "2").await, Stored::Refused);
        assert_eq!(subject.read("k").await.unwrap(), "1");
    }

    /// A holder that crashed blocks a key for one lease at most.
    async fn lease_expires(subject) {
        subject.granted("k").await;
        subject.pass(LEASE + Duration::from_millis(1)).await;
        subject.granted("k").await;
    }

    /// A holder whose lease has expired stores nothing.
    async fn expired_lease_refuses_fill(subject) {
        let slow = subject.granted("k").await;
        subject.pass(LEASE + Duration::from_millis(1)).await;
        assert_eq!(subject.store("k", slow, "1").await, Stored::Refused);
    }

    /// Renewing a lease restarts its time.
    async fn renewed_lease_lasts(subject) {
        let token = subject.granted("k").await;
        subject.pass(LEASE * 4 / 5).await;
        assert!(subject.backend().renew(&"k".into(), token, LEASE).await.unwrap());
        subject.pass(LEASE * 4 / 5).await;
        assert_eq!(subject.store("k", token, "1").await, Stored::Stored);
    }

    /// RENEW never restores a lost lease.
    async fn lost_lease_is_not_renewed(subject) {
        let token = subject.granted("k").await;
        subject.invalidate("k").await;
        assert!(!subject.backend().renew(&"k".into(), token, LEASE).await.unwrap());
        assert_eq!(subject.store("k", token, "1").await, Stored::Refused);
    }

    /// After a release the next caller gets the lease immediately.
    async fn release_frees_key(subject) {
        let token = subject.granted("k").await;
        subject.backend().release(&"k".into(), token).await.unwrap();
        subject.granted("k").await;
    }

    /// Only its holder can release a lease.
    async fn release_with_another_token_does_nothing(subject) {
        let holder = subject.granted("k").await;
        subject.backend().release(&"k".into(), subject.token()).await.unwrap();
        assert_eq!(subject.store("k", holder, "1").await, Stored::Stored);
    }

    /// Invalidation removes an entry. Invalidating a missing one is not an error.
    async fn invalidation_removes_entry(subject) {
        subject.fill("k", "1").await;
        assert_eq!(subject.invalidate("k").await, 1);
        assert_eq!(subject.read("k").await, None);
        assert_eq!(subject.invalidate("k").await, 0);
    }

    /// A load that began before the invalidation stores nothing afterwards.
    async fn invalidation_refuses_fill_in_flight(subject) {
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

    /// A load that began before an insert can't overwrite it.
    async fn take_refuses_fill_in_flight(subject) {
        let loading = subject.granted("k").await;
        subject.take("k").await;
        assert_eq!(subject.store("k", loading, "loaded").await, Stored::Refused);
    }

    /// A caller that has taken a lease over may fill the key, even over an entry.
    async fn taken_key_is_filled(subject) {
        subject.fill("k", "1").await;
        let token = subject.take("k").await;
        assert_eq!(subject.store("k", token, "2").await, Stored::Stored);
        assert_eq!(subject.read("k").await.unwrap(), "2");
    }

    /// The last caller to take a lease over fills the key.
    async fn later_of_two_takes_fills(subject) {
        let first = subject.take("k").await;
        let second = subject.take("k").await;
        assert_eq!(subject.store("k", first, "1").await, Stored::Refused);
        assert_eq!(subject.store("k", second, "2").await, Stored::Stored);
    }

    /// A pattern removes and counts the entries that match, and no others.
    async fn pattern_removes_only_matching_entries(subject) {
        for number in 0..50 {
            subject.fill(&format!("cache:v1:list:{number}"), "1").await;
        }
        subject.fill("cache:v1:lists", "1").await;
        assert_eq!(subject.invalidate_matching("cache:v1:list:*").await, 50);
        assert_eq!(subject.read("cache:v1:list:7").await, None);
        assert!(subject.read("cache:v1:lists").await.is_some());
        assert_eq!(subject.invalidate_matching("cache:v1:list:*").await, 0);
    }

    /// A load in flight stores nothing if its key matches.
    async fn pattern_refuses_fill_in_flight(subject) {
        let matching = subject.granted("cache:v1:list:1").await;
        let other = subject.granted("cache:v1:other:1").await;
        let braces = subject.granted("cache:v1:list:{x}").await;
        assert_eq!(subject.invalidate_matching("cache:v1:list:*").await, 0);
        assert_eq!(subject.store("cache:v1:list:1", matching, "old").await, Stored::Refused);
        assert_eq!(subject.store("cache:v1:list:{x}", braces, "old").await, Stored::Refused);
        assert_eq!(subject.store("cache:v1:other:1", other, "1").await, Stored::Stored);
    }

    /// An escaped star matches only a star.
    async fn pattern_takes_escaped_characters_literally(subject) {
        subject.fill("c:user[1]*", "1").await;
        subject.fill("c:user1x", "1").await;
        let pattern = format!("c:{}", Pattern::escape("user[1]*"));
        assert_eq!(subject.invalidate_matching(&pattern).await, 1);
        assert!(subject.read("c:user1x").await.is_some());
    }

    /// Operations on no keys succeed.
    async fn empty_batches_succeed(subject) {
        assert!(subject.backend().read(&[]).await.unwrap().is_empty());
        assert!(subject.backend().store(&[]).await.is_empty());
        assert!(subject.backend().take(&[]).await.is_empty());
        assert_eq!(subject.backend().invalidate(&[]).await.unwrap(), 0);
        subject.backend().invalidate_tags(&[]).await.unwrap();
    }

    /// The backend answers a ping and describes itself.
    async fn info_describes_server(subject) {
        subject.backend().ping().await.unwrap();
        subject.fill("k", "1").await;
        subject.read("k").await;
        subject.read("missing").await;
        let info = subject.backend().info().await.unwrap();
        assert!(info.version.starts_with(|first: char| first.is_ascii_digit()), "{info:?}");
        assert!(info.keyspace_hits >= 1 && info.keyspace_misses >= 1, "{info:?}");
        assert!(info.used_memory > 0 && info.total_commands > 0, "{info:?}");
    }

    /// After `close` every operation fails with an error of kind `Closed`.
    async fn closed_backend_fails_operations(subject) {
        subject.backend().close().await;
        assert_eq!(subject.backend().ping().await.unwrap_err().kind(), ErrorKind::Closed);
        let read = subject.backend().read(&["k".into()]).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Closed);
    }
}

list! { $
    missing_key_reads_nothing
    granted_fill_is_read
    reads_keep_order_of_keys
    entry_expires
    ttl_below_a_second_is_kept
    remaining_time_shrinks
    second_acquire_is_busy
    acquire_returns_unseen_entry
    acquire_over_seen_entry_is_granted
    acquire_can_skip_untracked_entry
    take_and_acquire_share_a_clock
    fill_without_lease_is_refused
    fill_with_another_token_is_refused
    token_fills_once
    lease_expires
    expired_lease_refuses_fill
    renewed_lease_lasts
    lost_lease_is_not_renewed
    release_frees_key
    release_with_another_token_does_nothing
    invalidation_removes_entry
    invalidation_refuses_fill_in_flight
    many_keys_are_invalidated_at_once
    take_refuses_fill_in_flight
    taken_key_is_filled
    later_of_two_takes_fills
    pattern_removes_only_matching_entries
    pattern_refuses_fill_in_flight
    pattern_takes_escaped_characters_literally
    any_text_is_a_key
    any_bytes_are_a_value
    large_values_are_fenced
    kept_values_are_fenced
    empty_batches_succeed
    info_describes_server
    closed_backend_fails_operations
    many_leases_are_acquired_at_once
    any_number_of_leases_is_acquired
    held_key_is_not_filled
    hold_removes_entry_and_lease
    lost_token_keeps_the_mark
    longest_hold_counts
    failed_load_pauses_others
    pause_ends_with_entry
    failure_without_pause_releases
    failure_of_another_token_does_nothing
    clock_is_estimated
    tag_version_changes_with_invalidation
    tags_have_separate_versions
    tag_version_has_an_age
    trailer_is_replaced
    other_trailer_is_kept
    trailer_of_missing_entry_is_not_set
    replaced_trailer_keeps_the_lease
    replaced_trailer_is_reported
}

const _: () = assert!(
    CHECKS.len()
        == DEFINED
            + batches::DEFINED
            + marks::DEFINED
            + tags::DEFINED
            + trailers::DEFINED
            + values::DEFINED,
    "a check is not in the list"
);
