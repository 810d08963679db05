//! The result of an invalidation.

/// The result of an invalidation that didn't fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// The backend has executed it: no later call gets an older value.
    Applied(Applied),
}

/// What an executed invalidation removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    removed: u64,
}

impl Invalidation {
    pub(crate) fn applied(removed: u64) -> Self {
        Self::Applied(Applied { removed })
    }

    /// Returns the number of removed entries. For an invalidation by key, each load in flight
    /// counts too.
    #[must_use]
    pub fn removed(&self) -> u64 {
        match self {
            Self::Applied(applied) => applied.removed,
        }
    }
}
