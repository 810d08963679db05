//! RESP is read the same however it is cut, within its limits and in little memory.

mod naive;

use bytes::BytesMut;
use hotshelf_wire::resp::{self, Decoder, Limits, ProtocolError, Value};

use crate::allocations::most_held;

/// Inputs of up to this many bytes are cut at every byte.
const SHORT: usize = 64;

/// The most that is held for each byte of an input: an item takes three bytes there, in
/// memory the place of a value, twice while pairs are made of them, and that again when a
/// vector doubles.
const HELD_PER_BYTE: usize = 80;

/// The room that is made for items which have not come.
const HELD_FOR_ROOM: usize = 32 << 10;

/// What some bytes were read as.
#[derive(Debug)]
struct Read {
    values: Vec<Value>,
    /// How many bytes each value took.
    taken: Vec<usize>,
    /// How the bytes end: in how many that are no whole value yet, or in an error.
    end: Result<usize, ProtocolError>,
}

/// Decodes the input as a whole and in pieces, and encodes what it has held.
pub fn decoder(input: &[u8]) {
    let (whole, held) = most_held(|| read(Limits::default(), [input]));
    let allowed = HELD_PER_BYTE * input.len() + HELD_FOR_ROOM;
    assert!(held <= allowed, "{held} bytes are held for an input of {}", input.len());
    reads_the_same_when_cut(Limits::default(), input, &whole);
    is_what_it_says(input, &whole);
    is_written_and_read_again(&whole.values);
    for limits in [limits(0, 60), limits(3, 60), limits(3, 600)] {
        let limited = read(limits, [input]);
        reads_the_same_when_cut(limits, input, &limited);
        keeps_to_its_limits(limits, &limited, &whole);
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

fn reads_the_same_when_cut(limits: Limits, input: &[u8], whole: &Read) {
    let same = |cut: Read, how: &str| {
        assert!(are_same(&cut.values, &whole.values), "{how}: {cut:?}, not {whole:?}");
        assert_eq!((&cut.taken, cut.end), (&whole.taken, whole.end), "{how}");
    };
    same(read(limits, input.chunks(1)), "byte by byte");
    same(read(limits, pieces(input)), "in pieces");
    if input.len() <= SHORT {
        for at in 1..input.len() {
            let (start, rest) = input.split_at(at);
            same(read(limits, [start, rest]), &format!("cut at {at}"));
        }
    }
}

/// Cuts an input into pieces whose lengths are taken from its own bytes.
fn pieces(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = input;
    std::iter::from_fn(move || {
        let length = 1 + usize::from(*rest.first()? % 37);
        let (piece, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        Some(piece)
    })
}

/// Compares with what the simplest reader makes of the same bytes.
fn is_what_it_says(input: &[u8], whole: &Read) {
    let mut rest = input;
    for (value, taken) in whole.values.iter().zip(&whole.taken) {
        let (expected, length) = naive::value(rest).expect("a value has been read here");
        assert!(is_same(value, &expected), "{value:?}, not {expected:?}");
        assert_eq!(*taken, length, "{value:?}");
        rest = &rest[*taken..];
    }
    // What is announced may go beyond the limits, or what stands in each other.
    if !matches!(whole.end, Err(ProtocolError::Depth | ProtocolError::Length)) {
        let more = naive::value(rest);
        assert!(more.is_none(), "{more:?} is not read: {:?}", whole.end);
    }
}

fn is_written_and_read_again(values: &[Value]) {
    let mut written = Vec::new();
    values.iter().for_each(|value| resp::value(&mut written, value));
    let again = read(Limits::default(), [&written[..]]);
    let text = written.escape_ascii();
    assert_eq!(again.end, Ok(0), "{values:?} is written as {text}");
    assert!(are_same(&again.values, values), "{values:?} is written as {text}");
}

/// Limits let through what keeps to them, and refuse the rest in so many words.
fn keeps_to_its_limits(limits: Limits, limited: &Read, whole: &Read) {
    let read = limited.values.len();
    assert!(are_same(&limited.values, &whole.values[..read]), "{limited:?}, not {whole:?}");
    assert!(limited.values.iter().all(|value| depth(value) <= limits.depth), "{limited:?}");
    assert!(limited.taken.iter().all(|taken| *taken <= limits.reply_bytes), "{limited:?}");
    match limited.end {
        Err(ProtocolError::Depth | ProtocolError::Length) => {}
        end => assert_eq!((end, read), (whole.end, whole.values.len())),
    }
    if let Some(refused) = whole.values.get(read) {
        // A string that came in chunks was an aggregate, too.
        let deep = depth(refused) + 1 > limits.depth;
        assert!(deep || whole.taken[read] > limits.reply_bytes, "{refused:?} is refused");
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

/// Compares values; a number that is none is equal to itself here.
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
