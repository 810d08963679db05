//! Network conditions that a proxy simulates.

use std::time::Duration;

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server: requests.
    ToServer,
    /// From the server to the client: replies.
    ToClient,
}

/// How a [`Proxy`](crate::Proxy) treats the bytes of a direction. By default it forwards them
/// immediately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) delivery: Delivery,
    pub(super) drip: Option<Drip>,
    pub(super) split: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Delivery {
    #[default]
    Deliver,
    Hold,
    Swallow,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Drip {
    pub(super) bytes: usize,
    pub(super) every: Duration,
}

impl Direction {
    pub(super) fn index(self) -> usize {
        match self {
            Self::ToServer => 0,
            Self::ToClient => 1,
        }
    }
}

impl Conditions {
    /// Delays each chunk; default: no delay. Many chunks may be in flight at the same time,
    /// and the end of a connection is delayed like bytes.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Delays each chunk by an additional random time below this; default: none. The chunks of
    /// a connection keep their order; those of different connections may overtake each other.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Holds the bytes until other conditions are set, like a network that recovers. Replaces
    /// [`Conditions::swallow`]; default: neither.
    #[must_use]
    pub fn hold(self) -> Self {
        Self { delivery: Delivery::Hold, ..self }
    }

    /// Drops all bytes, including those in flight, while the connections stay open. Replaces
    /// [`Conditions::hold`]. A connection that lost bytes stays silent, whatever is set later:
    /// TCP delivers no stream with a gap.
    #[must_use]
    pub fn swallow(self) -> Self {
        Self { delivery: Delivery::Swallow, ..self }
    }

    /// Delivers at most `bytes` of each connection in each interval; default: no limit.
    ///
    /// # Panics
    /// If `bytes` is 0.
    #[must_use]
    pub fn drip(self, bytes: usize, every: Duration) -> Self {
        assert!(bytes > 0, "invalid drip of 0 bytes: use at least 1");
        Self { drip: Some(Drip { bytes, every }), ..self }
    }

    /// Delivers each byte in a write of its own; default: as received.
    #[must_use]
    pub fn split(self) -> Self {
        Self { split: true, ..self }
    }
}
