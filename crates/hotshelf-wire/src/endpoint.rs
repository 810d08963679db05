//! Server addresses.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A host and a port. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    host: Arc<str>,
    port: u16,
}

impl Endpoint {
    /// Creates an endpoint from a host name or an IP address, without brackets, and a port.
    #[must_use]
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Returns the host name or the IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Parses `host:port` as servers write it, with IPv6 addresses without brackets. An empty
    /// host means the sender's own.
    pub(crate) fn parse(text: &[u8], sender: &Self) -> Option<Self> {
        let (host, port) = std::str::from_utf8(text).ok()?.rsplit_once(':')?;
        Self::reported(host, port.parse().ok()?, sender)
    }

    /// Creates an endpoint from a host and a port that `sender` has reported. An empty host
    /// means the sender's own; `?` means unknown.
    pub(crate) fn reported(host: &str, port: u16, sender: &Self) -> Option<Self> {
        match host.trim_start_matches('[').trim_end_matches(']') {
            _ if port == 0 => None,
            "?" => None,
            "" => Some(Self { host: Arc::clone(&sender.host), port }),
            host => Some(Self::new(host, port)),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => write!(formatter, "[{}]:{}", self.host, self.port),
            _ => write!(formatter, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reported_endpoints_are_parsed() {
        let sender = Endpoint::new("here", 1);
        let read = |text: &str| Endpoint::parse(text.as_bytes(), &sender);
        assert_eq!(read("10.0.0.1:6379"), Some(Endpoint::new("10.0.0.1", 6379)));
        assert_eq!(read(":6379"), Some(Endpoint::new("here", 6379)));
        assert_eq!(read("fe80::1:6379").unwrap().to_string(), "[fe80::1]:6379");
        for invalid in ["?:6379", "a", "a:", "a:0", "a:65536", ""] {
            assert_eq!(read(invalid), None, "{invalid}");
        }
    }
}
