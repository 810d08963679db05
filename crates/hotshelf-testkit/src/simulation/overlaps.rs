//! Counts of the situations that a simulation is meant to produce.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the overlaps once: the enum and the texts.
macro_rules! overlaps {
    ($($name:ident => $text:literal),+ $(,)?) => {
        /// Concurrent events or faults without which a rule of the protocol has no effect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Overlap {
            $(#[doc = concat!("Counts: ", $text, ".")] $name),+
        }

        impl Overlap {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns a description of the counted event.
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
    HandedOver => "leaders that were cancelled and handed their flight over to a joiner",
    ErrorShared => "calls that were given the error of another call's loader",
    LoaderFailed => "loaders that failed",
    GivenUp => "calls cancelled by their caller",
    WriteGivenUp => "writes and invalidations cancelled by their caller",
    KeyBusy => "acquires that found the lease of another process",
    FilledMeanwhile => "acquires that found an entry unseen by their caller",
    Degraded => "loaders that ran without the right to store",
    RefusedAfterInvalidation => "fills refused because the key had been invalidated",
    RefusedAfterTakeOver => "fills refused because the lease had been taken over",
    RefusedAfterExpiry => "fills refused because the lease had expired",
    RefusedAfterEviction => "fills refused because the lease had been evicted",
    RenewedTooLate => "renewals that found the lease lost",
    WriteStored => "writes whose value was stored",
    WriteOvertaken => "writes that ended in an invalidation",
    Inserted => "values inserted",
    TicketFilled => "values stored by a manual ticket",
    RequestLost => "requests that timed out and were never executed",
    AnswerLost => "requests that timed out and had been executed",
    LinkBroken => "requests whose connection broke",
    LateAcquire => "acquires executed late, after their caller had timed out",
    LateTake => "takes executed late",
    LateStore => "stores executed late",
    LateStoreKept => "stores executed late whose lease was still held",
    RuntimeStalled => "stalls of a runtime whose process goes on",
    RuntimeEndedAsHolder => "ends of a runtime whose loader held a lease, while its process goes on",
    LateRelease => "releases executed late",
    LateRenewal => "renewals executed late",
    LateInvalidation => "invalidations executed late",
    Repeated => "requests executed twice",
    EvictedEntry => "entries evicted",
    EvictedLease => "leases evicted",
    EvictedTag => "tag versions evicted",
    Flushed => "losses of the server's data",
    CrashedHolder => "crashes of a process whose loader held a lease",
    PausedHolderBeyondLease => "pauses longer than a lease of a process whose loader held one",
    ServerClockJumped => "jumps of the server's clock",
    ProcessClockJumped => "jumps of a process's clock",
    NearHit => "hits in a near tier",
    NearHitOutdated => "hits in a near tier whose entry another process had invalidated",
    ReportOfEntry => "reports of a change that removed an entry from a near tier",
    ReportWithoutEntry => "reports of a change of a key that the near tier did not hold",
    ReportOfAll => "reports to a near tier that everything may have changed",
    SourceEnded => "connections whose loss ended entries of a near tier",
    LostUnnoticed => "connections that were silent before they were lost",
    LoadedTogether => "rows loaded together with another one",
    StaleServed => "calls that were given a stale value while it was loaded in the background",
    ServedOnError => "calls that were given a stale value instead of their loader's error",
    ServedSlow => "calls that were given a stale value instead of waiting on",
    TimedOutApart => "loaders that went on after their call had stopped waiting",
    BackedOff => "calls that were told not to load, since a load had failed",
    InvalidatedUnderRefresh => "invalidations during a load whose call had found a stale value",
    Expired => "values made stale",
    LateTagsStored => "values stored with tags that were known only after their load",
    LateTagsUnstored => "values not stored since such a tag may have been invalidated",
    NotModified => "loaders that found the previous value unchanged",
    LoadedUnderHold => "loaders that ran while their key was held",
}

impl Overlap {
    /// Those that need stale values.
    pub const STALE: [Self; 10] = [
        Self::StaleServed,
        Self::ServedOnError,
        Self::ServedSlow,
        Self::TimedOutApart,
        Self::BackedOff,
        Self::InvalidatedUnderRefresh,
        Self::Expired,
        Self::LateTagsStored,
        Self::LateTagsUnstored,
        Self::NotModified,
    ];

    /// Those that need a near tier.
    pub const NEAR: [Self; 7] = [
        Self::NearHit,
        Self::NearHitOutdated,
        Self::ReportOfEntry,
        Self::ReportWithoutEntry,
        Self::ReportOfAll,
        Self::SourceEnded,
        Self::LostUnnoticed,
    ];
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
    /// Counts one event.
    pub fn count(&self, overlap: Overlap) {
        self.add(overlap, 1);
    }

    /// Counts `amount` events.
    pub fn add(&self, overlap: Overlap, amount: u64) {
        self.0[overlap as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// Adds the counts of `other`.
    pub fn absorb(&self, other: &Self) {
        for &overlap in Overlap::ALL {
            self.add(overlap, other.get(overlap));
        }
    }

    /// Returns the count of an overlap.
    #[must_use]
    pub fn get(&self, overlap: Overlap) -> u64 {
        self.0[overlap as usize].load(Ordering::Relaxed)
    }

    /// Returns the overlaps that were counted fewer than `least` times.
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
