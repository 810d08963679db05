//! Which of its arguments are a command's keys.

use crate::resp::Command;
use crate::slot::slot;

/// The longest name of a command that has to be known here.
const LONGEST_NAME: usize = 16;

impl Command {
    /// Gives the slot of the command's first key; `None` if it has no key, and any node of
    /// a Cluster may execute it.
    ///
    /// A command that isn't known is taken to have its key right behind its name, as most
    /// have. That all of its keys lie in one slot is for the server to say.
    #[must_use]
    pub fn slot(&self) -> Option<u16> {
        self.first_key().map(slot)
    }

    /// Gives the command's first key.
    #[must_use]
    pub fn first_key(&self) -> Option<&[u8]> {
        let mut arguments = self.arguments();
        let name = arguments.next()?;
        let mut upper = [0; LONGEST_NAME];
        let Some(upper) = upper.get_mut(..name.len()) else { return arguments.next() };
        upper.copy_from_slice(name);
        upper.make_ascii_uppercase();
        match place(upper) {
            Place::First => arguments.next(),
            Place::Second => arguments.nth(1),
            Place::Counted { at } => {
                let count = arguments.nth(at)?;
                (count != b"0").then(|| arguments.next()).flatten()
            }
            Place::Behind { word, from } => {
                let mut arguments = arguments.skip(from);
                arguments.find(|argument| argument.eq_ignore_ascii_case(word))?;
                arguments.next()
            }
            Place::Nowhere => None,
        }
    }
}

/// Where the first key stands.
enum Place {
    /// Right behind the name.
    First,
    /// Behind a subcommand, or an operation.
    Second,
    /// Behind the number of keys, which is this argument behind the name.
    Counted { at: usize },
    /// Behind this word. It is looked for behind so many arguments, which may be any words.
    Behind { word: &'static [u8], from: usize },
    /// There is none.
    Nowhere,
}

fn place(name: &[u8]) -> Place {
    match name {
        b"EVAL" | b"EVALSHA" | b"EVAL_RO" | b"EVALSHA_RO" | b"FCALL" | b"FCALL_RO" | b"BLMPOP"
        | b"BZMPOP" => Place::Counted { at: 1 },
        b"ZUNION" | b"ZINTER" | b"ZDIFF" | b"ZINTERCARD" | b"SINTERCARD" | b"LMPOP" | b"ZMPOP" => {
            Place::Counted { at: 0 }
        }
        b"BITOP" | b"OBJECT" | b"MEMORY" | b"XINFO" | b"XGROUP" | b"DEBUG" => Place::Second,
        b"XREAD" => Place::Behind { word: b"STREAMS", from: 0 },
        // GROUP, the group and the consumer come first.
        b"XREADGROUP" => Place::Behind { word: b"STREAMS", from: 3 },
        b"ACL" | b"ASKING" | b"AUTH" | b"BGREWRITEAOF" | b"BGSAVE" | b"CLIENT" | b"CLUSTER"
        | b"COMMAND" | b"CONFIG" | b"DBSIZE" | b"DISCARD" | b"ECHO" | b"EXEC" | b"FAILOVER"
        | b"FLUSHALL" | b"FLUSHDB" | b"FUNCTION" | b"HELLO" | b"INFO" | b"KEYS" | b"LASTSAVE"
        | b"LATENCY" | b"LOLWUT" | b"MODULE" | b"MONITOR" | b"MULTI" | b"PING" | b"PSUBSCRIBE"
        | b"PSYNC" | b"PUBLISH" | b"PUBSUB" | b"PUNSUBSCRIBE" | b"QUIT" | b"RANDOMKEY"
        | b"READONLY" | b"READWRITE" | b"REPLICAOF" | b"RESET" | b"ROLE" | b"SAVE" | b"SCAN"
        | b"SCRIPT" | b"SELECT" | b"SHUTDOWN" | b"SLAVEOF" | b"SLOWLOG" | b"SUBSCRIBE"
        | b"SWAPDB" | b"SYNC" | b"TIME" | b"UNSUBSCRIBE" | b"UNWATCH" | b"WAIT" | b"WAITAOF" => {
            Place::Nowhere
        }
        _ => Place::First,
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
    fn the_first_key_is_found_in_each_form_of_command() {
        for (line, first) in [
            ("get k", Some("k")),
            ("SET k v", Some("k")),
            ("JSON.GET k", Some("k")),
            ("A.COMMAND.THAT.NOBODY.KNOWS k", Some("k")),
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
