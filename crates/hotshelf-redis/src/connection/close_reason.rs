//! The reasons for closing a connection.

use std::fmt;

use hotshelf_core::{Error, ErrorKind};

use crate::errors::ConnectionLost;

/// The reason for closing a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The server or the network closed it.
    Disconnected,
    /// The server stopped responding.
    Unresponsive,
    /// The server sent invalid bytes, or a reply without a command.
    ProtocolError,
    /// The server speaks TLS.
    SpeaksTls,
    /// Another server is now the primary.
    Replaced,
    /// The server is a read-only replica.
    Demoted,
    /// The store was closed.
    Closed,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Disconnected => "connection closed or reset",
            Self::Unresponsive => "the server stopped responding",
            Self::ProtocolError => "invalid reply from the server: is it Redis or Valkey?",
            Self::SpeaksTls => "the server speaks TLS: use rediss:// in the URL",
            Self::Replaced => "another server is now the primary",
            Self::Demoted => "the server is a read-only replica",
            Self::Closed => "the store was closed",
        })
    }
}

impl From<CloseReason> for Error {
    /// Converts the reason to the error of commands that were not sent: their outcome is
    /// known.
    fn from(reason: CloseReason) -> Self {
        let kind = match reason {
            CloseReason::ProtocolError | CloseReason::SpeaksTls => ErrorKind::Protocol,
            CloseReason::Closed => ErrorKind::Closed,
            CloseReason::Disconnected
            | CloseReason::Unresponsive
            | CloseReason::Replaced
            | CloseReason::Demoted => ErrorKind::Unavailable,
        };
        let error = Self::new(kind, reason.to_string());
        match reason {
            CloseReason::Disconnected | CloseReason::Replaced | CloseReason::Demoted => {
                error.with_source(ConnectionLost)
            }
            _ => error,
        }
    }
}
