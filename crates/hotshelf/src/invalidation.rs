//! What became of an invalidation.

/// What became of an invalidation that didn't fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// The backend has carried it out: no later call is given an older value.
    Applied(Applied),
}

/// What an invalidation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    removed: u64,
}

impl Invalidation {
    pub(crate) fn applied(removed: u64) -> Self {
        Self::Applied(Applied { removed })
    }

    /// Says how many entries were removed; for an invalidation by key, each load that was
    /// in flight counts as one, too.
    #[must_use]
    pub fn removed(&self) -> u64 {
        match self {
            Self::Applied(applied) => applied.removed,
        }
    }
}
