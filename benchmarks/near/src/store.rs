//! Stores on a server.

use std::error::Error;
use std::time::Duration;

use hotshelf::{RedisOptions, Store, StoreBuilder};
use hotshelf_testkit::RedisServer;

/// Creates a builder with long timeouts, since other processes may occupy the cores and outages
/// are not measured.
pub(crate) fn on(server: &RedisServer) -> Result<StoreBuilder, Box<dyn Error>> {
    let long = Duration::from_secs(10);
    let options = RedisOptions::from_url(&server.url())?.read_timeout(long).store_timeout(long);
    Ok(Store::builder().redis(options))
}
