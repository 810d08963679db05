//! Trying what the server lets its user do.

use hotshelf_core::ErrorKind;
use hotshelf_redis::Reply;

use super::Finding;
use crate::failure::{Failure, denies_key};
use crate::session::Session;

/// What came of a command that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// It was executed.
    Allowed,
    /// The ACL denies the command.
    Denied,
    /// The ACL denies the key.
    DeniedKey,
    /// The server doesn't know it: it was renamed, or is that of another product.
    Unknown,
    /// It failed for another reason.
    Failed(String),
}

/// Tries a command.
pub(super) async fn probe<A: AsRef<[u8]>>(
    session: &Session,
    command: &[A],
) -> Result<Probe, Failure> {
    match session.send(command).await {
        Ok(_) => Ok(Probe::Allowed),
        Err(error) => probed(&error).map_or_else(|| Err(error.into()), Ok),
    }
}

/// Why something isn't known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The ACL denies the command.
    Denied,
    /// The server doesn't know the command.
    Unknown,
    /// The connection failed.
    Unanswered,
}

impl Refusal {
    /// Returns the warning that a command is refused, whose reply other checks need. `rule` allows the
    /// command. Returns `None` if there was no reply, which another finding says.
    pub(super) fn finding(
        self,
        check: &'static str,
        command: &str,
        why: &'static str,
        rule: &str,
    ) -> Option<Finding> {
        let (what, cure) = match self {
            Self::Denied => {
                let cure = format!("redis-cli ACL SETUSER {{user}} {rule}");
                (format!("{command} is denied"), cure)
            }
            Self::Unknown => {
                let name = command.split(' ').next().unwrap_or(command);
                (format!("the server doesn't know {command}"), not_renamed(name))
            }
            Self::Unanswered => return None,
        };
        Some(Finding::warning(check, what, why, cure))
    }
}

/// Returns why a server refuses a command; `None` if it has failed otherwise.
pub(super) fn refusal(error: &hotshelf_core::Error) -> Option<Refusal> {
    match probed(error)? {
        Probe::Denied | Probe::DeniedKey => Some(Refusal::Denied),
        Probe::Unknown => Some(Refusal::Unknown),
        Probe::Allowed | Probe::Failed(_) => None,
    }
}

/// Returns what an error means; `None` for one of the connection.
pub(super) fn probed(error: &hotshelf_core::Error) -> Option<Probe> {
    let text = error.with_causes();
    Some(match error.kind() {
        ErrorKind::NoScript => Probe::Allowed,
        ErrorKind::Permission if denies_key(error) => Probe::DeniedKey,
        ErrorKind::Permission => Probe::Denied,
        ErrorKind::Unavailable if is_from_server(error) => Probe::Failed(text),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Closed => return None,
        _ if is_unknown(&text.to_lowercase()) => Probe::Unknown,
        _ => Probe::Failed(text),
    })
}

/// Returns what `ACL DRYRUN` says of a command, for the user of the connection; `None` where it is
/// denied or not known.
pub(super) async fn dry_run(
    session: &Session,
    user: &str,
    command: &[&str],
) -> Result<Option<bool>, Failure> {
    let words: Vec<&str> = ["ACL", "DRYRUN", user].iter().chain(command).copied().collect();
    match session.send(&words).await {
        Ok(Reply::Text(text)) => Ok(Some(text == "OK")),
        Ok(reply) => Ok(reply.bytes()?.map(|text| &text[..] == b"OK")),
        Err(error) => probed(&error).map_or_else(|| Err(error.into()), |_| Ok(None)),
    }
}

/// Returns the cure for a command that a server doesn't know.
pub(super) fn not_renamed(name: &str) -> String {
    format!("remove `rename-command {name} …` from redis.conf, and restart the server")
}

/// Returns `true` if a server has sent the error, which can't execute the command for now.
fn is_from_server(error: &hotshelf_core::Error) -> bool {
    const CODES: [&str; 4] = ["CLUSTERDOWN ", "MASTERDOWN ", "TRYAGAIN ", "BUSY "];
    let source = std::error::Error::source(error).map(ToString::to_string);
    source.is_some_and(|text| CODES.iter().any(|code| text.starts_with(code)))
}

fn is_unknown(text: &str) -> bool {
    text.contains("unknown command") || text.contains("unknown subcommand")
}
