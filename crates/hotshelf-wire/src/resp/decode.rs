//! Decoding values from bytes that arrive in pieces.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::{ServerError, Value};

/// The limits of a decoder. A peer that exceeds them is not a Redis server, or is malicious.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The nesting depth of aggregates. Default: 64.
    pub depth: usize,
    /// The encoded length of one reply in bytes. Default: 1 GiB, twice the default limit of a
    /// Redis string.
    pub reply_bytes: usize,
    /// The memory in bytes that one reply may take beyond four times its encoded length: tiny
    /// items take more than they are encoded in. Default: 256 MiB, that of some 4 million items.
    pub overhead_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, reply_bytes: 1 << 30, overhead_bytes: 256 << 20 }
    }
}

/// The memory that an item takes in addition to its bytes: a list that grows may have room for
/// twice its items.
const ITEM: usize = 2 * size_of::<Value>();

/// Strings of up to this many bytes are copied out of the read buffer, so that a small value
/// doesn't keep a large buffer alive. Longer ones are slices of it.
const COPIED: usize = 8 << 10;

/// Strings of a list of up to this many bytes share allocations of [`COPIED`] bytes: to allocate
/// and free each of them costs more than to copy it.
const SHARED: usize = 1 << 10;

/// The maximum length of a line: an error, a status, a length.
pub(super) const LONGEST_LINE: usize = 64 << 10;

/// The length of the shortest value in bytes.
const SHORTEST: usize = 3;

/// The number of items that are preallocated: half as many at each depth, so that nested
/// aggregates allocate at most twice as much in total.
const ROOM: usize = 256;

/// Decodes values from bytes that arrive in pieces.
///
/// It decodes no part of a value twice, and allocates at most a small multiple of the received
/// bytes, regardless of the announced lengths.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    /// The incomplete aggregates, outermost first.
    open: Vec<Open>,
    /// Room for the next strings of a list.
    room: BytesMut,
    /// The number of bytes of the value that were already consumed, and of pieces.
    read: usize,
    pieces: usize,
}

/// An incomplete aggregate.
#[derive(Debug)]
struct Open {
    kind: Kind,
    items: Vec<Value>,
    /// The number of missing items; `None` if an end marker follows them.
    left: Option<usize>,
}

#[derive(Debug)]
enum Kind {
    Array,
    Set,
    Push,
    Map,
    /// Attributes of the value that follows.
    Attribute,
    /// A value with these attributes.
    Attributed(Vec<(Value, Value)>),
    /// A string in chunks.
    Text,
}

/// The smallest unit of decoding.
enum Piece {
    /// A scalar value.
    Value(Value),
    /// The header of an aggregate.
    Open(Kind, Option<usize>),
    /// A chunk of a string.
    Chunk(Bytes),
    /// The end of a string in chunks.
    LastChunk,
    /// The end of an aggregate without an announced length.
    End,
}

/// Bytes that are not valid RESP. Later bytes of the connection can't be trusted either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An unknown type byte.
    Kind(u8),
    /// An invalid length or number.
    Number,
    /// A missing line break.
    End,
    /// A line is longer than 64 KiB.
    Line,
    /// An unexpected chunk or end marker.
    Misplaced,
    /// Aggregates are nested deeper than [`Limits::depth`].
    Depth,
    /// A reply is longer than [`Limits::reply_bytes`], or takes more memory than its length and
    /// [`Limits::overhead_bytes`] allow.
    Length,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(byte) => {
                write!(formatter, "unknown type byte \"{}\"", byte.escape_ascii())
            }
            Self::Number => formatter.write_str("invalid length or number"),
            Self::End => formatter.write_str("missing line break after a value"),
            Self::Line => formatter.write_str("line longer than 64 KiB"),
            Self::Misplaced => formatter.write_str("unexpected chunk or end marker"),
            Self::Depth => formatter.write_str("aggregates nested too deeply"),
            Self::Length => formatter.write_str("reply too long"),
        }
    }
}

impl std::error::Error for ProtocolError {}

