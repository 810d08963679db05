//! Encoding commands, and values as a server does.

use super::decode::LONGEST_LINE;
use super::{Expected, Value};

/// The initial capacity of a command: enough for most commands on one key.
const ROOM: usize = 128;

/// One command: its name and its arguments.
///
/// It is sent as an array of length-prefixed strings: no bytes in an argument can be mistaken
/// for another argument or command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a command does nothing until it is sent"]
pub struct Command {
    count: u64,
    strings: Vec<u8>,
    expected: Expected,
}

impl Command {
    /// Creates a command.
    pub fn new(name: impl AsRef<[u8]>) -> Self {
        Self::with_room(name, 0)
    }

    /// Creates a command with room for arguments of so many bytes beyond the usual.
    pub fn with_room(name: impl AsRef<[u8]>, bytes: usize) -> Self {
        let name = name.as_ref();
        let (strings, expected) = (Vec::with_capacity(ROOM + bytes), Expected::of(name));
        Self { count: 0, strings, expected }.arg(name)
    }

    /// Makes it a command of a transaction: it is queued, and its reply is part of that to
    /// `EXEC`; or it is executed at once, if `MULTI` was refused.
    pub fn queued(mut self) -> Self {
        self.expected = Expected::Any;
        self
    }

    /// Returns the number of bytes of its name and arguments, as they are sent.
    #[must_use]
    pub fn size(&self) -> usize {
        self.strings.len()
    }

    /// Returns the types of replies that it can have.
    pub(crate) fn expected(&self) -> Expected {
        self.expected
    }

    /// Appends an argument.
    pub fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        string(&mut self.strings, argument.as_ref());
        self.count += 1;
        self
    }

    /// Appends arguments.
    pub fn args<A: AsRef<[u8]>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Appends an integer, in decimal digits.
    pub fn number(self, number: u64) -> Self {
        self.arg(decimal(number, &mut [0; DIGITS]))
    }

    /// Returns the name and the arguments, in the order in which they were appended.
    pub fn arguments(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.strings.as_slice();
        std::iter::from_fn(move || {
            let line = memchr::memchr(b'\r', rest)?;
            let length =
                rest[1..line].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            let start = line + 2;
            let argument = &rest[start..start + length];
            rest = &rest[start + length + 2..];
            Some(argument)
        })
    }

    /// Appends the encoded command to a buffer.
    pub fn write_to(&self, output: &mut Vec<u8>) {
        line(output, b'*', self.count);
        output.extend_from_slice(&self.strings);
    }
}

/// Appends a value, encoded as a server does: for tests and fake servers.
pub fn value(output: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nil => output.extend_from_slice(b"_\r\n"),
        Value::Integer(number) => text(output, b':', number.to_string().as_bytes()),
        Value::Double(number) => text(output, b',', double(*number).as_bytes()),
        Value::Boolean(yes) => text(output, b'#', if *yes { b"t" } else { b"f" }),
        Value::BigNumber(digits) => text(output, b'(', digits),
        Value::Bulk(bytes) => string(output, bytes),
        Value::Simple(line) => text(output, b'+', line),
        Value::Verbatim(format, content) => {
            line(output, b'=', content.len() as u64 + 4);
            output.extend_from_slice(format);
            output.push(b':');
            output.extend_from_slice(content);
            output.extend_from_slice(b"\r\n");
        }
        Value::Error(error) if is_line(error.line()) => text(output, b'-', error.line()),
        Value::Error(error) => counted(output, b'!', error.line()),
        Value::Array(items) => all(output, b'*', items),
        Value::Set(items) => all(output, b'~', items),
        Value::Push(items) => all(output, b'>', items),
        Value::Map(pairs) => all_pairs(output, b'%', pairs),
        Value::Attributed(attributes, attributed) => {
            all_pairs(output, b'|', attributes);
            self::value(output, attributed);
        }
    }
}

/// Returns `true` if a text can be sent as a line: it is short and has no line breaks.
fn is_line(text: &[u8]) -> bool {
    memchr::memchr2(b'\r', b'\n', text).is_none() && text.len() + b"-\r\n".len() <= LONGEST_LINE
}

fn all(output: &mut Vec<u8>, kind: u8, items: &[Value]) {
    line(output, kind, items.len() as u64);
    items.iter().for_each(|item| value(output, item));
}

fn all_pairs(output: &mut Vec<u8>, kind: u8, pairs: &[(Value, Value)]) {
    line(output, kind, pairs.len() as u64);
    for (key, item) in pairs {
        value(output, key);
        value(output, item);
    }
}

fn double(number: f64) -> String {
    match number {
        _ if number.is_nan() => "nan".into(),
        _ if number.is_infinite() => if number > 0.0 { "inf" } else { "-inf" }.into(),
        _ => number.to_string(),
    }
}

fn text(output: &mut Vec<u8>, kind: u8, content: &[u8]) {
    output.push(kind);
    output.extend_from_slice(content);
    output.extend_from_slice(b"\r\n");
}

fn string(output: &mut Vec<u8>, content: &[u8]) {
    counted(output, b'$', content);
}

fn counted(output: &mut Vec<u8>, kind: u8, content: &[u8]) {
    output.reserve(content.len() + LINE + 2);
    line(output, kind, content.len() as u64);
    output.extend_from_slice(content);
    output.extend_from_slice(b"\r\n");
}

/// The maximum length of a line with a number: its type, its digits and the line break.
const LINE: usize = DIGITS + 3;

fn line(output: &mut Vec<u8>, kind: u8, number: u64) {
    // Names and argument counts usually have one digit.
    if number < 10 {
        return output.extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']);
    }
    text(output, kind, decimal(number, &mut [0; DIGITS]));
}

/// The maximum number of digits of a `u64`.
const DIGITS: usize = 20;

/// Writes a number to the end of a buffer and returns its digits.
fn decimal(mut number: u64, digits: &mut [u8; DIGITS]) -> &[u8] {
    let mut at = DIGITS;
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::ServerError;

    #[test]
    fn commands_are_arrays_of_strings() {
        let mut output = Vec::new();
        let command = Command::new("SET").args(["k\r\n", ""]).number(u64::MAX);
        command.write_to(&mut output);
        let written =
            b"*4\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n$20\r\n18446744073709551615\r\n";
        assert_eq!(output.as_slice(), written);
    }

    #[test]
    fn multiline_errors_are_sent_with_length() {
        let mut output = Vec::new();
        value(&mut output, &Value::Error(ServerError::new("ERR a\r\n+b".into())));
        value(&mut output, &Value::Error(ServerError::new("ERR c".into())));
        assert_eq!(output, b"!9\r\nERR a\r\n+b\r\n-ERR c\r\n");
        for (length, kind) in [(LONGEST_LINE - 3, b'-'), (LONGEST_LINE - 2, b'!')] {
            output.clear();
            value(&mut output, &Value::Error(ServerError::new(vec![b'x'; length].into())));
            assert_eq!(output[0], kind, "{length}");
        }
    }

    #[test]
    fn arguments_are_returned_unchanged() {
        let command = Command::new("SET").args(["k\r\n", "", &"x".repeat(100)]).number(7);
        let arguments: Vec<_> = command.arguments().collect();
        assert_eq!(arguments, [b"SET", &b"k\r\n"[..], b"", &[b'x'; 100], b"7"]);
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 1234, u64::MAX] {
            assert_eq!(decimal(number, &mut [0; DIGITS]), number.to_string().as_bytes());
        }
    }
}
