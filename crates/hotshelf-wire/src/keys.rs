//! The keys among the arguments of a command.

use crate::resp::Command;
use crate::slot::slot;

/// The longest command name in [`KeyPosition::of`].
const LONGEST_NAME: usize = 16;

impl Command {
    /// Returns the slot of the command's first key; `None` if it has no key, so that any node
    /// of a Cluster may execute it.
    ///
    /// The key of an unknown command is assumed to follow its name. The server checks that all
    /// keys are in one slot.
    #[must_use]
    pub fn slot(&self) -> Option<u16> {
        self.first_key().map(slot)
    }

    /// Returns the command's first key.
    #[must_use]
    pub fn first_key(&self) -> Option<&[u8]> {
        let mut arguments = self.arguments();
        let name = arguments.next()?;
        let mut upper = [0; LONGEST_NAME];
        let Some(upper) = upper.get_mut(..name.len()) else { return arguments.next() };
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        match KeyPosition::of(upper) {
            KeyPosition::First => arguments.next(),
            KeyPosition::Second => arguments.nth(1),
            KeyPosition::Counted { at } => {
                let count = arguments.nth(at)?;
                (count != b"0").then(|| arguments.next()).flatten()
            }
            KeyPosition::After { word, from } => {
                let mut arguments = arguments.skip(from);
                arguments.find(|argument| argument.eq_ignore_ascii_case(word))?;
                arguments.next()
            }
            KeyPosition::NoKey => None,
        }
    }
}

/// The position of the first key.
enum KeyPosition {
    /// Right after the name.
    First,
    /// After a subcommand or an operation.
    Second,
    /// After the number of keys, which is this argument after the name.
    Counted { at: usize },
    /// After this word. The first `from` arguments are skipped: they may be any words.
    After { word: &'static [u8], from: usize },
    /// The command has no key.
    NoKey,
}

impl KeyPosition {
    fn of(name: &[u8]) -> Self {
        match name {
            b"EVAL" | b"EVALSHA" | b"EVAL_RO" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO"
            | b"BLMPOP" | b"BZMPOP" => Self::Counted { at: 1 },
            b"ZUNION" | b"ZINTER" | b"ZDIFF" | b"ZINTERCARD" | b"SINTERCARD" | b"LMPOP"
            | b"ZMPOP" => Self::Counted { at: 0 },
            b"BITOP" | b"OBJECT" | b"MEMORY" | b"XINFO" | b"XGROUP" | b"DEBUG" => Self::Second,
            b"XREAD" => Self::After { word: b"STREAMS", from: 0 },
            // GROUP, the group and the consumer come first.
            b"XREADGROUP" => Self::After { word: b"STREAMS", from: 3 },
            b"ACL" | b"ASKING" | b"AUTH" | b"BGREWRITEAOF" | b"BGSAVE" | b"CLIENT" | b"CLUSTER"
            | b"COMMAND" | b"CONFIG" | b"DBSIZE" | b"DISCARD" | b"ECHO" | b"EXEC" | b"FAILOVER"
            | b"FLUSHALL" | b"FLUSHDB" | b"FUNCTION" | b"HELLO" | b"INFO" | b"KEYS"
            | b"LASTSAVE" | b"LATENCY" | b"LOLWUT" | b"MODULE" | b"MONITOR" | b"MULTI"
            | b"PING" | b"PSUBSCRIBE" | b"PSYNC" | b"PUBLISH" | b"PUBSUB" | b"PUNSUBSCRIBE"
            | b"QUIT" | b"RANDOMKEY" | b"READONLY" | b"READWRITE" | b"REPLICAOF" | b"RESET"
            | b"ROLE" | b"SAVE" | b"SCAN" | b"SCRIPT" | b"SELECT" | b"SHUTDOWN" | b"SLAVEOF"
            | b"SLOWLOG" | b"SUBSCRIBE" | b"SWAPDB" | b"SYNC" | b"TIME" | b"UNSUBSCRIBE"
            | b"UNWATCH" | b"WAIT" | b"WAITAOF" => Self::NoKey,
            _ => Self::First,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(line: &str) -> Option<String> {
        let mut words = line.split(' ');
        let command = Command::new(words.next().unwrap()).args(words);
        command.first_key().map(|key| String::from_utf8_lossy(key).into_owned())
    }

    #[test]
    fn first_key_is_found() {
        for (line, first) in [
            ("get k", Some("k")),
            ("SET k v", Some("k")),
            ("JSON.GET k", Some("k")),
            ("SOME.UNKNOWN.COMMAND k", Some("k")),
            ("EVALSHA f00 2 k l a", Some("k")),
            ("EVAL text 0 a", None),
            ("ZUNION 2 k l", Some("k")),
            ("BZMPOP 5 1 k MIN", Some("k")),
            ("OBJECT ENCODING k", Some("k")),
            ("BITOP AND k l", Some("k")),
            ("XREAD COUNT 2 STREAMS k 0", Some("k")),
            ("xreadgroup GROUP g c streams k 0", Some("k")),
            ("XREADGROUP GROUP streams streams STREAMS k 0", Some("k")),
            ("SPUBLISH k message", Some("k")),
            ("PUBLISH channel message", None),
            ("SCAN 0 MATCH k", None),
            ("PING", None),
            ("GET", None),
            ("EVAL", None),
        ] {
            assert_eq!(key(line).as_deref(), first, "{line}");
        }
    }
}
