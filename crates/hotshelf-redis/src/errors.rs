//! The server's errors as ours.

use hotshelf_core::{Error, ErrorKind};
use hotshelf_wire::resp::ServerError;

/// Turns what a server says of a command that failed into our error.
pub(crate) fn from_server(error: ServerError) -> Error {
    let (kind, message) = match error.code() {
        _ if is_forbidden(&error) => (
            ErrorKind::Authentication,
            "the ACL forbids this user a command or a key that the cache needs: grant the \
             permissions that SECURITY.md lists",
        ),
        b"NOAUTH" | b"WRONGPASS" => (ErrorKind::Authentication, CREDENTIALS),
        b"ERR" if speaks_of_auth(&error) => (ErrorKind::Authentication, CREDENTIALS),
        b"LOADING" | b"CLUSTERDOWN" | b"MASTERDOWN" | b"TRYAGAIN" | b"BUSY" => {
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

/// Gives the server's own words, if an error of ours stands for them.
pub(crate) fn server_error(error: &Error) -> Option<&ServerError> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

/// Says whether a server refused because of its ACL.
pub(crate) fn is_acl(error: &Error) -> bool {
    server_error(error).is_some_and(is_forbidden)
}
