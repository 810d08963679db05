//! An estimate of a server's clock, without asking it each time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hotshelf_core::Moment;
use hotshelf_core::sync::Mutex;
use hotshelf_wire::resp::Value;

/// By how much a server's clock is ahead of the process's own.
///
/// The own clock is [`Runtime::uptime`](hotshelf_core::Runtime::uptime), which counts the time
/// during which the machine was suspended: the server's goes on meanwhile.
#[derive(Debug)]
pub(super) struct ServerClock {
    /// In microseconds; [`UNKNOWN`] before the clock was read.
    ahead: AtomicI64,
    /// What the estimate was taken from. Writers hold the lock.
    latest: Mutex<Option<Reading>>,
}

const UNKNOWN: i64 = i64::MIN;

/// The time after which any reading replaces one that was more precise: the clocks drift.
const LASTING: Duration = Duration::from_secs(60);

/// What a server's clock showed at some time between two moments of the own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// In microseconds, if it was read in the middle.
    ahead: i64,
    /// The maximum error in microseconds: half of the time in between, and what the server's
    /// milliseconds leave open.
    error: i64,
    received: Moment,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self { ahead: AtomicI64::new(UNKNOWN), latest: Mutex::default() }
    }
}

impl ServerClock {
    /// Forgets what was read before: another server may answer on a new connection.
    pub(super) fn restart(&self, reading: Option<Reading>) {
        let mut latest = self.latest.lock();
        self.ahead.store(reading.map_or(UNKNOWN, |reading| reading.ahead), Ordering::Relaxed);
        *latest = reading;
    }

    /// Notes a reading, unless the latest one is more precise and still good.
    pub(super) fn note(&self, reading: Reading) {
        let mut latest = self.latest.lock();
        if latest.is_none_or(|latest| reading.replaces(latest)) {
            self.ahead.store(reading.ahead, Ordering::Relaxed);
            *latest = Some(reading);
        }
    }

    /// Returns what the server's clock shows at a moment, in milliseconds; `None` before it was
    /// read.
    pub(super) fn at(&self, now: Moment) -> Option<u64> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let micros = (ahead != UNKNOWN).then(|| micros(now).saturating_add(ahead));
        micros.map(|micros| u64::try_from(micros / 1_000).unwrap_or_default())
    }
}

impl Reading {
    /// Notes what the server's clock showed in milliseconds between two moments.
    pub(super) fn new(sent: Moment, received: Moment, millis: u64) -> Self {
        /// Half a millisecond: the server rounds down.
        const HALF: i64 = 500;
        let half = micros(received).saturating_sub(micros(sent)) / 2;
        let server = i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(1_000);
        let ahead = server.saturating_add(HALF).saturating_sub(micros(sent).saturating_add(half));
        Self { ahead, error: half.saturating_add(HALF), received }
    }

    fn replaces(self, latest: Self) -> bool {
        let apart = self.ahead.saturating_sub(latest.ahead).saturating_abs();
        self.error <= latest.error
            || self.received.since(latest.received) > LASTING
            // One of the clocks was set.
            || apart > self.error.saturating_add(latest.error)
    }
}

/// Reads the answer to `TIME`, seconds and microseconds, in milliseconds.
pub(super) fn server_millis(answer: &Value) -> Option<u64> {
    let Value::Array(parts) = answer else { return None };
    let [seconds, micros] = &parts[..] else { return None };
    let [seconds, micros] = [seconds, micros].map(|part| part.text()?.parse::<u64>().ok());
    seconds?.checked_mul(1_000)?.checked_add(micros? / 1_000)
}

fn micros(moment: Moment) -> i64 {
    i64::try_from(moment.since(Moment::default()).as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hotshelf_wire::resp::ServerError;

    use super::*;

    /// A moment, in milliseconds.
    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    /// Reads a clock that is a million ahead, at the end of the round trip.
    fn read(sent: u64, received: u64) -> Reading {
        Reading::new(at(sent), at(received), 1_000_000 + received)
    }

    #[test]
    fn clock_is_unknown_before_it_was_read() {
        let clock = ServerClock::default();
        assert_eq!(clock.at(at(5)), None);
        clock.note(Reading::new(at(10), at(14), 5_000));
        assert_eq!((clock.at(at(12)), clock.at(at(1_012))), (Some(5_000), Some(6_000)));
        clock.restart(None);
        assert_eq!(clock.at(at(12)), None);
        clock.restart(Some(Reading::new(at(10), at(14), 7_000)));
        assert_eq!(clock.at(at(12)), Some(7_000));
    }

    #[test]
    fn precise_reading_is_kept_for_a_minute() {
        let clock = ServerClock::default();
        let error = |now| clock.at(at(now)).unwrap().abs_diff(1_000_000 + now);
        clock.note(read(0, 100));
        assert_eq!(error(100), 50);
        clock.note(read(200, 210));
        assert_eq!(error(210), 5);
        clock.note(read(300, 400));
        assert_eq!(error(400), 5, "a worse one replaced it");
        clock.note(read(60_100, 60_210));
        assert_eq!(error(60_210), 5, "a worse one replaced it");
        clock.note(read(60_211, 60_311));
        assert_eq!(error(60_311), 50, "the clocks may have drifted apart");
    }

    #[test]
    fn jump_is_noticed() {
        let clock = ServerClock::default();
        clock.note(Reading::new(at(100), at(102), 5_000));
        // What both readings allow is no jump.
        clock.note(Reading::new(at(200), at(300), 5_199));
        assert_eq!(clock.at(at(101)), Some(5_000));
        for server in [9_000, 2_000] {
            clock.note(Reading::new(at(200), at(300), server));
            assert_eq!(clock.at(at(250)), Some(server));
        }
    }

    #[test]
    fn absurd_clocks_are_harmless() {
        for millis in [0, u64::MAX] {
            let clock = ServerClock::default();
            clock.note(Reading::new(at(u64::MAX), at(0), millis));
            clock.note(Reading::new(at(0), at(u64::MAX), millis));
            assert!(clock.at(at(0)).is_some());
        }
    }

    #[test]
    fn time_is_read_from_the_answer() {
        let bulk = |text: &str| Value::Bulk(Bytes::copy_from_slice(text.as_bytes()));
        let time = |seconds| Value::Array(vec![bulk(seconds), bulk("123456")]);
        assert_eq!(server_millis(&time("1764000000")), Some(1_764_000_000_123));
        assert_eq!(server_millis(&time("18446744073709551615")), None);
        let refused = Value::Error(ServerError::new(Bytes::from_static(b"NOPERM")));
        assert_eq!(server_millis(&refused), None);
    }
}
