//! The operations of each kind of writer.

use Operation::{
    BeginScan, Capture, Commit, Forget, Invalidate, Look, ScanEntry, ScanLease, Set, Soften, Store,
    Take, UnlinkLease,
};

/// The way a writer updates the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriterKind {
    /// Commits, then invalidates.
    Invalidate,
    /// The same in the first process, whose near tier forgets before and after.
    InvalidateHere,
    /// Commits, then invalidates by pattern: a scan of the leases, then one of the entries.
    InvalidateByScans,
    /// Wrong (n32): both in one scan, which may reach the entry first.
    InvalidateInOneScan,
    /// Commits, then invalidates with hold.
    InvalidateWithHold,
    /// Commits nothing: `expire`.
    Expire,
    /// Commits, then inserts with a lease that it takes over.
    Insert,
    /// Takes the lease over, then commits, then stores. Invalidates if the value was not
    /// stored.
    WriteThrough,
    /// As `Insert`; under a hold it stores nothing, and invalidates with hold.
    InsertWithHold,
    /// As `WriteThrough`; what it doesn't store, it invalidates with hold.
    WriteThroughWithHold,
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
    /// The near tier of the process forgets what is about to be invalidated.
    Forget,
    Invalidate,
    /// A scan begins.
    BeginScan,
    /// The scan reaches the position of the lease, whether it exists or not.
    ScanLease,
    ScanEntry,
    Take,
    /// CAPTURE; skipped without tags.
    Capture,
    /// GET K.
    Look,
    Soften,
    /// The write returns if this succeeds.
    Store,
    UnlinkLease,
    Set,
}

impl WriterKind {
    pub(super) const fn program(self) -> &'static [Operation] {
        match self {
            Self::Invalidate | Self::InvalidateWithHold => &[Commit, Invalidate],
            Self::Expire => &[Look, Soften],
            Self::InvalidateHere => &[Commit, Forget, Invalidate],
            Self::InvalidateByScans => &[Commit, BeginScan, ScanLease, BeginScan, ScanEntry],
            Self::InvalidateInOneScan => &[Commit, BeginScan, ScanEntry, ScanLease],
            Self::Insert => &[Commit, Take, Capture, Store],
            Self::InsertWithHold => &[Commit, Take, Capture, Store, Invalidate],
            Self::WriteThrough | Self::WriteThroughWithHold => {
                &[Take, Capture, Commit, Store, Invalidate]
            }
            Self::WriteThroughTakenLate => &[Commit, Take, Capture, Store, Invalidate],
            Self::PlainInsert => &[Commit, Capture, UnlinkLease, Set],
            Self::PlainInsertSetFirst => &[Commit, Capture, Set, UnlinkLease],
        }
    }

    pub(super) const fn is_insert(self) -> bool {
        matches!(
            self,
            Self::Insert | Self::InsertWithHold | Self::PlainInsert | Self::PlainInsertSetFirst
        )
    }

    /// Returns `true` if its invalidations leave a mark.
    pub(super) const fn holds(self) -> bool {
        matches!(self, Self::InvalidateWithHold | Self::InsertWithHold | Self::WriteThroughWithHold)
    }
}

impl Operation {
    /// Returns `true` for a request whose answer may be lost in the model.
    pub(super) const fn can_time_out(self) -> bool {
        matches!(self, Self::Invalidate | Self::Take | Self::Store | Self::Set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_through_takes_lease_before_commit() {
        let first = |kind: WriterKind| kind.program()[0];
        assert_eq!(first(WriterKind::WriteThrough), Take);
        assert_eq!(first(WriterKind::WriteThroughTakenLate), Commit);
        assert_eq!(first(WriterKind::Insert), Commit);
    }
}
