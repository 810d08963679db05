//! The key of a command, and its slot.

use hotshelf_wire::resp::Command;
use hotshelf_wire::{SLOTS, slot};

use crate::input::Input;

/// Commands with their key right after their name, an unknown one among them.
const FIRST: [&str; 5] = ["GET", "SPUBLISH", "ZREVRANGEBYSCORE", "GEORADIUSBYMEMBER_RO", "NO.ONES"];
const COUNTED_FIRST: [&str; 4] = ["ZUNION", "ZINTERCARD", "SINTERCARD", "LMPOP"];
const COUNTED_SECOND: [&str; 6] = ["EVAL", "EVALSHA", "FCALL", "FCALL_RO", "BLMPOP", "BZMPOP"];
const SECOND: [&str; 4] = ["OBJECT", "BITOP", "XGROUP", "MEMORY"];
const NOWHERE: [&str; 6] = ["PING", "SCRIPT", "SCAN", "PUBLISH", "UNSUBSCRIBE", "BGREWRITEAOF"];

/// A command returns the arguments that it was created from, and its key is one of them.
pub(super) fn any(mut input: Input<'_>) {
    let mut arguments = vec![input.bytes()];
    while !input.0.is_empty() {
        arguments.push(input.bytes());
    }
    let command = Command::new(arguments[0]).args(&arguments[1..]);
    assert!(command.arguments().eq(arguments.iter().copied()), "{arguments:?}");
    let key = command.first_key();
    assert!(key.is_none_or(|key| arguments[1..].contains(&key)), "{key:?} of {arguments:?}");
    assert_eq!(command.slot(), key.map(naive_slot), "{arguments:?}");
    assert!(command.slot().is_none_or(|slot| slot < SLOTS));
}

/// The key is found at the position in the server's own table of commands.
pub(super) fn of_a_known_form(mut input: Input<'_>) {
    let form = input.small() % 7;
    let cases = input.number();
    let name = |names: &[&str]| {
        let name = names[usize::from(cases) % names.len()];
        let letters = name.char_indices().map(|(at, letter)| match cases >> (at % 16) & 1 {
            0 => letter,
            _ => letter.to_ascii_lowercase(),
        });
        Command::new(letters.collect::<String>())
    };
    let key = input.bytes();
    let (command, expected) = match form {
        0 => (name(&FIRST).arg(key), Some(key)),
        1 => (name(&COUNTED_FIRST).number(1).arg(key), Some(key)),
        2 => (name(&COUNTED_SECOND).arg(input.bytes()).number(1).arg(key), Some(key)),
        3 => (name(&SECOND).arg(input.bytes()).arg(key), Some(key)),
        4 => (name(&["XREAD"]).args(["COUNT", "7", "streams"]).arg(key), Some(key)),
        5 => {
            let group = name(&["XREADGROUP"]).arg("GROUP").arg(input.bytes()).arg(input.bytes());
            (group.args(["NOACK", "STREAMS"]).arg(key), Some(key))
        }
        _ => match cases % 2 {
            0 => (name(&NOWHERE).arg(key), None),
            _ => (name(&COUNTED_SECOND).arg(input.bytes()).number(0).arg(key), None),
        },
    };
    let command = command.arg(input.bytes());
    let line: Vec<_> = command.arguments().map(|word| word.escape_ascii().to_string()).collect();
    assert_eq!(command.first_key(), expected, "{line:?}");
    assert_eq!(slot(key), naive_slot(key), "{line:?}");
}

/// The specification, bit by bit.
fn naive_slot(key: &[u8]) -> u16 {
    let hashed = match key.split_once_by(b'{').and_then(|(_, behind)| behind.split_once_by(b'}')) {
        Some((tag, _)) if !tag.is_empty() => tag,
        _ => key,
    };
    let mut crc: u32 = 0;
    for bit in hashed.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
        let out = crc >> 15 & 1;
        crc = crc << 1 & 0xffff;
        if out != u32::from(bit) {
            crc ^= 0x1021;
        }
    }
    (crc % u32::from(SLOTS)) as u16
}

/// `split_once` of strings, for slices.
trait SplitOnce {
    fn split_once_by(&self, at: u8) -> Option<(&[u8], &[u8])>;
}

impl SplitOnce for [u8] {
    fn split_once_by(&self, at: u8) -> Option<(&[u8], &[u8])> {
        let index = self.iter().position(|byte| *byte == at)?;
        Some((&self[..index], &self[index + 1..]))
    }
}
