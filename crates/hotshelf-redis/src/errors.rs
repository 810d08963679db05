//! Errors of this crate, and the mapping of the server's.

use std::borrow::Cow;

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
        b"NOAUTH" | b"WRONGPASS" => (ErrorKind::Authentication, CREDENTIALS),
        b"ERR" if is_auth_error(&error) => (ErrorKind::Authentication, CREDENTIALS),
        b"LOADING" => (ErrorKind::Loading, "the server is still loading its data set"),
        b"READONLY" => (ErrorKind::ReadOnly, "the server is a read-only replica"),
        b"OOM" => (ErrorKind::OutOfMemory, "the server is out of memory"),
        b"NOSCRIPT" => (ErrorKind::NoScript, "the server doesn't know the script"),
        b"WRONGTYPE" => (ErrorKind::WrongType, "the key holds a value of another type"),
        b"MOVED" | b"ASK" => (ErrorKind::Moved, "another node of the Cluster owns the key"),
        b"CROSSSLOT" => (
            ErrorKind::Server,
            "the keys are in several slots of the Cluster: use a common {tag}, or a command for \
             each key",
        ),
        b"CLUSTERDOWN" | b"MASTERDOWN" | b"TRYAGAIN" | b"BUSY" => {
            (ErrorKind::Unavailable, "the server is temporarily unavailable")
        }
        _ => (ErrorKind::Server, "the server refused the command"),
    };
    Error::new(kind, message).with_source(error)
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

/// Returns `true` if the command's slot is migrating and only some of its keys are on the node.
/// The command was not executed.
pub(crate) fn is_try_again(error: &Error) -> bool {
    let server = std::error::Error::source(error);
    server
        .and_then(|source| source.downcast_ref())
        .is_some_and(|error: &ServerError| error.code() == b"TRYAGAIN")
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
