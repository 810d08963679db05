//! Tests of the servers and the proxy of the test kit.

mod cluster;
mod proxy;
mod sentinels;
mod server;