impl Decoder {
    /// Creates a decoder with other limits than the default.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Decodes the next value from a buffer; `None` if it is incomplete.
    ///
    /// The consumed part of an incomplete value is kept: append later bytes to the buffer.
    ///
    /// # Errors
    /// If the bytes are not valid RESP or exceed the limits. The decoder can't be used again.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Value>, ProtocolError> {
        loop {
            let before = buffer.len();
            let Some(piece) = self.piece(buffer)? else { return Ok(None) };
            self.read += before - buffer.len();
            self.pieces += 1;
            let memory = self.pieces.saturating_mul(ITEM);
            let most = self.limits.overhead_bytes.saturating_add(self.read.saturating_mul(4));
            if self.read > self.limits.reply_bytes || memory > most {
                return Err(ProtocolError::Length);
            }
            if let Some(value) = self.add(piece)? {
                (self.read, self.pieces) = (0, 0);
                return Ok(Some(value));
            }
        }
    }

    fn piece(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, ProtocolError> {
        let Some(end) = line_end(buffer)? else { return Ok(None) };
        let line = &buffer[1..end];
        let aggregate = |kind, factor| Ok(Piece::Open(kind, self.count(line, factor)?));
        let piece = match buffer[0] {
            b'$' | b'=' | b'!' | b';' => return self.string(buffer, end),
            b':' => Ok(Piece::Value(Value::Integer(number(line)?))),
            b'+' => Ok(Piece::Value(Value::Simple(Bytes::copy_from_slice(line)))),
            b'-' => {
                let error = ServerError::new(Bytes::copy_from_slice(line));
                Ok(Piece::Value(Value::Error(error)))
            }
            b'_' if line.is_empty() => Ok(Piece::Value(Value::Nil)),
            b'*' if line == b"-1" => Ok(Piece::Value(Value::Nil)),
            b'#' if line == b"t" || line == b"f" => Ok(Piece::Value(Value::Boolean(line == b"t"))),
            b',' => Ok(Piece::Value(Value::Double(double(line)?))),
            b'(' => Ok(Piece::Value(Value::BigNumber(big_number(line)?))),
            b'*' => aggregate(Kind::Array, 1),
            b'~' => aggregate(Kind::Set, 1),
            b'>' => aggregate(Kind::Push, 1),
            b'%' => aggregate(Kind::Map, 2),
            b'|' => aggregate(Kind::Attribute, 2),
            b'.' if line.is_empty() => Ok(Piece::End),
            b'_' | b'#' | b'.' => Err(ProtocolError::End),
            kind => Err(ProtocolError::Kind(kind)),
        };
        buffer.advance(end + 2);
        piece.map(Some)
    }

    /// Reads the number of items of an aggregate, `factor` times the announced number; `None`
    /// for a streamed one.
    fn count(&self, line: &[u8], factor: usize) -> Result<Option<usize>, ProtocolError> {
        if line == b"?" {
            return Ok(None);
        }
        let count = unsigned(line)?.saturating_mul(factor);
        match count.saturating_mul(SHORTEST) > self.limits.reply_bytes {
            true => Err(ProtocolError::Length),
            false => Ok(Some(count)),
        }
    }

    /// Decodes a value that announces its length in bytes.
    fn string(
        &mut self,
        buffer: &mut BytesMut,
        end: usize,
    ) -> Result<Option<Piece>, ProtocolError> {
        let (kind, line) = (buffer[0], &buffer[1..end]);
        let (start, length) = match (kind, line) {
            (b'$', b"-1") => {
                buffer.advance(end + 2);
                return Ok(Some(Piece::Value(Value::Nil)));
            }
            (b'$', b"?") => {
                buffer.advance(end + 2);
                return Ok(Some(Piece::Open(Kind::Text, None)));
            }
            // The last chunk is empty, and no line break follows it.
            (b';', b"0") => {
                buffer.advance(end + 2);
                return Ok(Some(Piece::LastChunk));
            }
            (_, line) => (end + 2, unsigned(line)?),
        };
        if length > self.limits.reply_bytes - self.read.min(self.limits.reply_bytes) {
            return Err(ProtocolError::Length);
        }
        let Some(terminator) = buffer.get(start + length..start + length + 2) else {
            return Ok(None);
        };
        if terminator != b"\r\n" {
            return Err(ProtocolError::End);
        }
        let bytes = if length <= COPIED {
            let copy = self.copied(&buffer[start..start + length]);
            buffer.advance(start + length + 2);
            copy
        } else {
            buffer.advance(start);
            let slice = buffer.split_to(length).freeze();
            buffer.advance(2);
            slice
        };
        Ok(Some(match kind {
            b'$' => Piece::Value(Value::Bulk(bytes)),
            b';' => Piece::Chunk(bytes),
            b'!' => Piece::Value(Value::Error(ServerError::new(bytes))),
            _ => Piece::Value(verbatim(bytes)?),
        }))
    }

    /// Copies a string out of the read buffer.
    fn copied(&mut self, string: &[u8]) -> Bytes {
        let in_list = matches!(self.open.last(), Some(Open { left: Some(2..), .. }));
        if !in_list || string.len() > SHARED {
            return Bytes::copy_from_slice(string);
        }
        if self.room.capacity() < string.len() {
            self.room = BytesMut::with_capacity(COPIED);
        }
        self.room.extend_from_slice(string);
        self.room.split().freeze()
    }

    /// Adds a piece to the innermost aggregate; returns the outermost value once it is
    /// complete.
    fn add(&mut self, piece: Piece) -> Result<Option<Value>, ProtocolError> {
        let in_text = matches!(self.open.last(), Some(Open { kind: Kind::Text, .. }));
        let mut value = match piece {
            Piece::Open(..) | Piece::Value(_) | Piece::End if in_text => {
                return Err(ProtocolError::Misplaced);
            }
            Piece::LastChunk if !in_text => return Err(ProtocolError::Misplaced),
            Piece::Value(value) => value,
            Piece::Open(kind, left) => {
                if self.open.len() >= self.limits.depth {
                    return Err(ProtocolError::Depth);
                }
                let room = ROOM.checked_shr(self.open.len() as u32).unwrap_or(0);
                let items = Vec::with_capacity(left.unwrap_or(0).min(room));
                self.open.push(Open { kind, items, left });
                match left {
                    Some(0) => match self.close() {
                        Some(value) => value,
                        None => return Ok(None),
                    },
                    _ => return Ok(None),
                }
            }
            Piece::Chunk(chunk) => match self.open.last_mut() {
                Some(text) if in_text => {
                    text.items.push(Value::Bulk(chunk));
                    return Ok(None);
                }
                _ => return Err(ProtocolError::Misplaced),
            },
            Piece::LastChunk | Piece::End => {
                let is_whole = |open: &Open| match open.kind {
                    Kind::Map | Kind::Attribute => open.items.len().is_multiple_of(2),
                    _ => true,
                };
                if !self.open.last().is_some_and(|open| open.left.is_none() && is_whole(open)) {
                    return Err(ProtocolError::Misplaced);
                }
                match self.close() {
                    Some(value) => value,
                    None => return Ok(None),
                }
            }
        };
        while let Some(open) = self.open.last_mut() {
            open.items.push(value);
            match &mut open.left {
                Some(left) if *left > 1 => *left -= 1,
                Some(_) => match self.close() {
                    Some(closed) => {
                        value = closed;
                        continue;
                    }
                    None => return Ok(None),
                },
                None => {}
            }
            return Ok(None);
        }
        Ok(Some(value))
    }

    /// Closes the innermost aggregate. Attributes are not a value: they precede one.
    fn close(&mut self) -> Option<Value> {
        let Open { kind, mut items, .. } = self.open.pop()?;
        Some(match kind {
            Kind::Array => Value::Array(items),
            Kind::Set => Value::Set(items),
            Kind::Push => Value::Push(items),
            Kind::Map => Value::Map(pairs(items)),
            Kind::Attribute => {
                let kind = Kind::Attributed(pairs(items));
                self.open.push(Open { kind, items: Vec::with_capacity(1), left: Some(1) });
                return None;
            }
            Kind::Attributed(attributes) => Value::Attributed(attributes, Box::new(items.pop()?)),
            Kind::Text => Value::Bulk(joined(items)),
        })
    }
}

