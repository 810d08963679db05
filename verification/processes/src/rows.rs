//! The source of truth: rows with versions, on a server of their own.

use std::time::Duration;

use hotshelf::{Error, Script, Store};

/// The rows, and what is known of them to all processes.
#[derive(Clone)]
pub(crate) struct Rows {
    store: Store,
    publish: Script,
}

/// The number of rows.
pub(crate) const ROWS: u64 = 12;

impl Rows {
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        let publish = Script::new(
            "if tonumber(ARGV[1]) > tonumber(redis.call('GET', KEYS[1]) or '0') then
                 redis.call('SET', KEYS[1], ARGV[1])
             end
             return 1",
        );
        Ok(Self { store: Store::connect(url).await?, publish })
    }

    /// Returns the current version of a row.
    pub(crate) async fn read(&self, row: u64) -> u64 {
        self.number(&["GET", &format!("row:{row}")]).await
    }

    /// Returns the version that every later call has to be given, or a newer one.
    pub(crate) async fn published(&self, row: u64) -> u64 {
        self.number(&["GET", &format!("published:{row}")]).await
    }

    /// Writes the next version of a row, and returns it.
    pub(crate) async fn write(&self, row: u64) -> u64 {
        self.number(&["INCR", &format!("row:{row}")]).await
    }

    /// Records that a version was written, and that the cache reflects it.
    pub(crate) async fn publish(&self, row: u64, version: u64) {
        let client = self.client();
        let (key, version) = (format!("published:{row}"), version.to_string());
        client.run_script(&self.publish, &[key], &[version]).await.expect("the source answers");
    }

    async fn number(&self, command: &[&str]) -> u64 {
        let reply = self.client().command(command).await.expect("the source answers");
        let text = match reply {
            hotshelf::Reply::Integer(number) => return number.unsigned_abs(),
            reply => reply.bytes().expect("a number").unwrap_or_default(),
        };
        std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    fn client(&self) -> hotshelf::RedisClient {
        let client = self.store.redis().expect("it is a server").clone();
        client.with_timeout(Duration::from_secs(10))
    }
}
