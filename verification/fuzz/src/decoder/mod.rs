//! RESP decodes the same however it is split, within its limits and in bounded memory.

mod naive;

use bytes::BytesMut;
use hotshelf_wire::resp::{self, Decoder, Limits, ProtocolError, Value};

use crate::allocations::peak_bytes;

/// Inputs of up to this many bytes are split at every position.
const SHORT: usize = 64;

/// The memory limit per byte of an input: an item takes at least three bytes of input and the
/// size of a value in memory, twice that while pairs are created, and twice that again while a
/// vector grows.
const HELD_PER_BYTE: usize = 80;

/// The memory limit for reserved items that have not arrived.
const HELD_FOR_ROOM: usize = 32 << 10;

/// The result of decoding an input.
#[derive(Debug)]
struct Read {
    values: Vec<Value>,
    /// The number of bytes of each value.
    taken: Vec<usize>,
    /// The end of the input: the number of bytes of an incomplete value, or an error.
    end: Result<usize, ProtocolError>,
}

/// Decodes the input as a whole and in pieces, and encodes the values again.
pub fn decoder(input: &[u8]) {
    let (whole, held) = peak_bytes(|| read(Limits::default(), [input]));
    let allowed = HELD_PER_BYTE * input.len() + HELD_FOR_ROOM;
    assert!(held <= allowed, "{held} bytes are allocated for an input of {}", input.len());
    decodes_the_same_in_pieces(Limits::default(), input, &whole);
    matches_naive_reader(input, &whole);
    round_trips(&whole.values);
    for limits in [limits(0, 60), limits(3, 60), limits(3, 600)] {
        let limited = read(limits, [input]);
        decodes_the_same_in_pieces(limits, input, &limited);
        respects_limits(limits, &limited, &whole);
    }
}

fn limits(depth: usize, reply_bytes: usize) -> Limits {
    let mut limits = Limits::default();
    (limits.depth, limits.reply_bytes) = (depth, reply_bytes);
    limits
}

fn read<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let (mut decoder, mut buffer) = (Decoder::new(limits), BytesMut::new());
    let mut read = Read { values: Vec::new(), taken: Vec::new(), end: Ok(0) };
    let mut held_back = 0;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        held_back += piece.len();
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(value)) => {
                    read.values.push(value);
                    read.taken.push(held_back - buffer.len());
                    held_back = buffer.len();
                }
                Ok(None) => break,
                Err(error) => {
                    read.end = Err(error);
                    return read;
                }
            }
        }
    }
    read.end = Ok(held_back);
    read
}

fn decodes_the_same_in_pieces(limits: Limits, input: &[u8], whole: &Read) {
    let same = |cut: Read, how: &str| {
        assert!(are_same(&cut.values, &whole.values), "{how}: {cut:?}, not {whole:?}");
        assert_eq!((&cut.taken, cut.end), (&whole.taken, whole.end), "{how}");
    };
    same(read(limits, input.chunks(1)), "byte by byte");
    same(read(limits, pieces(input)), "in pieces");
    if input.len() <= SHORT {
        for at in 1..input.len() {
            let (start, rest) = input.split_at(at);
            same(read(limits, [start, rest]), &format!("split at {at}"));
        }
    }
}

/// Splits an input into pieces whose lengths are taken from its own bytes.
fn pieces(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = input;
    std::iter::from_fn(move || {
        let length = 1 + usize::from(*rest.first()? % 37);
        let (piece, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        Some(piece)
    })
}

/// Compares the values with those of the naive reader.
fn matches_naive_reader(input: &[u8], whole: &Read) {
    let mut rest = input;
    for (value, taken) in whole.values.iter().zip(&whole.taken) {
        let (expected, length) = naive::value(rest).expect("the naive reader finds the value");
        assert!(is_same(value, &expected), "{value:?}, not {expected:?}");
        assert_eq!(*taken, length, "{value:?}");
        rest = &rest[*taken..];
    }
    // Announced lengths or nested values may exceed the limits.
    if !matches!(whole.end, Err(ProtocolError::Depth | ProtocolError::Length)) {
        let more = naive::value(rest);
        assert!(more.is_none(), "{more:?} is not decoded: {:?}", whole.end);
    }
}

fn round_trips(values: &[Value]) {
    let mut written = Vec::new();
    values.iter().for_each(|value| resp::value(&mut written, value));
    let again = read(Limits::default(), [&written[..]]);
    let text = written.escape_ascii();
    assert_eq!(again.end, Ok(0), "{values:?} is encoded as {text}");
    assert!(are_same(&again.values, values), "{values:?} is encoded as {text}");
}

/// Values within the limits are decoded, and the rest is rejected with an error that names the
/// limit.
fn respects_limits(limits: Limits, limited: &Read, whole: &Read) {
    let read = limited.values.len();
    assert!(are_same(&limited.values, &whole.values[..read]), "{limited:?}, not {whole:?}");
    assert!(limited.values.iter().all(|value| depth(value) <= limits.depth), "{limited:?}");
    assert!(limited.taken.iter().all(|taken| *taken <= limits.reply_bytes), "{limited:?}");
    match limited.end {
        Err(ProtocolError::Depth | ProtocolError::Length) => {}
        end => assert_eq!((end, read), (whole.end, whole.values.len())),
    }
    if let Some(refused) = whole.values.get(read) {
        // A chunked string counts as an aggregate, too.
        let deep = depth(refused) + 1 > limits.depth;
        assert!(deep || whole.taken[read] > limits.reply_bytes, "{refused:?} is rejected");
    }
}

fn depth(value: &Value) -> usize {
    let of_pairs = |pairs: &[(Value, Value)]| {
        pairs.iter().map(|(key, value)| depth(key).max(depth(value))).max().unwrap_or(0)
    };
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            1 + items.iter().map(depth).max().unwrap_or(0)
        }
        Value::Map(pairs) => 1 + of_pairs(pairs),
        Value::Attributed(pairs, value) => 1 + of_pairs(pairs).max(depth(value)),
        _ => 0,
    }
}

/// Compares values; NaN is equal to itself here.
fn are_same(some: &[Value], others: &[Value]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(some, other)| is_same(some, other))
}

fn is_same(one: &Value, other: &Value) -> bool {
    let are_same_pairs = |some: &[(Value, Value)], others: &[(Value, Value)]| {
        let mut both = some.iter().zip(others);
        some.len() == others.len() && both.all(|(a, b)| is_same(&a.0, &b.0) && is_same(&a.1, &b.1))
    };
    match (one, other) {
        (Value::Double(one), Value::Double(other)) => {
            one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan())
        }
        (Value::Array(some), Value::Array(others))
        | (Value::Set(some), Value::Set(others))
        | (Value::Push(some), Value::Push(others)) => are_same(some, others),
        (Value::Map(some), Value::Map(others)) => are_same_pairs(some, others),
        (Value::Attributed(some, one), Value::Attributed(others, other)) => {
            are_same_pairs(some, others) && is_same(one, other)
        }
        (one, other) => one == other,
    }
}
