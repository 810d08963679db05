//! Invalidation by pattern, by scans that are not atomic.
//!
//! A scan reaches a key at any time after it began. A lease or entry that existed all the time
//! is removed; one that was added in the meantime may be removed or missed.

use super::program::Operation;
use crate::action::Turn;
use crate::server::Slot;

/// Whether a key's lease and entry have existed since a scan began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Present {
    lease: bool,
    entry: bool,
}

impl Present {
    pub(super) const NOTHING: Self = Self { lease: false, entry: false };

    /// Returns `true` if a scan is certain to find the key.
    pub(super) const fn is_found_by(self, operation: Operation) -> bool {
        match operation {
            Operation::ScanLease => self.lease,
            Operation::ScanEntry => self.entry,
            _ => true,
        }
    }

    const fn and_in(self, slot: Slot) -> Self {
        Self {
            lease: self.lease && slot.lease.is_some(),
            entry: self.entry && slot.entry.is_some(),
        }
    }
}

impl Turn<'_> {
    pub(super) fn begin_scan(&mut self, writer: usize) {
        let state = &mut self.world.writers[writer];
        let all = Present { lease: true, entry: true };
        state.present = all.and_in(self.world.server.slots[state.key]);
    }

    /// Skips a key that was added after the scan began.
    pub(super) fn miss_key(&mut self, writer: usize) {
        self.world.writers[writer].done += 1;
        self.return_if_done(writer);
    }

    /// Records removed leases and entries: if they are added again, a scan may miss them.
    pub(crate) fn update_scans(&mut self) {
        for writer in &mut self.world.writers {
            let slot = self.world.server.slots[writer.key];
            writer.present = writer.present.and_in(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Holder, Token};

    #[test]
    fn key_added_again_may_be_missed() {
        let empty = Slot::default();
        let leased = Slot { lease: Some(Holder::Fill(Token(1))), ..empty };
        let all = Present { lease: true, entry: true };
        assert!(all.and_in(leased).is_found_by(Operation::ScanLease));
        let again = all.and_in(leased).and_in(empty).and_in(leased);
        assert!(!again.is_found_by(Operation::ScanLease));
    }
}
