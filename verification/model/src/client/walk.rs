//! Invalidation by pattern: walks by SCAN, which is not atomic.
//!
//! A walk comes to a key at any time after it began. What stood there all the while is
//! removed; what came meanwhile may be removed or missed.

use super::program::Operation;
use crate::action::Turn;
use crate::server::Slot;

/// What has stood at a key since a walk began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Standing {
    lease: bool,
    entry: bool,
}

impl Standing {
    pub(super) const NOTHING: Self = Self { lease: false, entry: false };

    /// Whether a walk comes by for sure.
    pub(super) const fn is_swept_by(self, operation: Operation) -> bool {
        match operation {
            Operation::SweepLease => self.lease,
            Operation::SweepEntry => self.entry,
            _ => true,
        }
    }

    const fn and_still(self, slot: Slot) -> Self {
        Self {
            lease: self.lease && slot.lease.is_some(),
            entry: self.entry && slot.entry.is_some(),
        }
    }
}

impl Turn<'_> {
    pub(super) fn begin_walk(&mut self, writer: usize) {
        let state = &mut self.world.writers[writer];
        let all = Standing { lease: true, entry: true };
        state.standing = all.and_still(self.world.server.slots[state.key]);
    }

    /// The walk misses what came after it had begun.
    pub(super) fn pass_over(&mut self, writer: usize) {
        self.world.writers[writer].done += 1;
        self.return_at_the_end(writer);
    }

    /// Notes what was removed: what comes after it may be missed.
    pub(crate) fn keep_walks_up_to_date(&mut self) {
        for writer in &mut self.world.writers {
            let slot = self.world.server.slots[writer.key];
            writer.standing = writer.standing.and_still(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Token;

    #[test]
    fn what_was_removed_and_came_again_may_be_missed() {
        let empty = Slot::default();
        let leased = Slot { lease: Some(Token(1)), ..empty };
        let all = Standing { lease: true, entry: true };
        assert!(all.and_still(leased).is_swept_by(Operation::SweepLease));
        let again = all.and_still(leased).and_still(empty).and_still(leased);
        assert!(!again.is_swept_by(Operation::SweepLease));
    }
}
