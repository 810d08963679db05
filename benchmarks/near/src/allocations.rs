//! Counting allocations.
#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Blocks of this size and larger are counted together.
pub(crate) const LARGE: usize = 1024;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU64 = AtomicU64::new(0);
static LIVE: [AtomicI64; LARGE] = [const { AtomicI64::new(0) }; LARGE];
static LARGE_BYTES: AtomicI64 = AtomicI64::new(0);

struct Counting;

// SAFETY: forwards everything to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTING.load(Ordering::Relaxed) {
            COUNT.fetch_add(1, Ordering::Relaxed);
            add(layout.size(), 1);
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if IS_COUNTING.load(Ordering::Relaxed) {
            add(layout.size(), -1);
        }
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn add(size: usize, number: i64) {
    match LIVE.get(size) {
        Some(live) => live.fetch_add(number, Ordering::Relaxed),
        None => LARGE_BYTES.fetch_add(number * size as i64, Ordering::Relaxed),
    };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns the number of allocations of some work.
pub(crate) fn during(work: impl FnOnce()) -> u64 {
    let before = COUNT.load(Ordering::Relaxed);
    IS_COUNTING.store(true, Ordering::Relaxed);
    work();
    IS_COUNTING.store(false, Ordering::Relaxed);
    COUNT.load(Ordering::Relaxed) - before
}

/// What some work has allocated and not freed.
pub(crate) struct Kept {
    /// The number of blocks, by their size.
    pub(crate) blocks: Vec<i64>,
    /// The bytes of larger ones.
    pub(crate) large: i64,
}

/// Returns what some work has allocated and not freed, and its result.
pub(crate) fn kept_by<T>(work: impl FnOnce() -> T) -> (Kept, T) {
    let before = Kept::so_far();
    IS_COUNTING.store(true, Ordering::Relaxed);
    let result = work();
    IS_COUNTING.store(false, Ordering::Relaxed);
    let after = Kept::so_far();
    let blocks = after.blocks.iter().zip(before.blocks).map(|(after, before)| after - before);
    (Kept { blocks: blocks.collect(), large: after.large - before.large }, result)
}

impl Kept {
    fn so_far() -> Self {
        let blocks = LIVE.iter().map(|live| live.load(Ordering::Relaxed)).collect();
        Self { blocks, large: LARGE_BYTES.load(Ordering::Relaxed) }
    }
}
