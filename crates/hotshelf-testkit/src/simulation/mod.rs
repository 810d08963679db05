//! Deterministic simulation: processes, a network and a server, in an order determined by a
//! seed.
//!
//! - [`SimRuntime`] runs everything, and has the simulated time. A [`SimProcess`] is the
//!   runtime of one engine; it can be stopped, and it can crash.
//! - A [`SimGroup`] is a process of several runtimes that share a store.
//! - [`SimServer`] is a model of the server, with a clock that jumps and memory that is
//!   evicted. Each process is connected to it by its own [`SimLink`], over a [`Network`] that
//!   delays, loses and repeats requests and breaks connections.
//! - To a near tier, a link reports the changes of the keys that were read over it: on each
//!   connection in their order among the replies, until that is lost.
//! - A [`History`] records all events in order; [`check_nothing_stale`], [`check_near_hits`] and
//!   [`check_single_flight`] compare it with the guarantees. [`Overlaps`] counts how often a
//!   run met the situations that the guarantees are about.

mod connection;
mod driver;
mod group;
mod guarantees;
mod history;
mod keyspace;
mod link;
mod listeners;
mod marks;
mod near_guarantees;
mod network;
mod overlaps;
mod process;
mod reply;
mod reports;
mod runtime;
mod server;
mod shown;
mod stale_guarantees;

pub use group::SimGroup;
pub use guarantees::{Violation, check_nothing_stale, check_single_flight};
pub use history::{EventIndex, History};
pub use link::SimLink;
pub use near_guarantees::{NearHits, check_near_hits};
pub use network::Network;
pub use overlaps::{Overlap, Overlaps};
pub use process::SimProcess;
pub use reports::BrokenReports;
pub use runtime::SimRuntime;
pub use server::SimServer;
pub use stale_guarantees::{check_marks, check_one_load_at_a_time, check_throttle};
