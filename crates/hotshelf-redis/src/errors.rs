//! The server's errors as ours.

use std::borrow::Cow;

use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::ServerError;

/// Turns what a server says of a command that failed into our error.
pub(crate) fn from_server(error: ServerError) -> Error {
    let (kind, message) = match error.code() {
        _ if is_forbidden(&error) => (
            ErrorKind::Permission,
            "the ACL forbids this user a command or a key that the cache needs: grant the \
             permissions that SECURITY.md lists",
        ),
        b"NOAUTH" | b"WRONGPASS" => (ErrorKind::Authentication, CREDENTIALS),
        b"ERR" if speaks_of_auth(&error) => (ErrorKind::Authentication, CREDENTIALS),
        b"LOADING" => (ErrorKind::Loading, "the server is still loading its data"),
        b"READONLY" => (ErrorKind::ReadOnly, "the server is a replica and takes no writes"),
        b"OOM" => (ErrorKind::OutOfMemory, "the server has no memory left"),
        b"NOSCRIPT" => (ErrorKind::NoScript, "the server doesn't know the script"),
        b"WRONGTYPE" => (ErrorKind::WrongType, "the key holds another type of value"),
        b"MOVED" | b"ASK" => (ErrorKind::Moved, "another node of the Cluster owns the key"),
        b"CROSSSLOT" => (
            ErrorKind::Server,
            "the keys lie in several slots of the Cluster: give them a common {tag}, or send a \
             command for each",
        ),
        b"CLUSTERDOWN" | b"MASTERDOWN" | b"TRYAGAIN" | b"BUSY" => {
            (ErrorKind::Unavailable, "the server can't serve for the time being")
        }
        _ => (ErrorKind::Server, "the server refused the command"),
    };
    Error::new(kind, message).with_source(error)
}

const CREDENTIALS: &str = "the server refused the credentials: check user and password of the URL";

/// Says whether an ACL stands in the way, be it of a script or of a command within it.
fn is_forbidden(error: &ServerError) -> bool {
    let within: &[u8] = b"The user executing the script can't run this command";
    let contains = |text: &[u8]| error.line().windows(text.len()).any(|part| part == text);
    error.code() == b"NOPERM" || contains(within) || contains(b"NOPERM")
}

/// A password for a server that has none, or a default user without one.
fn speaks_of_auth(error: &ServerError) -> bool {
    error.detail().starts_with(b"AUTH ") || error.detail().starts_with(b"Client sent AUTH")
}

/// Says whether a slot was on its way from one node to another, with some of the command's
/// keys here and some there. The command was not executed.
pub(crate) fn is_try_again(error: &Error) -> bool {
    let server = std::error::Error::source(error);
    server
        .and_then(|source| source.downcast_ref())
        .is_some_and(|error: &ServerError| error.code() == b"TRYAGAIN")
}

/// Makes the error of what can't be had for the time being.
pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Unavailable, message)
}

/// Makes the error of an answer that isn't what the operation answers.
pub(crate) fn not_understood(operation: &str) -> Error {
    let message = format!("the server's answer to {operation} is not understood");
    Error::new(ErrorKind::Protocol, message)
}
