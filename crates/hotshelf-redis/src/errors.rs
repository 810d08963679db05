//! Errors of this crate, and the mapping of the server's.

use std::borrow::Cow;
use std::fmt;

use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::ServerError;

/// Converts an error reply.
pub(crate) fn from_server(error: ServerError) -> Error {
    let (kind, message) = match error.code() {
        _ if is_forbidden(&error) => (
            ErrorKind::Permission,
            "the ACL denies a command or a key that the cache needs: grant the permissions \
             listed in SECURITY.md",
        ),
        b"NOAUTH" => (
            ErrorKind::Authentication,
            "the server requires a password: add it to the URL, as in redis://:password@host",
        ),
        b"WRONGPASS" => (ErrorKind::Authentication, CREDENTIALS),
        b"ERR" if is_auth_error(&error) => (ErrorKind::Authentication, CREDENTIALS),
        b"LOADING" => (ErrorKind::Loading, "the server is still loading its data set"),
        b"READONLY" => (ErrorKind::ReadOnly, "the server is a read-only replica"),
        b"OOM" => (
            ErrorKind::OutOfMemory,
            "the server is out of memory: raise its `maxmemory`, or let it evict keys \
             (`maxmemory-policy allkeys-lru`)",
        ),
        b"NOSCRIPT" => (ErrorKind::NoScript, "the server doesn't know the script"),
        b"WRONGTYPE" => (ErrorKind::WrongType, "the key holds a value of another type"),
        b"MOVED" | b"ASK" => (
            ErrorKind::Moved,
            "another node of the Cluster owns the key: use redis+cluster:// in the URL",
        ),
        b"CROSSSLOT" => (
            ErrorKind::Server,
            "the keys are in several slots of the Cluster: use a common {tag}, or a command for \
             each key",
        ),
        b"DENIED" => (
            ErrorKind::Permission,
            "the server is in protected mode: set a password or a user for it, or \
             `protected-mode no` in a trusted network",
        ),
        _ if error.detail().starts_with(b"max number of clients") => (
            ErrorKind::Unavailable,
            "the server has too many connections: raise its `maxclients`, or close unused ones",
        ),
        b"CLUSTERDOWN" | b"MASTERDOWN" | b"TRYAGAIN" | b"BUSY" => {
            (ErrorKind::Unavailable, "the server is temporarily unavailable")
        }
        _ => (ErrorKind::Server, "the server refused the command"),
    };
    Error::new(kind, message).with_source(error)
}

/// Converts an error reply to a login. A server repeats the arguments of a command that it
/// doesn't know: those of `AUTH` are a password.
pub(crate) fn from_login(error: ServerError) -> Error {
    from_server(match memchr::memmem::find(error.line(), b", with args beginning with") {
        Some(end) => ServerError::new(error.line().slice(..end)),
        None => error,
    })
}

const CREDENTIALS: &str =
    "the server refused the credentials: check the user and password of the URL";

/// Returns `true` if an ACL denies the command, a script or a command within a script.
fn is_forbidden(error: &ServerError) -> bool {
    let within: &[u8] = b"The user executing the script can't run this command";
    let contains = |text: &[u8]| error.line().windows(text.len()).any(|part| part == text);
    error.code() == b"NOPERM" || contains(within) || contains(b"NOPERM")
}

/// Returns `true` if `AUTH` was sent to a server or a user without a password.
fn is_auth_error(error: &ServerError) -> bool {
    error.detail().starts_with(b"AUTH ") || error.detail().starts_with(b"Client sent AUTH")
}

/// Returns the server's own error.
fn server_error(error: &Error) -> Option<&ServerError> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

/// Returns `true` for an error that the server has sent.
pub(crate) fn is_from_server(error: &Error) -> bool {
    server_error(error).is_some()
}

/// Returns `true` if the command's slot is migrating and only some of its keys are on the node.
/// The command was not executed.
pub(crate) fn is_try_again(error: &Error) -> bool {
    server_error(error).is_some_and(|error| error.code() == b"TRYAGAIN")
}

/// Returns `true` if the server doesn't know or doesn't allow a command.
pub(crate) fn is_refused(error: &Error) -> bool {
    server_error(error).is_some_and(|error| {
        let words = [b"unknown command".as_slice(), b"unsupported command", b"Unknown command"];
        let of_command = memchr::memmem::find(error.line(), b"command").is_some();
        (is_forbidden(error) && of_command)
            || words.iter().any(|text| error.detail().starts_with(text))
    })
}

/// The cause of the error of commands in flight when their connection was lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLost;

impl fmt::Display for ConnectionLost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("connection lost")
    }
}

impl std::error::Error for ConnectionLost {}

/// Returns `true` if an attempt failed because the server was lost or demoted, rather than
/// because it doesn't respond: the next one may reach it, or the one that has replaced it.
pub(crate) fn is_lost(error: &Error) -> bool {
    error.kind() == ErrorKind::ReadOnly || is_connection_lost(error)
}

/// Returns `true` for the error of a command that was in flight when its connection was lost: it is
/// unknown whether the server has executed it, and one that reads can be repeated.
#[must_use]
pub fn is_connection_lost(error: &Error) -> bool {
    let cause = std::error::Error::source(error);
    cause.is_some_and(<dyn std::error::Error + 'static>::is::<ConnectionLost>)
}

/// Creates the error of a temporary failure.
pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

/// Creates the error of a reply that doesn't fit the operation.
pub(crate) fn unexpected_reply(operation: &str) -> Error {
    let message = format!("unexpected reply to {operation}");
    Error::new(ErrorKind::Protocol, message)
}
