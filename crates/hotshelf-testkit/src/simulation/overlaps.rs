//! How often a simulation has met what it is there for.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the overlaps once: the enum that names them, and what they are called.
macro_rules! overlaps {
    ($($name:ident => $text:literal),+ $(,)?) => {
        /// Things that must happen at the same time, or go wrong, for a rule of the protocol
        /// to matter at all.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Overlap {
            $(#[doc = concat!("Counts: ", $text, ".")] $name),+
        }

        impl Overlap {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Says in words what is counted.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }

        const COUNT: usize = Overlap::ALL.len();
    };
}

overlaps! {
    InvalidationDuringLoad => "invalidations that began and ended while a loader of the key ran",
    TagChangedUnderLoad => "values stored whose tag was invalidated while they were loaded",
    Joined => "calls that were given the value of another call's loader",
    HandedOver => "leaders that were cancelled and left their flight to a waiter",
    ErrorShared => "calls that were given the error of another call's loader",
    LoaderFailed => "loaders that failed",
    GivenUp => "calls that their caller gave up",
    WriteGivenUp => "writes and invalidations that their caller gave up",
    KeyBusy => "acquires that found the lease of another process",
    FilledMeanwhile => "acquires that found an entry which their caller hadn't seen",
    Degraded => "loaders that ran without the right to store",
    RefusedAfterInvalidation => "fills refused because the key had been invalidated",
    RefusedAfterTakeOver => "fills refused because the lease had been taken over",
    RefusedAfterExpiry => "fills refused because the lease had run out under its holder",
    RefusedAfterEviction => "fills refused because the lease had been evicted",
    RenewedTooLate => "renewals that found the lease lost",
    WriteStored => "writes whose value was stored",
    WriteOvertaken => "writes that ended in an invalidation",
    Inserted => "values inserted",
    TicketFilled => "values stored under a ticket taken by hand",
    RequestLost => "requests that timed out and were never executed",
    AnswerLost => "requests that timed out and had been executed",
    LinkBroken => "requests whose connection broke",
    LateAcquire => "acquires executed late, after their caller had gone on",
    LateTake => "takes executed late",
    LateStore => "stores executed late",
    LateStoreKept => "stores executed late whose lease still stood",
    LateRelease => "releases executed late",
    LateRenewal => "renewals executed late",
    LateInvalidation => "invalidations executed late",
    Repeated => "requests executed twice",
    EvictedEntry => "entries evicted",
    EvictedLease => "leases evicted",
    EvictedTag => "versions of tags evicted",
    Flushed => "restarts of the server without its data",
    CrashedHolder => "crashes of a process whose loader held a lease",
    PausedHolderBeyondLease => "pauses, longer than a lease, of a process whose loader held one",
    ServerClockJumped => "jumps of the server's clock",
    ProcessClockJumped => "jumps of a process's clock",
}

/// Counts overlaps.
#[derive(Debug)]
pub struct Overlaps([AtomicU64; COUNT]);

impl Default for Overlaps {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Overlaps {
    /// Adds one.
    pub fn count(&self, overlap: Overlap) {
        self.add(overlap, 1);
    }

    /// Adds `amount`.
    pub fn add(&self, overlap: Overlap, amount: u64) {
        self.0[overlap as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds all that another one has counted.
    pub fn absorb(&self, other: &Self) {
        for &overlap in Overlap::ALL {
            self.add(overlap, other.get(overlap));
        }
    }

    /// Says how often one was met.
    #[must_use]
    pub fn get(&self, overlap: Overlap) -> u64 {
        self.0[overlap as usize].load(Ordering::Relaxed)
    }

    /// Lists those that were met less often than they should have been.
    #[must_use]
    pub fn rarer_than(&self, least: impl Fn(Overlap) -> u64) -> Vec<Overlap> {
        let rare = |overlap: &Overlap| self.get(*overlap) < least(*overlap);
        Overlap::ALL.iter().copied().filter(rare).collect()
    }
}

impl fmt::Display for Overlaps {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &overlap in Overlap::ALL {
            writeln!(formatter, "{:>9} {}", self.get(overlap), overlap.text())?;
        }
        Ok(())
    }
}
