//! What the test kit's servers do when tests do harm to them.

mod cluster;
mod proxy;
mod sentinels;
mod server;