fn pairs(items: Vec<Value>) -> Vec<(Value, Value)> {
    let mut items = items.into_iter();
    std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
}

fn joined(chunks: Vec<Value>) -> Bytes {
    let mut text = Vec::new();
    for chunk in chunks {
        if let Value::Bulk(chunk) = chunk {
            text.extend_from_slice(&chunk);
        }
    }
    text.into()
}

/// Returns the position of the first line break; `None` if it hasn't arrived.
fn line_end(buffer: &[u8]) -> Result<Option<usize>, ProtocolError> {
    let searched = &buffer[..buffer.len().min(LONGEST_LINE)];
    match memchr::memchr(b'\n', searched) {
        Some(at) if at >= 2 && buffer[at - 1] == b'\r' => Ok(Some(at - 1)),
        Some(_) => Err(ProtocolError::End),
        None if searched.len() == LONGEST_LINE => Err(ProtocolError::Line),
        None => Ok(None),
    }
}

fn unsigned(line: &[u8]) -> Result<usize, ProtocolError> {
    usize::try_from(number(line)?).map_err(|_| ProtocolError::Number)
}

fn number(line: &[u8]) -> Result<i64, ProtocolError> {
    let (negative, digits) = match line {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(ProtocolError::Number);
    }
    // Summed as a negative number: `i64::MIN` has no positive counterpart.
    let add = |sum: i64, digit: &u8| match digit {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_sub(i64::from(digit - b'0')),
        _ => None,
    };
    let sum = digits.iter().try_fold(0, add).ok_or(ProtocolError::Number)?;
    if negative { Ok(sum) } else { sum.checked_neg().ok_or(ProtocolError::Number) }
}

