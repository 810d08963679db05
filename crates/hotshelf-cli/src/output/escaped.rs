//! Text that a terminal shows as it is.

use std::fmt::Write;

/// Escapes what a terminal would interpret or hide: control characters, marks of direction, and bytes
/// that aren't UTF-8. [`unescape`] reverses it.
pub(crate) fn escape(bytes: &[u8]) -> String {
    escaped(bytes, "")
}

/// Does the same for a text of several lines.
pub(crate) fn escape_text(bytes: &[u8]) -> String {
    escaped(bytes, "\n\t\\")
}

/// Does the same for a line whose backslashes are those of escaped keys, or of a command.
pub(crate) fn escape_line(bytes: &[u8]) -> String {
    escaped(bytes, "\\")
}

/// Escapes all but the characters to keep.
fn escaped(bytes: &[u8], kept: &str) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                _ if kept.contains(character) => shown.push(character),
                '\n' => shown.push_str("\\n"),
                '\t' => shown.push_str("\\t"),
                '\r' => shown.push_str("\\r"),
                '\\' => shown.push_str("\\\\"),
                '\0'..='\x1f' | '\x7f' => push_byte(&mut shown, character as u8),
                _ if character.is_control() || is_hidden(character) => {
                    // Writing to a string can't fail.
                    let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
                }
                _ => shown.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| push_byte(&mut shown, *byte));
    }
    shown
}

fn push_byte(text: &mut String, byte: u8) {
    // Writing to a string can't fail.
    let _ = write!(text, "\\x{byte:02x}");
}

/// Returns `true` for characters that have no width, or change the direction of others.
fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Returns the bytes of escaped text; `None` if it isn't valid.
pub(crate) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(&rest.as_bytes()[..at]);
        let after = &rest[at + 1..];
        let kind = after.chars().next()?;
        let mut length = kind.len_utf8();
        match kind {
            '\\' => bytes.push(b'\\'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            'r' => bytes.push(b'\r'),
            'x' => {
                bytes.push(u8::from_str_radix(after.get(1..3)?, 16).ok()?);
                length = 3;
            }
            'u' => {
                let (digits, _) = after[1..].strip_prefix('{')?.split_once('}')?;
                let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
                length = "u{}".len() + digits.len();
            }
            _ => return None,
        }
        rest = &after[length..];
    }
    bytes.extend(rest.as_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_text_round_trips() {
        for bytes in [
            &b"shop:v1:a"[..],
            b"\x1b[31mred\x07\r\n\t\\x",
            b"\xff\xfe not UTF-8 \xc3",
            "Zoë \u{202e}\u{9b} é".as_bytes(),
            b"",
        ] {
            let shown = escape(bytes);
            assert!(!shown.chars().any(|it| it.is_control() || is_hidden(it)), "{shown}");
            assert_eq!(unescape(&shown).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(escape("a\u{ad}b\u{e0041}\u{61c}".as_bytes()), "a\\u{ad}b\\u{e0041}\\u{61c}");
    }

    #[test]
    fn lines_of_a_text_stay() {
        assert_eq!(escape_line(b"a\\nb\n\x1b"), "a\\nb\\n\\x1b");
        assert_eq!(escape_text(b"{\n\t\"a\\n\": \x1b}"), "{\n\t\"a\\n\": \\x1b}");
    }

    #[test]
    fn invalid_escapes_are_refused() {
        for text in ["\\", "\\q", "\\x1", "\\xzz", "\\u{", "\\u{d800}", "\\u41", "\\x€"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }
}
