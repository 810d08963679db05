//! Reads that must reflect a change of another process.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};
use crate::runtime::{Moment, Runtime};

/// Stands for a change that has been applied. A call that presents it gets no older value, in
/// any process: the near tier answers it only with what was read after the token was first
/// presented there.
///
/// Hand its text on with a request, such as in an HTTP header. Of several changes, the last
/// token is enough. It contains nothing but random bits, and needs no secrecy: presenting any
/// other one costs a round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConsistencyToken(u128);

impl ConsistencyToken {
    /// Creates a token. Call it after the change has been applied.
    #[must_use]
    pub fn random(runtime: &dyn Runtime) -> Self {
        Self(u128::from(runtime.random()) << 64 | u128::from(runtime.random()))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for ConsistencyToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl FromStr for ConsistencyToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u128::from_str_radix(text, 16) {
            Ok(bits) if is_hexadecimal => Ok(Self(bits)),
            _ => Err(Error::new(
                ErrorKind::Configuration,
                "invalid consistency token: pass the 32 hexadecimal digits that another call \
                 has returned",
            )),
        }
    }
}

/// When tokens were first presented to this process: the latest ones.
#[derive(Debug, Default)]
pub(super) struct Presented {
    since: HashMap<ConsistencyToken, Moment>,
    /// In the order in which they were presented.
    order: VecDeque<ConsistencyToken>,
}

/// The number of tokens that are remembered.
const MOST: usize = 10_000;

impl Presented {
    /// Returns when a token was first presented: now, if it is new or was forgotten.
    pub(super) fn first(&mut self, token: ConsistencyToken, now: Moment) -> Moment {
        if let Some(first) = self.since.get(&token) {
            return *first;
        }
        if self.order.len() == MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.since.remove(&oldest);
        }
        self.order.push_back(token);
        self.since.insert(token, now);
        now
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn text_is_read_back() {
        for token in [ConsistencyToken(0), ConsistencyToken(u128::MAX), ConsistencyToken(7 << 70)] {
            assert_eq!(token.to_string().parse::<ConsistencyToken>().unwrap(), token);
        }
        let long = "0".repeat(33);
        for wrong in ["", "x", "+0000000000000000000000000000007", &long, "é"] {
            let error = wrong.parse::<ConsistencyToken>().unwrap_err();
            assert!(error.to_string().contains("32 hexadecimal digits"), "{error}");
        }
    }

    #[test]
    fn first_time_counts_until_it_is_forgotten() {
        let at = |millis| Moment::after_start(Duration::from_millis(millis));
        let mut presented = Presented::default();
        assert_eq!(presented.first(ConsistencyToken(0), at(1)), at(1));
        assert_eq!(presented.first(ConsistencyToken(0), at(2)), at(1));
        for number in 1..=MOST as u128 {
            presented.first(ConsistencyToken(number), at(3));
        }
        assert_eq!(presented.since.len(), MOST);
        assert_eq!(presented.first(ConsistencyToken(1), at(4)), at(3));
        assert_eq!(presented.first(ConsistencyToken(0), at(5)), at(5));
    }
}
