//! What a store does, for those who run it: metrics, events, and hot keys.
//!
//! Metrics are read from counters that exist anyway, so that they cost a hit nothing. Events are
//! what happens seldom: a backend that begins to fail, an invalidation, a slow load. Of the reads,
//! one in 61 is looked at to find the hot keys, which costs a hit some instructions.

mod events;
mod families;
mod hot_keys;
mod load_times;
mod metrics;

pub use events::{Event, EventKind, EventStream, Events, shortened};
pub use families::{Family, FamilyKind, Sample, SampleValue};
pub use hot_keys::HotKeys;
pub use load_times::{LoadTimes, LoadTimesSnapshot};
pub use metrics::{CacheMetrics, Failures, Invalidations, MemoryUse, NearUse, StoreMetrics};
