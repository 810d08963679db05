//! What hotshelf's own tests stand on: never part of a program.
//!
//! - [`conformance`]: the suite that every backend runs.
//! - [`RedisServer`]: a real `redis-server` on a free port that dies with its handle.
//! - [`valkey_server`]: the program to start it with in place of `redis-server`.
//! - [`RedisCluster`]: a real cluster whose nodes fail and whose slots move when tests say so.
//! - [`RedisSentinels`]: a real primary with replicas and the Sentinels that replace it.
//! - [`Proxy`]: a network between client and server that delays, holds, drops and cuts.
//! - [`SimRuntime`]: a runtime whose time and order of tasks come from a seed, and
//!   [`Slow`]: a backend behind a network whose delays do. [`FaultyBackend`]: one with faults
//!   injected.
//! - [`entry_with_trailer`]: an entry as a release to come may write it.
//! - [`simulation`]: several processes on it, with a server, a network that does harm, and
//!   a history that is checked against the guarantees.
#![forbid(unsafe_code)]

mod cluster;
#[macro_use]
pub mod conformance;
mod faulty;
mod ports;
mod process;
mod proxy;
mod random;
mod redis_server;
mod replication;
mod resp;
mod sentinel;
pub mod simulation;
mod slow;
mod trailer;
mod valkey;
mod wait;

pub use cluster::{Failover, RedisCluster};
pub use faulty::{Fault, FaultyBackend};
pub use proxy::{Conditions, Direction, Proxy};
pub use redis_server::RedisServer;
pub use resp::Reply;
pub use sentinel::{Passwords, RedisSentinels};
pub use simulation::SimRuntime;
pub use slow::Slow;
pub use trailer::entry_with_trailer;
pub use valkey::valkey_server;
