//! State of the process that mirrors the backend.

use super::Removal;
use crate::key::{Pattern, WireKey};

/// State of this process that mirrors the backend, and so has to be discarded when the backend
/// changes.
pub(crate) trait LocalState: Send + Sync {
    /// Discards the state that a change makes outdated.
    ///
    /// Called twice: before the operation is sent, and again after its answer, for state that
    /// came meanwhile from a read that was sent earlier.
    fn forget(&self, change: &Change<'_>);
}

/// A change that this process makes in the backend.
pub(crate) enum Change<'a> {
    /// Entries and leases are removed.
    Keys(&'a [WireKey]),
    /// The versions of tags are removed.
    Tags(&'a [WireKey]),
    /// All entries and leases whose key matches are removed.
    Matching(&'a Pattern),
    /// An insert or a write guard takes leases over, or stores what was written.
    Written(&'a [WireKey]),
}

impl<'a> From<&'a Removal> for Change<'a> {
    fn from(removal: &'a Removal) -> Self {
        match removal {
            Removal::Keys(keys) => Self::Keys(keys),
            Removal::Tags(tags) => Self::Tags(tags),
            Removal::Matching(pattern) => Self::Matching(pattern),
        }
    }
}
