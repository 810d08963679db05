//! What hotshelf's own tests stand on: never part of a program.
//!
//! - [`conformance`]: the suite that every backend runs.
//! - [`RedisServer`]: a real `redis-server` on a free port that dies with its handle.
//! - [`SimRuntime`]: a runtime whose time and order of tasks come from a seed, and
//!   [`Slow`]: a backend behind a network whose delays do.
//! - [`simulation`]: several processes on it, with a server, a network that does harm, and
//!   a history that is checked against the guarantees.
#![forbid(unsafe_code)]

pub mod conformance;
mod redis_server;
mod resp;
pub mod simulation;
mod slow;

pub use redis_server::RedisServer;
pub use resp::Reply;
pub use simulation::SimRuntime;
pub use slow::Slow;
