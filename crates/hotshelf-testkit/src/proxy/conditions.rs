//! What a proxy does to bytes.

use std::time::Duration;

/// Where bytes are going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server: requests.
    ToServer,
    /// From the server to the client: replies.
    ToClient,
}

/// What a [`Proxy`](crate::Proxy) does to the bytes of a direction. By default it forwards
/// them at once.
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
    /// Delivers each chunk so much later, none by default. Many chunks are under way at the
    /// same time, as on a long line, and the end of a connection is delayed like bytes.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Delays each chunk by a further random time below this, none by default. The chunks of
    /// a connection keep their order; those of different connections overtake each other.
    #[must_use]
    pub fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// Holds the bytes until other conditions are set, as a network that comes back. This or
    /// [`Conditions::swallow`], whichever is said last; neither by default.
    #[must_use]
    pub fn hold(self) -> Self {
        Self { delivery: Delivery::Hold, ..self }
    }

    /// Swallows the bytes for ever, those under way too, while the connections stay open. A
    /// connection on which this befell bytes is silent from then on, whatever is set later:
    /// TCP delivers no stream with a hole.
    #[must_use]
    pub fn swallow(self) -> Self {
        Self { delivery: Delivery::Swallow, ..self }
    }

    /// Delivers at most so many bytes of each connection in each interval; without limit by
    /// default.
    ///
    /// # Panics
    /// If it is no byte.
    #[must_use]
    pub fn drip(self, bytes: usize, every: Duration) -> Self {
        assert!(bytes > 0, "a drip is at least one byte");
        Self { drip: Some(Drip { bytes, every }), ..self }
    }

    /// Delivers each byte in a write of its own; as they came by default.
    #[must_use]
    pub fn split(self) -> Self {
        Self { split: true, ..self }
    }
}
