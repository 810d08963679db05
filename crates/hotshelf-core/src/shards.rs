//! The sizes of a table of entries that is bounded by bytes.

/// The size of a small entry with its overhead, in bytes. It tells how many keys the table
/// expects, and how many evicted ones it remembers: with too few of these it evicts what is
/// about to be read again.
pub const TYPICAL_BYTES: u64 = 400;

/// The least capacity of a shard in bytes, so that large entries fit into one.
const SHARD: u64 = 16 << 20;

/// Returns the number of shards for a capacity in bytes: enough for the machine's threads, if
/// each is large enough.
#[must_use]
pub fn shards(capacity: u64) -> usize {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let roomy = usize::try_from(capacity / SHARD).unwrap_or(usize::MAX);
    // quick_cache rounds up to a power of two.
    let shards = roomy.clamp(1, 4 * threads);
    if shards.is_power_of_two() { shards } else { shards.next_power_of_two() / 2 }
}
