//! The operations that pass through a [`Layer`](super::Layer), and their answers.

use super::{Acquire, Fill, Result, Take};
use crate::error::Error;
use crate::key::{Pattern, WireKey};

/// An operation that passes through a [`Layer`](super::Layer), with its keys.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// [`Backend::read`](super::Backend::read).
    Read(&'a [WireKey]),
    /// [`Backend::acquire`](super::Backend::acquire).
    Acquire(&'a WireKey),
    /// [`Backend::acquire_many`](super::Backend::acquire_many).
    AcquireMany(&'a [Acquire<'a>]),
    /// [`Backend::take`](super::Backend::take).
    Take(&'a [Take]),
    /// [`Backend::store`](super::Backend::store).
    Store(&'a [Fill]),
    /// [`Backend::release`](super::Backend::release).
    Release(&'a WireKey),
    /// [`Backend::fail`](super::Backend::fail).
    Fail(&'a WireKey),
    /// [`Backend::renew`](super::Backend::renew).
    Renew(&'a WireKey),
    /// [`Backend::capture`](super::Backend::capture).
    Capture(&'a [WireKey]),
    /// [`Backend::capture_with_age`](super::Backend::capture_with_age).
    CaptureWithAge(&'a [WireKey]),
    /// [`Backend::retrail`](super::Backend::retrail).
    Retrail(&'a WireKey),
    /// [`Backend::invalidate`](super::Backend::invalidate).
    Invalidate(&'a [WireKey]),
    /// [`Backend::hold`](super::Backend::hold).
    Hold(&'a [WireKey]),
    /// [`Backend::invalidate_tags`](super::Backend::invalidate_tags).
    InvalidateTags(&'a [WireKey]),
    /// [`Backend::invalidate_matching`](super::Backend::invalidate_matching).
    InvalidateMatching(&'a Pattern),
    /// [`Backend::remaining`](super::Backend::remaining).
    Remaining(&'a WireKey),
    /// [`Backend::ping`](super::Backend::ping).
    Ping,
    /// [`Backend::info`](super::Backend::info).
    Info,
    /// [`Backend::close`](super::Backend::close).
    Close,
}

impl<'a> Operation<'a> {
    /// Returns the name of the method of [`Backend`](super::Backend).
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::Acquire(_) => "acquire",
            Self::AcquireMany(_) => "acquire_many",
            Self::Take(_) => "take",
            Self::Store(_) => "store",
            Self::Release(_) => "release",
            Self::Fail(_) => "fail",
            Self::Renew(_) => "renew",
            Self::Capture(_) => "capture",
            Self::CaptureWithAge(_) => "capture_with_age",
            Self::Retrail(_) => "retrail",
            Self::Invalidate(_) => "invalidate",
            Self::Hold(_) => "hold",
            Self::InvalidateTags(_) => "invalidate_tags",
            Self::InvalidateMatching(_) => "invalidate_matching",
            Self::Remaining(_) => "remaining",
            Self::Ping => "ping",
            Self::Info => "info",
            Self::Close => "close",
        }
    }

    /// Returns the keys of the operation's items, in their order: keys of entries or of tags.
    #[must_use]
    pub fn keys(&self) -> Vec<&'a WireKey> {
        match *self {
            Self::Read(keys)
            | Self::Capture(keys)
            | Self::CaptureWithAge(keys)
            | Self::Invalidate(keys)
            | Self::Hold(keys)
            | Self::InvalidateTags(keys) => keys.iter().collect(),
            Self::Acquire(key)
            | Self::Release(key)
            | Self::Fail(key)
            | Self::Renew(key)
            | Self::Retrail(key)
            | Self::Remaining(key) => vec![key],
            Self::AcquireMany(acquires) => acquires.iter().map(|acquire| acquire.key).collect(),
            Self::Take(takes) => takes.iter().map(|take| &take.key).collect(),
            Self::Store(fills) => fills.iter().map(|fill| &fill.key).collect(),
            Self::InvalidateMatching(_) | Self::Ping | Self::Info | Self::Close => Vec::new(),
        }
    }
}

/// The answer to an [`Operation`], of any type.
pub trait Answer: Send + Sized {
    /// Returns the answer to an operation that failed: one error, or one for each item.
    /// [`Backend::close`](super::Backend::close) has no error to answer.
    fn failure(operation: Operation<'_>, error: Error) -> Self;
}

impl<T: Send> Answer for Result<T> {
    fn failure(_: Operation<'_>, error: Error) -> Self {
        Err(error)
    }
}

impl<T: Send> Answer for Vec<Result<T>> {
    fn failure(operation: Operation<'_>, error: Error) -> Self {
        operation.keys().into_iter().map(|_| Err(error.clone())).collect()
    }
}

impl Answer for () {
    fn failure(_: Operation<'_>, _: Error) -> Self {}
}
