//! The reply to `INFO`.

use std::collections::HashMap;

use crate::failure::Failure;
use crate::session::Session;

/// The fields of `INFO`, of each primary.
#[derive(Debug)]
pub(crate) struct ServerInfo(Vec<HashMap<String, String>>);

impl ServerInfo {
    pub(crate) async fn read(session: &Session) -> Result<Self, Failure> {
        let replies = session.send_to_each(&["INFO"]).await?;
        let texts: Result<Vec<_>, _> = replies.into_iter().map(|reply| reply.bytes()).collect();
        let parsed = texts?
            .into_iter()
            .map(|text| parse(&String::from_utf8_lossy(&text.unwrap_or_default())));
        Ok(Self(parsed.collect()))
    }

    /// Returns the number of primaries.
    pub(crate) fn servers(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` for a Sentinel, which holds no keys.
    pub(crate) fn is_sentinel(&self) -> bool {
        self.text("redis_mode") == Some("sentinel")
    }

    /// Returns a field of the first server.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.first()?.get(name).map(String::as_str)
    }

    /// Returns a number, summed up over all servers; 0 if it is missing.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        let numbers = self.0.iter().filter_map(|fields| fields.get(name)?.parse::<u64>().ok());
        numbers.sum()
    }

    /// Returns the number of connected clients and the like, of the first server.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }

    /// Returns `Redis 7.0.15` or `Valkey 8.1.0`.
    pub(crate) fn product(&self) -> String {
        match self.text("valkey_version") {
            Some(version) => format!("Valkey {version}"),
            None => format!("Redis {}", self.text("redis_version").unwrap_or("of unknown version")),
        }
    }

    /// Returns the major and the minor number of the version of Redis that the server is compatible
    /// with.
    pub(crate) fn version(&self) -> Option<(u32, u32)> {
        let mut numbers = self.text("redis_version")?.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }
}

fn parse(text: &str) -> HashMap<String, String> {
    let fields = text.lines().filter_map(|line| line.trim_end().split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
