//! Redirections by nodes that don't serve a command's slot.

use crate::endpoint::Endpoint;
use crate::resp::ServerError;
use crate::slot::SLOTS;

/// The reply of a node that doesn't serve a command's slot. The command was not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redirect {
    /// The slot belongs to another node.
    Moved(u16, Endpoint),
    /// The slot is migrating to another node. Send only this command there, after
    /// `ASKING`.
    Ask(Endpoint),
    /// The slot is migrating, and only some of the command's keys are on this node.
    TryAgain,
    /// The Cluster doesn't serve the slot.
    Down,
}

impl Redirect {
    /// Parses an error reply of `sender`; returns `None` if it is not a redirection.
    #[must_use]
    pub fn read(error: &ServerError, sender: &Endpoint) -> Option<Self> {
        let target = || {
            let mut words = error.detail().split(|byte| *byte == b' ');
            let slot = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
            Some((slot, Endpoint::parse(words.next()?, sender)?))
        };
        match error.code() {
            b"MOVED" => target()
                .filter(|(slot, _)| *slot < SLOTS)
                .map(|(slot, owner)| Self::Moved(slot, owner)),
            b"ASK" => target().map(|(_, owner)| Self::Ask(owner)),
            b"TRYAGAIN" => Some(Self::TryAgain),
            b"CLUSTERDOWN" => Some(Self::Down),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn redirections_are_parsed_from_errors() {
        let read = |line: &'static str| {
            let error = ServerError::new(Bytes::from_static(line.as_bytes()));
            Redirect::read(&error, &Endpoint::new("here", 1))
        };
        let there = || Endpoint::new("10.0.0.2", 7001);
        assert_eq!(read("MOVED 3999 10.0.0.2:7001"), Some(Redirect::Moved(3999, there())));
        assert_eq!(read("MOVED 1 :7001"), Some(Redirect::Moved(1, Endpoint::new("here", 7001))));
        assert_eq!(read("ASK 3999 10.0.0.2:7001"), Some(Redirect::Ask(there())));
        assert_eq!(read("TRYAGAIN Multiple keys request"), Some(Redirect::TryAgain));
        assert_eq!(read("CLUSTERDOWN The cluster is down"), Some(Redirect::Down));
        for other in ["MOVED", "MOVED x a:1", "MOVED 16384 a:1", "ASK 1", "ERR MOVED", ""] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
