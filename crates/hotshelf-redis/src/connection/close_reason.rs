//! Why a connection was closed.

use std::fmt;

use hotshelf_core::{Error, ErrorKind};

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The server or the network has closed it.
    Disconnected,
    /// The server has stopped responding.
    Unresponsive,
    /// The server has sent invalid bytes, or a reply without a command.
    ProtocolError,
    /// Another server is the primary now.
    Replaced,
    /// The store was closed.
    Closed,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Disconnected => "the connection was closed or reset",
            Self::Unresponsive => "the server has stopped responding",
            Self::ProtocolError => "the server's replies are not valid: is it Redis or Valkey?",
            Self::Replaced => "another server is the primary now",
            Self::Closed => "the store was closed",
        })
    }
}

impl From<CloseReason> for Error {
    /// For commands that were not sent: their outcome is known.
    fn from(reason: CloseReason) -> Self {
        let kind = match reason {
            CloseReason::ProtocolError => ErrorKind::Protocol,
            CloseReason::Closed => ErrorKind::Closed,
            CloseReason::Disconnected | CloseReason::Unresponsive | CloseReason::Replaced => {
                ErrorKind::Unavailable
            }
        };
        Self::new(kind, reason.to_string())
    }
}
