//! Functions that take any bytes, and panic if the wire or the trailer does with them what
//! it must not.
//!
//! libFuzzer calls them by the programs of `fuzz_targets`; on a stable toolchain the tests
//! do, with the files of `corpus` and what becomes of these by seeded mutations.
//!
//! | function | holds |
//! | --- | --- |
//! | [`decoder`] | RESP is read the same however it is cut, within its limits and in little memory |
//! | [`pipeline`] | each reply reaches its own waiter, despite late and unsolicited values |
//! | [`router`] | a command goes to the owner of its slot, and the map is fetched in time |
//! | [`trailer`] | what was written is found again, and what is damaged is not |

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
