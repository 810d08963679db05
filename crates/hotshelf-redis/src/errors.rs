//! The driver's errors as ours.

use hotshelf_core::{Error, ErrorKind};
use redis::{RedisError, ServerErrorKind};

/// Turns an error of the driver, or of the server behind it, into ours.
pub(crate) fn from_redis(error: RedisError) -> Error {
    let kind = kind_of(&error);
    let message = match kind {
        _ if is_forbidden(&error) => {
            "the ACL forbids this user a command or a key that the cache needs: grant the \
             permissions that SECURITY.md lists"
        }
        ErrorKind::Timeout => "the server didn't answer in time",
        ErrorKind::Authentication => {
            "the server refused the credentials: check user and password of the URL"
        }
        ErrorKind::Unavailable => "the server can't be reached",
        _ => "the server refused the command",
    };
    Error::new(kind, message).with_source(error)
}

/// Says whether an ACL stands in the way, be it of a script or of a command within it.
pub(crate) fn is_forbidden(error: &RedisError) -> bool {
    let within = "The user executing the script can't run this command";
    error.code() == Some("NOPERM")
        || error.detail().is_some_and(|detail| detail.contains(within) || detail.contains("NOPERM"))
}

fn kind_of(error: &RedisError) -> ErrorKind {
    use redis::ErrorKind as Driver;

    if error.is_timeout() {
        return ErrorKind::Timeout;
    }
    if matches!(error.code(), Some("NOAUTH" | "WRONGPASS")) || is_forbidden(error) {
        return ErrorKind::Authentication;
    }
    match error.kind() {
        Driver::AuthenticationFailed => ErrorKind::Authentication,
        Driver::InvalidClientConfig => ErrorKind::Configuration,
        Driver::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::TryAgain,
        ) => ErrorKind::Unavailable,
        Driver::Server(_) | Driver::Extension => ErrorKind::Server,
        _ => ErrorKind::Unavailable,
    }
}
