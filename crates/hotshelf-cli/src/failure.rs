//! Why a command failed, and with which exit code.

use std::io;

use clap::error::ErrorKind as Wrong;
use hotshelf_core::{Error, ErrorKind};
use serde_json::json;

use crate::output::escape_line;
use crate::terminal::Terminal;

/// Done.
pub(crate) const DONE: u8 = 0;
/// Not found, or something to fix.
pub(crate) const NOT_FOUND: u8 = 1;
/// Invalid arguments.
pub(crate) const USAGE: u8 = 2;
/// The server can't be reached, or refuses the command.
pub(crate) const SERVER: u8 = 3;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments are invalid.
    Usage(String),
    /// What was asked for doesn't exist, or wasn't confirmed.
    NotFound(String),
    /// The server, or the connection to it.
    Server(Error),
    /// Nobody reads the output any more.
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Configuration | ErrorKind::Unsupported | ErrorKind::Key => {
                Self::Usage(error.with_causes())
            }
            _ => Self::Server(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Failure {
    /// Writes what happened, and returns the exit code.
    pub(crate) fn report(self, json: bool, terminal: &dyn Terminal) -> u8 {
        let (code, kind, message) = match self {
            Self::Usage(message) => (USAGE, "usage", message),
            Self::NotFound(message) => (NOT_FOUND, "not_found", message),
            Self::Server(error) => (SERVER, error.kind().name(), error.with_causes()),
            // A reader such as `head` has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return DONE,
            Self::Output(error) => (SERVER, "output", format!("can't write the output: {error}")),
        };
        // Keys in it are escaped.
        write(kind, &escape_line(message.as_bytes()), json, terminal);
        code
    }
}

/// Returns `true` if the ACL denies a key, rather than the command. Redis 6 and 7, and Valkey, say so
/// in different words.
pub(crate) fn denies_key(error: &Error) -> bool {
    let text = error.with_causes();
    let names_key = text.contains("access one of the keys") || text.contains("access a key");
    error.kind() == ErrorKind::Permission && names_key
}

/// Writes what is wrong with the arguments, or the help that was asked for, and returns the exit
/// code.
pub(crate) fn report_usage(error: &clap::Error, json: bool, terminal: &dyn Terminal) -> u8 {
    let mut text = without_passwords(&error.to_string());
    if !error.use_stderr() {
        let written = terminal.write(text.as_bytes());
        return written.map_or_else(|error| Failure::from(error).report(json, terminal), |()| DONE);
    }
    let misplaced = matches!(error.kind(), Wrong::UnknownArgument | Wrong::InvalidSubcommand);
    let hint = (misplaced && text.contains("://")).then_some(HINT);
    if json {
        let mut message = summary(&text);
        if let Some(hint) = hint {
            message.push_str(&format!("; {hint}"));
        }
        write("usage", &message, true, terminal);
        return USAGE;
    }
    if let Some(hint) = hint {
        text.push_str(&format!("\n{hint}\n"));
    }
    terminal.write_error(&text);
    USAGE
}

const HINT: &str = "a server is given by --url URL, or by REDIS_URL";

/// Returns what is wrong in one line, without the usage below it.
fn summary(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let end = ["\nUsage: ", "\nFor more information"].iter().filter_map(|it| text.find(it)).min();
    let words: Vec<&str> = text[..end.unwrap_or(text.len())].split_whitespace().collect();
    words.join(" ")
}

/// Writes an error.
fn write(kind: &str, message: &str, json: bool, terminal: &dyn Terminal) {
    terminal.write_error(&match json {
        true => format!("{}\n", json!({ "error": { "kind": kind, "message": message } })),
        false => format!("hotshelf: {message}\n"),
    });
}

/// Replaces the credentials of the URLs in a text: a URL in the wrong position is repeated in the
/// message.
fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(char::is_whitespace).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                shown.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    without_parameters(&(shown + rest))
}

/// Replaces the passwords among the parameters of URLs.
fn without_parameters(text: &str) -> String {
    const NAME: &str = "password=";
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.to_ascii_lowercase().find(NAME) {
        let (before, after) = rest.split_at(at + NAME.len());
        let end = after.find(|it: char| it == '&' || it.is_whitespace()).unwrap_or(after.len());
        shown.push_str(before);
        shown.push_str("***");
        // The quote that clap puts behind it.
        if after[..end].ends_with('\'') {
            shown.push('\'');
        }
        rest = &after[end..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (text, shown) in [
            ("found 'redis://:secret@host/1'", "found 'redis://***@host/1'"),
            ("redis://a:p@ss@host redis://b", "redis://***@host redis://b"),
            ("no URL: a@b", "no URL: a@b"),
            ("x://", "x://"),
            ("'redis://h?password=a'b&db=1' x", "'redis://h?password=***&db=1' x"),
            ("'redis://h?sentinel_password=x'\n", "'redis://h?sentinel_password=***'\n"),
            ("h?PASSWORD=x", "h?PASSWORD=***"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
