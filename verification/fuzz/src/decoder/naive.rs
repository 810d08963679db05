//! A naive RESP reader, for complete input and without limits.

use bytes::Bytes;
use hotshelf_wire::resp::{ServerError, Value};

/// Reads a value, and returns it with its length in bytes; `None` if it is incomplete or
/// invalid.
pub(super) fn value(text: &[u8]) -> Option<(Value, usize)> {
    let mut reader = Reader { text, at: 0 };
    Some((reader.value()?, reader.at))
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Option<Value> {
        let (kind, line) = self.line()?;
        let text = std::str::from_utf8(line);
        let bytes = Bytes::copy_from_slice(line);
        Some(match (kind, line) {
            (b'_', b"") | (b'$' | b'*', b"-1") => Value::Nil,
            (b'#', b"t") => Value::Boolean(true),
            (b'#', b"f") => Value::Boolean(false),
            (b':', _) => Value::Integer(text.ok()?.parse().ok()?),
            (b',', _) => Value::Double(text.ok()?.parse().ok()?),
            (b'(', [b'-', digits @ ..] | digits)
                if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) =>
            {
                Value::BigNumber(bytes)
            }
            (b'+', _) => Value::Simple(bytes),
            (b'-', _) => Value::Error(ServerError::new(bytes)),
            (b'$', b"?") => Value::Bulk(self.chunks()?),
            (b'$', _) => Value::Bulk(self.string(line)?),
            (b'!', _) => Value::Error(ServerError::new(self.string(line)?)),
            (b'=', _) => {
                let string = self.string(line)?;
                let [a, b, c, b':', ..] = string[..] else { return None };
                Value::Verbatim([a, b, c], string.slice(4..))
            }
            (b'*', _) => Value::Array(self.items(line, 1)?),
            (b'~', _) => Value::Set(self.items(line, 1)?),
            (b'>', _) => Value::Push(self.items(line, 1)?),
            (b'%', _) => Value::Map(self.pairs(line)?),
            (b'|', _) => Value::Attributed(self.pairs(line)?, Box::new(self.value()?)),
            _ => return None,
        })
    }

    /// Reads the first byte and the rest of a line.
    fn line(&mut self) -> Option<(u8, &'a [u8])> {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n')?;
        self.at += length + 1;
        let (kind, line) = rest[..length].strip_suffix(b"\r")?.split_first()?;
        Some((*kind, line))
    }

    fn string(&mut self, length: &[u8]) -> Option<Bytes> {
        let end = self.at.checked_add(count(length)?)?;
        let string = Bytes::copy_from_slice(self.text.get(self.at..end)?);
        self.at = end + 2;
        (self.text.get(end..end + 2)? == b"\r\n").then_some(string)
    }

    fn chunks(&mut self) -> Option<Bytes> {
        let mut chunks = Vec::new();
        loop {
            match self.line()? {
                (b';', b"0") => return Some(chunks.into()),
                (b';', length) => chunks.extend(self.string(length)?),
                _ => return None,
            }
        }
    }

    /// Reads the items of an aggregate, `each` times the announced number.
    fn items(&mut self, announced: &[u8], each: usize) -> Option<Vec<Value>> {
        let mut items = Vec::new();
        if announced != b"?" {
            for _ in 0..count(announced)?.checked_mul(each)? {
                items.push(self.value()?);
            }
            return Some(items);
        }
        while !self.is_at_end() {
            items.push(self.value()?);
        }
        Some(items)
    }

    /// Skips the end of a streamed aggregate, and returns whether there was one.
    fn is_at_end(&mut self) -> bool {
        let is_there = self.text[self.at..].starts_with(b".\r\n");
        self.at += if is_there { 3 } else { 0 };
        is_there
    }

    fn pairs(&mut self, announced: &[u8]) -> Option<Vec<(Value, Value)>> {
        let items = self.items(announced, 2)?;
        let pair = |pair: &[Value]| (pair[0].clone(), pair[1].clone());
        items.len().is_multiple_of(2).then(|| items.chunks(2).map(pair).collect())
    }
}

/// Reads a length. A plus sign is ignored.
fn count(text: &[u8]) -> Option<usize> {
    let count: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    count.try_into().ok()
}