fn double(line: &[u8]) -> Result<f64, ProtocolError> {
    let text = std::str::from_utf8(line).map_err(|_| ProtocolError::Number)?;
    text.parse().map_err(|_| ProtocolError::Number)
}

fn big_number(line: &[u8]) -> Result<Bytes, ProtocolError> {
    let digits = line.strip_prefix(b"-").unwrap_or(line);
    match !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        true => Ok(Bytes::copy_from_slice(line)),
        false => Err(ProtocolError::Number),
    }
}

fn verbatim(bytes: Bytes) -> Result<Value, ProtocolError> {
    match bytes[..] {
        [a, b, c, b':', ..] => Ok(Value::Verbatim([a, b, c], bytes.slice(4..))),
        _ => Err(ProtocolError::End),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::resp;

    /// Decodes all values from bytes that arrive in pieces.
    fn decode(
        pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<Vec<Value>, ProtocolError> {
        let (mut decoder, mut buffer, mut values) =
            (Decoder::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece.as_ref());
            while let Some(value) = decoder.decode(&mut buffer)? {
                values.push(value);
            }
        }
        Ok(values)
    }

    fn one(text: &[u8]) -> Value {
        let whole = decode([text]).unwrap();
        assert_eq!(decode(text.chunks(1)).unwrap(), whole, "{:?}", text.escape_ascii());
        let [value] = <[Value; 1]>::try_from(whole).unwrap();
        value
    }

    fn bulk(text: &'static str) -> Value {
        Value::Bulk(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn every_type_is_decoded() {
        assert_eq!(one(b"_\r\n"), Value::Nil);
        assert_eq!(one(b"$-1\r\n"), Value::Nil);
        assert_eq!(one(b"*-1\r\n"), Value::Nil);
        assert_eq!(one(b":-9223372036854775808\r\n"), Value::Integer(i64::MIN));
        assert_eq!(one(b":+7\r\n"), Value::Integer(7));
        assert_eq!(one(b",-1.5e3\r\n"), Value::Double(-1500.0));
        assert_eq!(one(b",-inf\r\n"), Value::Double(f64::NEG_INFINITY));
        let [Value::Double(number)] = decode([b",nan\r\n"]).unwrap()[..] else { panic!() };
        assert!(number.is_nan());
        assert_eq!(one(b"#t\r\n"), Value::Boolean(true));
        assert_eq!(one(b"(-34928903284\r\n"), Value::BigNumber("-34928903284".into()));
        assert_eq!(one(b"$0\r\n\r\n"), bulk(""));
        assert_eq!(one(b"$4\r\n\r\n$1\r\n"), bulk("\r\n$1"));
        assert_eq!(one(b"+OK\r\n"), Value::Simple("OK".into()));
        assert_eq!(one(b"=7\r\ntxt:abc\r\n"), Value::Verbatim(*b"txt", "abc".into()));
        let error = Value::Error(ServerError::new("ERR no".into()));
        assert_eq!(one(b"-ERR no\r\n"), error);
        assert_eq!(one(b"!6\r\nERR no\r\n"), error);
        assert_eq!(one(b"*0\r\n"), Value::Array(vec![]));
        assert_eq!(one(b"~1\r\n:1\r\n"), Value::Set(vec![Value::Integer(1)]));
        assert_eq!(one(b">1\r\n$1\r\na\r\n"), Value::Push(vec![bulk("a")]));
        assert_eq!(one(b"%1\r\n+a\r\n*1\r\n_\r\n"), {
            Value::Map(vec![(Value::Simple("a".into()), Value::Array(vec![Value::Nil]))])
        });
    }

    #[test]
    fn attributes_belong_to_next_value() {
        let attributes = || vec![(bulk("ttl"), Value::Integer(3))];
        let value = one(b"*2\r\n|1\r\n$3\r\nttl\r\n:3\r\n:1\r\n:2\r\n");
        let attributed = Value::Attributed(attributes(), Box::new(Value::Integer(1)));
        assert_eq!(value, Value::Array(vec![attributed, Value::Integer(2)]));
        let of_an_array = one(b"|1\r\n$3\r\nttl\r\n:3\r\n*1\r\n:1\r\n");
        assert_eq!(of_an_array.without_attributes(), Value::Array(vec![Value::Integer(1)]));
        assert_eq!(one(b"|0\r\n:1\r\n").without_attributes(), Value::Integer(1));
    }

    #[test]
    fn streamed_values_end_at_marker() {
        assert_eq!(one(b"$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n"), bulk("Hello"));
        assert_eq!(one(b"$?\r\n;0\r\n"), bulk(""));
        let nested = Value::Array(vec![Value::Map(vec![]), Value::Integer(1)]);
        assert_eq!(one(b"*?\r\n%?\r\n.\r\n:1\r\n.\r\n"), nested);
    }

    #[test]
    fn invalid_bytes_are_errors() {
        use ProtocolError::*;

        let cases: [(&[u8], ProtocolError); 24] = [
            (b"?\r\n", Kind(b'?')),
            (b"\r\n", End),
            (b"\n", End),
            (b":1\n", End),
            (b":\r\n", Number),
            (b":1a\r\n", Number),
            (b":9223372036854775808\r\n", Number),
            (b"$x\r\n", Number),
            (b"$-2\r\n", Number),
            (b"*-2\r\n", Number),
            (b"%9223372036854775807\r\n", Length),
            (b"*400000000\r\n", Length),
            (b",\r\n", Number),
            (b"(1.5\r\n", Number),
            (b"#x\r\n", End),
            (b"$1\r\nabc", End),
            (b"=3\r\ntxt\r\n", End),
            (b".\r\n", Misplaced),
            (b";1\r\na\r\n", Misplaced),
            (b"$?\r\n:1\r\n", Misplaced),
            (b"%?\r\n:1\r\n.\r\n", Misplaced),
            (b"*2\r\n.\r\n", Misplaced),
            (b"*?\r\n;0\r\n", Misplaced),
            (b"$?\r\n.\r\n", Misplaced),
        ];
        for (text, error) in cases {
            assert_eq!(decode([text]), Err(error), "{:?}", text.escape_ascii());
        }
    }

    #[test]
    fn limits_are_enforced() {
        assert_eq!(decode(["*1\r\n".repeat(65)]), Err(ProtocolError::Depth));
        assert_eq!(decode([["-", &"x".repeat(64 << 10)].concat()]), Err(ProtocolError::Line));
        assert_eq!(decode(["$1073741825\r\n"]), Err(ProtocolError::Length));
        let mut small = Decoder::new(Limits { reply_bytes: 20, ..Limits::default() });
        let mut buffer = BytesMut::from(&b":1\r\n:2\r\n"[..]);
        assert_eq!(small.decode(&mut buffer), Ok(Some(Value::Integer(1))));
        buffer.extend_from_slice(b"*9\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n");
        assert_eq!(small.decode(&mut buffer), Ok(Some(Value::Integer(2))));
        assert_eq!(small.decode(&mut buffer), Err(ProtocolError::Length));
    }

    #[test]
    fn announced_lengths_allocate_little() {
        let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::from("*300000000\r\n"));
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        assert!(decoder.open[0].items.capacity() <= ROOM);
        let (mut decoder, mut buffer) = (Decoder::default(), BytesMut::from("*256\r\n"));
        buffer.extend_from_slice(&b"*256\r\n".repeat(63));
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        let room: usize = decoder.open.iter().map(|open| open.items.capacity()).sum();
        assert!((ROOM..2 * ROOM).contains(&room), "nesting reserved room for {room}");
    }

    #[test]
    fn tiny_items_take_bounded_memory() {
        let decoded = |item: &str, count: usize| {
            let limits = Limits { overhead_bytes: 100 * ITEM, ..Limits::default() };
            let text = format!("*{count}\r\n{}", item.repeat(count));
            Decoder::new(limits).decode(&mut BytesMut::from(text.as_bytes()))
        };
        assert!(decoded("_\r\n", 90).is_ok());
        assert_eq!(decoded("_\r\n", 200), Err(ProtocolError::Length));
        let long = format!("$30\r\n{}\r\n", "x".repeat(30));
        assert!(decoded(&long, 10_000).is_ok(), "it takes less than four times its bytes");
    }

    #[test]
    fn only_long_strings_are_slices() {
        for (length, sliced) in [(COPIED, false), (COPIED + 1, true)] {
            let text = format!("${length}\r\n{}\r\n", "x".repeat(length));
            let mut buffer = BytesMut::from(text.as_str());
            let range = buffer.as_ptr_range();
            let Ok(Some(Value::Bulk(bytes))) = Decoder::default().decode(&mut buffer) else {
                panic!("not a string")
            };
            assert_eq!(range.contains(&bytes.as_ptr()), sliced, "{length}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let bytes = || any::<Vec<u8>>().prop_map(Bytes::from);
        let line = || "[ -~]{0,20}".prop_map(Bytes::from);
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Integer),
            (-1e300..1e300).prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            "-?[0-9]{1,40}".prop_map(|digits| Value::BigNumber(digits.into())),
            bytes().prop_map(Value::Bulk),
            (1000_usize..3000).prop_map(|length| Value::Bulk(vec![b'x'; length].into())),
            line().prop_map(Value::Simple),
            bytes().prop_map(|text| Value::Verbatim(*b"txt", text)),
            line().prop_map(|line| Value::Error(ServerError::new(line))),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            let items = || proptest::collection::vec(inner.clone(), 0..6);
            let pairs = || proptest::collection::vec((inner.clone(), inner.clone()), 0..4);
            prop_oneof![
                items().prop_map(Value::Array),
                items().prop_map(Value::Set),
                items().prop_map(Value::Push),
                pairs().prop_map(Value::Map),
                (pairs(), inner.clone())
                    .prop_map(|(pairs, value)| Value::Attributed(pairs, Box::new(value))),
            ]
        })
    }

    proptest! {
        #[test]
        fn encoded_values_decode_in_any_pieces(
            values in proptest::collection::vec(values(), 1..4),
            cuts in proptest::collection::vec(1_usize..50, 1..20),
        ) {
            let mut text = Vec::new();
            values.iter().for_each(|value| resp::value(&mut text, value));
            prop_assert_eq!(&decode([&text]).unwrap(), &values);
            let mut rest = text.as_slice();
            let mut cuts = cuts.iter().cycle();
            let pieces = std::iter::from_fn(|| {
                let (piece, left) = rest.split_at_checked(*cuts.next()?).unwrap_or((rest, &[]));
                rest = left;
                (!piece.is_empty()).then_some(piece)
            });
            prop_assert_eq!(&decode(pieces).unwrap(), &values);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode([&bytes]);
        }

        #[test]
        fn almost_valid_bytes_never_panic(
            text in "([*~>%|$=!;:+,#(_.-][0-9?-]{0,3}(\r\n)?[a-z:\r\n]{0,5}){0,20}",
        ) {
            let whole = decode([&text]);
            let cut = decode(text.as_bytes().chunks(1));
            prop_assert_eq!(whole.is_err(), cut.is_err());
        }
    }
}
