//! Measures the peak memory of a function.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system allocator with a count of allocated bytes for each thread.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// The bytes that this thread has allocated and not freed, and their maximum.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// Runs a function, and returns its result and the peak of the bytes that it allocated.
pub(crate) fn peak_bytes<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let outcome = run();
    (outcome, HELD.get().1.abs_diff(before))
}

fn count(bytes: isize) {
    // A thread that ends may free memory after its thread-local values are destroyed.
    let _gone = HELD.try_with(|held| {
        let now = held.get().0 + bytes;
        held.set((now, held.get().1.max(now)));
    });
}

#[expect(unsafe_code, reason = "an allocator requires unsafe code")]
// SAFETY: forwards to the system allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller upholds the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_memory_counts_towards_the_peak() {
        let (kept, most) = peak_bytes(|| {
            drop(std::hint::black_box(vec![0_u8; 1000]));
            std::hint::black_box(vec![0_u8; 10])
        });
        assert_eq!((kept.len(), most), (10, 1000));
    }
}
