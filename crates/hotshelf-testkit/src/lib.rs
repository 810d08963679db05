//! Test support for hotshelf's own tests.
//!
//! - [`conformance`]: the conformance suite of backends.
//! - [`RedisServer`]: a real `redis-server` on a free port, killed when its handle is dropped.
//! - [`valkey_server`]: the path of a Valkey server, to start in place of `redis-server`.
//! - [`RedisCluster`]: a real cluster whose nodes fail and whose slots move on command.
//! - [`RedisSentinels`]: a real primary with replicas, monitored by Sentinels.
//! - [`Middlebox`]: a real HAProxy, stunnel or twemproxy before a server.
//! - [`Proxy`]: a TCP proxy that delays, holds and drops bytes and cuts connections.
//! - [`Relay`]: a relay that counts round trips.
//! - [`SimRuntime`]: a runtime whose time and order of tasks are determined by a seed.
//!   [`Slow`] adds random delays to a backend, [`FaultyBackend`] injects faults.
//! - [`entry_with_trailer`]: an entry as a future release may write it.
//! - [`simulation`]: simulated processes with a server and a faulty network, and a history
//!   that is checked against the guarantees.
#![forbid(unsafe_code)]

mod cluster;
#[macro_use]
pub mod conformance;
mod faulty;
mod middlebox;
mod ports;
mod process;
mod proxy;
mod random;
mod redis_server;
mod relay;
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
pub use middlebox::Middlebox;
pub use proxy::{Conditions, Direction, Proxy};
pub use random::Random;
pub use redis_server::RedisServer;
pub use relay::Relay;
pub use resp::Reply;
pub use sentinel::{Passwords, RedisSentinels};
pub use simulation::SimRuntime;
pub use slow::Slow;
pub use trailer::entry_with_trailer;
pub use valkey::valkey_server;
