//! Pauses between attempts: they double up to a bound, with random jitter.

use std::time::Duration;

use crate::ttl::below;

/// The pauses between attempts of an operation that keeps failing.
///
/// The pause doubles from the first to the longest, and each is shortened by up to half at
/// random, so that clients that failed together don't retry together. This is "equal jitter"
/// as in Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>): half of the
/// pause is kept, so that no attempt immediately follows the previous one.
///
/// It holds no clock and no randomness: the caller sleeps, and passes in
/// [`Runtime::random`](crate::Runtime::random).
///
/// ```
/// use std::time::Duration;
///
/// use hotshelf_core::backoff::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
/// assert_eq!(backoff.next(u64::MAX), Duration::from_millis(50));
/// assert_eq!(backoff.next(u64::MAX), Duration::from_millis(100));
/// backoff.reset();
/// assert_eq!(backoff.next(0), Duration::from_millis(25));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// The next pause, before jitter.
    next: Duration,
}

impl Backoff {
    /// Creates a back-off that begins with the first pause. If both bounds are equal, all
    /// pauses are the same except for their jitter. A first pause above the longest counts as
    /// the longest.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        let first = if first.as_nanos() < longest.as_nanos() { first } else { longest };
        Self { first, longest, next: first }
    }

    /// Returns the pause before the next attempt, from half of it (`random` is 0) to all of it
    /// (`random` is `u64::MAX`).
    #[must_use]
    pub fn next(&mut self, random: u64) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        let half = pause / 2;
        // More than 584 years in nanoseconds exceed 64 bits, and are never waited for.
        let rest = u64::try_from((pause - half).as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(below(rest.saturating_add(1), random))
    }

    /// Resets to the first pause, after a success.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    fn pauses(backoff: &mut Backoff, random: u64) -> Vec<u128> {
        (0..9).map(|_| backoff.next(random).as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let expected = [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000];
        assert_eq!(pauses(&mut backoff, u64::MAX), expected);
    }

    #[test]
    fn jitter_cuts_at_most_half() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        assert_eq!(pauses(&mut backoff, 0), [25, 50, 100, 200, 400, 800, 1600, 2500, 2500]);
        backoff.reset();
        assert_eq!(backoff.next(u64::MAX / 2).as_micros(), 37_500);
    }

    #[test]
    fn reset_begins_with_first_pause() {
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let before = pauses(&mut backoff, u64::MAX);
        backoff.reset();
        assert_eq!(pauses(&mut backoff, u64::MAX), before);
    }

    #[test]
    fn equal_bounds_keep_the_pause() {
        for first in [LONGEST, 2 * LONGEST] {
            let mut backoff = Backoff::new(first, LONGEST);
            assert_eq!(pauses(&mut backoff, u64::MAX), [5000; 9]);
        }
    }

    #[test]
    fn extreme_pauses_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        for random in [0, u64::MAX] {
            assert!((Duration::MAX / 2..=Duration::MAX).contains(&backoff.next(random)));
        }
        let mut backoff = Backoff::new(Duration::ZERO, LONGEST);
        assert_eq!(backoff.next(u64::MAX), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn every_pause_is_within_bounds(
            first in 0_u64..10_000,
            longest in 0_u64..10_000,
            randoms in proptest::collection::vec(any::<u64>(), 1..20),
        ) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let mut backoff = Backoff::new(first, longest);
            let mut whole = first.min(longest);
            for random in randoms {
                let pause = backoff.next(random);
                prop_assert!((whole / 2..=whole).contains(&pause), "{:?} of {:?}", pause, whole);
                whole = (2 * whole).min(longest);
            }
        }
    }
}
