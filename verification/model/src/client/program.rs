//! What the kinds of writers do, operation by operation.

use Operation::{
    BeginWalk, Capture, Commit, Invalidate, Set, Store, SweepEntry, SweepLease, Take, UnlinkLease,
};

/// What a writer does about the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterKind {
    /// Commits, then invalidates.
    Invalidate,
    /// Commits, then removes by pattern: a walk over the leases, then one over the entries.
    InvalidateByWalks,
    /// Wrong (n32): both in one walk, which may come to the entry first.
    InvalidateInOneWalk,
    /// Commits, then inserts under a lease that it takes over.
    Insert,
    /// Takes the lease over, then commits, then stores. Invalidates if it couldn't store.
    WriteThrough,
    /// Wrong (n24): takes the lease over only after the commit.
    WriteThroughTakenLate,
    /// Commits, then `UNLINK L` and `SET K`, as in plain-compatible caches.
    PlainInsert,
    /// Wrong (n13): `SET K` first.
    PlainInsertSetFirst,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Commit,
    Invalidate,
    /// A walk by SCAN begins.
    BeginWalk,
    /// The walk comes to where the lease is, or would be.
    SweepLease,
    SweepEntry,
    Take,
    /// TAGCAP; without tags it is left out.
    Capture,
    /// The write returns if this succeeds.
    Store,
    UnlinkLease,
    Set,
}

impl WriterKind {
    pub(super) const fn program(self) -> &'static [Operation] {
        match self {
            Self::Invalidate => &[Commit, Invalidate],
            Self::InvalidateByWalks => &[Commit, BeginWalk, SweepLease, BeginWalk, SweepEntry],
            Self::InvalidateInOneWalk => &[Commit, BeginWalk, SweepEntry, SweepLease],
            Self::Insert => &[Commit, Take, Capture, Store],
            Self::WriteThrough => &[Take, Capture, Commit, Store, Invalidate],
            Self::WriteThroughTakenLate => &[Commit, Take, Capture, Store, Invalidate],
            Self::PlainInsert => &[Commit, Capture, UnlinkLease, Set],
            Self::PlainInsertSetFirst => &[Commit, Capture, Set, UnlinkLease],
        }
    }

    pub(super) const fn is_insert(self) -> bool {
        matches!(self, Self::Insert | Self::PlainInsert | Self::PlainInsertSetFirst)
    }
}

impl Operation {
    /// Whether it is a request whose answer the model lets get lost.
    pub(super) const fn can_time_out(self) -> bool {
        matches!(self, Self::Invalidate | Self::Take | Self::Store | Self::Set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_through_takes_the_lease_before_its_commit() {
        let first = |kind: WriterKind| kind.program()[0];
        assert_eq!(first(WriterKind::WriteThrough), Take);
        assert_eq!(first(WriterKind::WriteThroughTakenLate), Commit);
        assert_eq!(first(WriterKind::Insert), Commit);
    }
}
