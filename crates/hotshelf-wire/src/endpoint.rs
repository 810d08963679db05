//! Where a server listens.

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
    /// Takes a name or an address, without brackets, and a port.
    #[must_use]
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Gives the name or the address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Gives the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Reads what servers write: `host:port`, where an address of IPv6 stands without
    /// brackets. Without a host, it is the one of the server that said so.
    pub(crate) fn parse(text: &[u8], speaker: &Self) -> Option<Self> {
        let (host, port) = std::str::from_utf8(text).ok()?.rsplit_once(':')?;
        Self::said(host, port.parse().ok()?, speaker)
    }

    /// Takes a host and a port from the words of a server. An empty host is its own; of a
    /// `?` nothing is known.
    pub(crate) fn said(host: &str, port: u16, speaker: &Self) -> Option<Self> {
        match host.trim_start_matches('[').trim_end_matches(']') {
            _ if port == 0 => None,
            "?" => None,
            "" => Some(Self { host: Arc::clone(&speaker.host), port }),
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
    fn the_words_of_servers_are_read() {
        let speaker = Endpoint::new("here", 1);
        let read = |text: &str| Endpoint::parse(text.as_bytes(), &speaker);
        assert_eq!(read("10.0.0.1:6379"), Some(Endpoint::new("10.0.0.1", 6379)));
        assert_eq!(read(":6379"), Some(Endpoint::new("here", 6379)));
        assert_eq!(read("fe80::1:6379").unwrap().to_string(), "[fe80::1]:6379");
        for nothing in ["?:6379", "a", "a:", "a:0", "a:65536", ""] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
