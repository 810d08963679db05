//! Fuzz targets for the wire and the trailer: functions that take any bytes, and panic if a
//! property does not hold.
//!
//! libFuzzer calls them through the programs in `fuzz_targets`; on a stable toolchain the
//! tests run them with the files of `corpus` and seeded mutations of these.
//!
//! | function | property |
//! | --- | --- |
//! | [`decoder`] | RESP decodes the same however it is split, within its limits and in bounded memory |
//! | [`pipeline`] | each reply reaches its own waiter, despite late and unsolicited values |
//! | [`router`] | a command goes to the owner of its slot, and the map is fetched in time |
//! | [`trailer`] | a written trailer is found again, a damaged one is not |

mod allocations;
mod decoder;
mod files;
mod input;
mod pipeline;
mod router;
mod trailer;

pub use decoder::decoder;
pub use files::run_files;
pub use pipeline::pipeline;
pub use router::router;
pub use trailer::trailer;
