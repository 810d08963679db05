//! Commands that a connection shared by all callers doesn't accept.

use hotshelf_core::{Error, ErrorKind};

/// What to use instead of a command, by its name or its first two words. These commands change
/// the state of the connection, mix up the replies of other callers, or make them wait.
#[rustfmt::skip]
const REFUSED: &[(&str, &str)] = &[
    ("SUBSCRIBE", PUB_SUB), ("PSUBSCRIBE", PUB_SUB), ("SSUBSCRIBE", PUB_SUB),
    ("UNSUBSCRIBE", PUB_SUB), ("PUNSUBSCRIBE", PUB_SUB), ("SUNSUBSCRIBE", PUB_SUB),
    ("MULTI", TRANSACTION), ("EXEC", TRANSACTION), ("DISCARD", TRANSACTION),
    ("WATCH", WATCH), ("UNWATCH", WATCH),
    ("SELECT", URL), ("AUTH", URL), ("HELLO", URL), ("RESET", URL), ("QUIT", URL),
    ("CLIENT REPLY", URL), ("CLIENT TRACKING", URL), ("CLIENT CACHING", URL),
    ("CLIENT SETNAME", URL), ("CLIENT NO-TOUCH", URL), ("CLIENT NO-EVICT", URL),
    ("READONLY", URL), ("READWRITE", URL), ("ASKING", URL),
    ("MONITOR", OTHER), ("SYNC", OTHER), ("PSYNC", OTHER), ("REPLCONF", OTHER),
    ("SCRIPT DEBUG", OTHER),
    ("BLPOP", BLOCKING), ("BRPOP", BLOCKING), ("BRPOPLPUSH", BLOCKING), ("BLMOVE", BLOCKING),
    ("BLMPOP", BLOCKING), ("BZPOPMIN", BLOCKING), ("BZPOPMAX", BLOCKING), ("BZMPOP", BLOCKING),
    ("WAIT", BLOCKING), ("WAITAOF", BLOCKING),
];

const PUB_SUB: &str = "use a connection of its own: `pub_sub` in Rust, `pubsub()` in Python";
const TRANSACTION: &str = "use a transaction, whose commands are sent together: `transaction` in \
    Rust, `pipeline()` in Python";
const WATCH: &str =
    "use a connection of its own: `optimistic` in Rust, `pipeline().watch` in Python";
const URL: &str = "set it in the URL or the options of the store";
const BLOCKING: &str = "use a connection of its own: `blocking` in Rust, the client's method of \
    that name in Python";
const OTHER: &str = "use a connection of your own, with another client";

/// The commands that block if they have the option `BLOCK`, and the number of arguments before
/// their options. The names of streams follow the options.
const BLOCKING_OPTIONS: [(&str, usize); 2] = [("XREAD", 0), ("XREADGROUP", 3)];

/// Checks that a command leaves its connection as it is and, unless `may_block`, doesn't block
/// it.
///
/// # Errors
/// Of kind [`ErrorKind::Configuration`], with what to use instead.
pub(super) fn check<A: AsRef<[u8]>>(command: &[A], may_block: bool) -> Result<(), Error> {
    let Some((name, arguments)) = command.split_first() else { return Ok(()) };
    let (name, arguments) = (name.as_ref(), || arguments.iter().map(AsRef::as_ref));
    let is_refused = |(words, _): &&(&str, &str)| match words.split_once(' ') {
        None => name.eq_ignore_ascii_case(words.as_bytes()),
        Some((first, second)) => {
            let second = |word: &[u8]| word.eq_ignore_ascii_case(second.as_bytes());
            name.eq_ignore_ascii_case(first.as_bytes()) && arguments().next().is_some_and(second)
        }
    };
    let refused = REFUSED.iter().find(is_refused).copied();
    let blocks = || {
        let is_named = |(word, _): &&(&str, usize)| name.eq_ignore_ascii_case(word.as_bytes());
        let (word, before) = *BLOCKING_OPTIONS.iter().find(is_named)?;
        let mut options = arguments().skip(before);
        let mut options =
            options.by_ref().take_while(|word| !word.eq_ignore_ascii_case(b"STREAMS"));
        options.any(|word| word.eq_ignore_ascii_case(b"BLOCK")).then_some((word, BLOCKING))
    };
    match refused.or_else(blocks) {
        None => Ok(()),
        Some((_, BLOCKING)) if may_block => Ok(()),
        Some((words, cure)) => Err(Error::new(
            ErrorKind::Configuration,
            format!("{words} is not possible on the connection that all callers share: {cure}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_change_the_connection_are_refused() {
        let refused: [&[&str]; 8] = [
            &["subscribe", "x"],
            &["Client", "Reply", "OFF"],
            &["MULTI"],
            &["BLPOP", "list", "0"],
            &["XREAD", "COUNT", "1", "block", "0", "STREAMS", "s", "$"],
            &["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"],
            &["script", "debug", "yes"],
            &["SELECT", "1"],
        ];
        for command in refused {
            let error = check(command, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{command:?}");
            assert!(error.to_string().contains("use ") || error.to_string().contains("set "));
        }
        let accepted: [&[&str]; 6] = [
            &["GET", "multi"],
            &["CLIENT", "LIST"],
            &["SCRIPT", "LOAD", "return 1"],
            &["XREAD", "STREAMS", "block", "0"],
            &["XREADGROUP", "GROUP", "block", "c", "STREAMS", "s", ">"],
            &[],
        ];
        assert!(accepted.iter().all(|command| check(command, false).is_ok()));
        assert!(
            [refused[3], refused[4], &["WAIT", "1", "0"]].iter().all(|it| check(it, true).is_ok())
        );
        assert!(check(refused[0], true).is_err());
    }
}
