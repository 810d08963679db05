//! The trailer: the metadata of an entry, written in white space behind its JSON.
//!
//! White space after a value is legal JSON (RFC 8259, section 2). So every client can still
//! read the entry, and value and trailer change together in one key. Each byte is four
//! characters of two bits each, the most significant first: space, tab, line feed and carriage
//! return stand for 0, 1, 2 and 3. The trailer adds 100 characters to an entry, and 48 for
//! each tag.
//!
//! | field | bytes | |
//! | --- | ---: | --- |
//! | fill | 5 | the first bytes of the lease's token: two fills share it once in 2⁴⁰ |
//! | loaded at | 6 | the backend's clock when the lease was granted, in milliseconds, until the year 10889; 0 if unknown |
//! | fresh for | 3 | milliseconds: exact below 524 s, else rounded down by less than 4 in a million |
//! | load time | 2 | milliseconds: exact below 2 s, else rounded down by less than 0.1 % |
//! | further fields | 4 each | one for each flag of bits 4 to 7, in their order: the codec (bit 4), and the lifetime in milliseconds (bit 5), exact below 37 hours, else rounded down by less than 1 in 100 million |
//! | tags | 12 each | the 6 of its id (two names in 2⁴⁸ share one, and are invalidated together), and the 6 of its version when the load began |
//! | flags | 1 | bit 0: the entry is a cached negative; bits 1 and 5: it outlives its freshness; bit 2: it may carry tags that were known only after the load; bits 3 and 4: the value isn't JSON, and the further field of bit 4 names its codec, by the first bytes of the SHA-256 of that name |
//! | number of tags | 1 | 128 at most |
//! | check | 4 | CRC-32 (as in Ethernet) of all preceding bytes |
//! | format | 1 | 1 |
//! | magic | 2 | `0xCA 0x5E`, last, so that it can be recognised from the last characters |
//!
//! Durations are written as five bits of exponent above a mantissa. They can represent the
//! longest lifetime, 100 years.
//!
//! # Older and newer formats
//!
//! Format and magic have the same position in every format. An entry with a format that the
//! reader doesn't know, or with an unknown *critical* flag (bits 0 to 3), is
//! [unusable](TrailerError::Unknown): a miss in every cache, never treated as a plain entry,
//! and replaced by a load. An unknown flag of bits 4 to 7 is ignored, together with its field.
//!
//! A release reads all formats of earlier releases, and writes the newest one. While two
//! releases share entries, an older reader replaces a newer entry once. From then on both use
//! the older entry until it expires, so that they never replace each other's entries in turn.
//!
//! So bit 3 keeps a reader that knows JSON alone from other values, and bit 1 one that knows no
//! stale windows from values that aren't fresh.

use std::fmt;
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::tag::{MOST_TAGS, TagId, TagStamp};

/// The last characters of every entry that has a trailer.
pub const MAGIC: &[u8; 8] = b"\r \n\n\t\t\r\n";

const FORMAT: u8 = 1;
const MAGIC_BYTES: [u8; 2] = [0xca, 0x5e];
/// The format and the magic, as white space.
const FORMAT_AND_MAGIC: [u8; 12] = *b"   \t\r \n\n\t\t\r\n";
const FLAG_ABSENT: u8 = 1;
const FLAG_OUTLIVES: u8 = 1 << 1;
const FLAG_LATE_TAGS: u8 = 1 << 2;
const FLAG_NO_JSON: u8 = 1 << 3;
const FLAG_CODEC: u8 = 1 << 4;
const FLAG_LIVES_FOR: u8 = 1 << 5;
/// The flags that a reader must know, and those of them that this release knows.
const CRITICAL: u8 = 0x0f;
const KNOWN: u8 = FLAG_ABSENT | FLAG_OUTLIVES | FLAG_LATE_TAGS | FLAG_NO_JSON;
/// The lengths in bytes of the head, of each further field, of each tag, and of the foot.
const HEAD: usize = 5 + 6 + 3 + 2;
const FURTHER: usize = 4;
const TAG: usize = 12;
const FOOT: usize = 1 + 1 + 4 + 1 + 2;
/// The number of bytes of the foot that the check covers.
const CHECKED_FOOT: usize = 2;
/// The lengths of the longest trailer, and of the longest with two tags.
const LONGEST: usize = HEAD + FURTHER * 4 + TAG * MOST_TAGS + FOOT;
const FEW_TAGS: usize = HEAD + FURTHER * 4 + TAG * 2 + FOOT;

const MAX_LOADED_AT: u64 = (1 << 48) - 1;
/// The bits of the mantissas of the durations.
const FRESH_FOR: u32 = 19;
const LIVES_FOR: u32 = 27;
const LOAD_TIME: u32 = 11;

/// More bytes than the longest trailer takes: the end of a long entry that is enough to read it.
pub const LONGEST_TRAILER: usize = 8 << 10;
const _: () = assert!(4 * LONGEST + MAGIC.len() <= LONGEST_TRAILER);

/// The metadata of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Whether the entry is a cached negative.
    pub absent: bool,
    /// The codec of the value.
    pub codec: CodecId,
    /// The id of the fill that wrote the entry.
    pub fill: [u8; 5],
    /// When the load began, by the backend's clock, in milliseconds; 0 if unknown.
    pub loaded_at: u64,
    /// How long the value is fresh, in milliseconds.
    pub fresh_for: u64,
    /// How long the entry lives, in milliseconds, if that is longer.
    pub lives_for: Option<u64>,
    /// How long the load took, in milliseconds.
    pub load_time: u64,
    /// Whether there may be tags among them that were known only after the load.
    pub late_tags: bool,
    /// The tags and the versions that they had when the load began.
    pub tags: Vec<TagStamp>,
}

/// The codec of a value: the first bytes of the SHA-256 of its name; zeros for JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CodecId([u8; 4]);

impl CodecId {
    /// Of JSON.
    pub const JSON: Self = Self([0; 4]);

    /// Returns the id of a codec by its [name](crate::codec::Codec::name).
    #[must_use]
    pub fn of(name: &str) -> Self {
        if name == crate::codec::JSON {
            return Self::JSON;
        }
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(name).into();
        // Never that of JSON.
        Self([a | 1, b, c, d])
    }
}

/// Why an entry has no readable trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrailerError {
    /// The entry has no trailer: it was not written by hotshelf.
    Missing,
    /// A newer release wrote the trailer, in a format or with a critical flag that this
    /// release doesn't know.
    Unknown,
    /// The trailer was changed after it was written.
    Damaged,
}

impl Trailer {
    /// Appends the trailer to a value.
    ///
    /// Tags beyond [`MOST_TAGS`] are omitted, and times that exceed their fields are written
    /// as the longest that fits.
    pub fn append_to(&self, entry: &mut Vec<u8>) {
        let tags = self.written_tags();
        let flags = self.flags();
        let mut bytes = Vec::with_capacity(self.length() / 4);
        bytes.extend(self.fill);
        bytes.extend(&self.loaded_at.min(MAX_LOADED_AT).to_be_bytes()[2..]);
        bytes.extend(&pack(self.fresh_for, FRESH_FOR).to_be_bytes()[1..]);
        bytes.extend(&pack(self.load_time, LOAD_TIME).to_be_bytes()[2..]);
        if flags & FLAG_CODEC != 0 {
            bytes.extend(self.codec.0);
        }
        if let Some(lives_for) = self.lives_for {
            bytes.extend(pack(lives_for, LIVES_FOR).to_be_bytes());
        }
        for tag in tags {
            bytes.extend(tag.id.as_bytes());
            bytes.extend(tag.version);
        }
        bytes.extend([flags, tags.len() as u8]);
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes.push(FORMAT);
        bytes.extend(MAGIC_BYTES);

        entry.reserve(4 * bytes.len());
        entry.extend(bytes.into_iter().flat_map(|byte| WRITTEN[usize::from(byte)]));
    }

    /// Returns the number of characters that [`append_to`](Self::append_to) writes.
    #[must_use]
    pub fn length(&self) -> usize {
        4 * (HEAD + further(self.flags()) + TAG * self.written_tags().len() + FOOT)
    }

    /// Returns when the entry ends, in milliseconds of the backend's clock.
    #[must_use]
    pub fn ends_at(&self) -> u64 {
        self.loaded_at.saturating_add(self.lives_for.unwrap_or(self.fresh_for))
    }

    fn flags(&self) -> u8 {
        let absent = if self.absent { FLAG_ABSENT } else { 0 };
        let codec = if self.codec == CodecId::JSON { 0 } else { FLAG_NO_JSON | FLAG_CODEC };
        let outlives = self.lives_for.map_or(0, |_| FLAG_OUTLIVES | FLAG_LIVES_FOR);
        let late_tags = if self.late_tags { FLAG_LATE_TAGS } else { 0 };
        absent | codec | outlives | late_tags
    }

    fn written_tags(&self) -> &[TagStamp] {
        &self.tags[..self.tags.len().min(MOST_TAGS)]
    }

    /// Finds the trailer of an entry, and the range of the entry's value. Allocates only for
    /// tags.
    ///
    /// # Errors
    /// Returns [`TrailerError::Missing`] for an entry that doesn't end in [`MAGIC`]. Any other
    /// entry without a readable trailer is unusable.
    pub fn find(entry: &[u8]) -> Result<(Range<usize>, Self), TrailerError> {
        let (flags, number_of_tags) = Self::foot(entry)?;
        let further = further(flags);
        let length = HEAD + further + TAG * number_of_tags + FOOT;
        let start = entry.len().checked_sub(4 * length).ok_or(TrailerError::Damaged)?;
        // Most entries have few tags or none: zeroing space for the longest trailer would cost
        // more than decoding theirs.
        let (mut few_tags, mut many_tags);
        let room: &mut [u8] = if length <= FEW_TAGS {
            few_tags = [0; FEW_TAGS];
            &mut few_tags
        } else {
            many_tags = [0; LONGEST];
            &mut many_tags
        };
        let bytes = room.get_mut(..length).ok_or(TrailerError::Damaged)?;
        from_white_space(&entry[start..], bytes).ok_or(TrailerError::Damaged)?;
        let (checked, check) = bytes.split_at(length - FOOT + CHECKED_FOOT);
        if crc32fast::hash(checked).to_be_bytes() != check[..4] {
            return Err(TrailerError::Damaged);
        }
        let (head, rest) = checked.split_first_chunk().ok_or(TrailerError::Damaged)?;
        let (further, rest) = rest.split_at(further);
        let mut fields = further.as_chunks::<FURTHER>().0.iter();
        let mut field = |flag: u8| if flags & flag == 0 { None } else { fields.next() };
        let codec = field(FLAG_CODEC).filter(|_| flags & FLAG_NO_JSON != 0);
        let lives_for = field(FLAG_LIVES_FOR).filter(|_| flags & FLAG_OUTLIVES != 0);
        let tags = &rest[..rest.len() - CHECKED_FOOT];
        let parsed = Self {
            codec: codec.map_or(CodecId::JSON, |codec| CodecId(*codec)),
            lives_for: lives_for.map(|field| unpack(u32::from_be_bytes(*field), LIVES_FOR)),
            ..Self::parse(head, tags, flags)
        };
        Ok((0..start, parsed))
    }

    /// Reads the flags and the number of tags.
    #[inline]
    fn foot(entry: &[u8]) -> Result<(u8, usize), TrailerError> {
        let Some(foot) = entry.last_chunk::<{ 4 * FOOT }>() else {
            let is_damaged = entry.ends_with(MAGIC);
            return Err(if is_damaged { TrailerError::Damaged } else { TrailerError::Missing });
        };
        if !foot.ends_with(&FORMAT_AND_MAGIC) {
            let is_newer = foot.ends_with(MAGIC);
            return Err(if is_newer { TrailerError::Unknown } else { TrailerError::Missing });
        }
        // Whether these are all white space is checked when the whole trailer is read.
        let (pairs, _) = pairs_of(u64::from_le_bytes(*foot.first_chunk().expect("36 characters")));
        let (flags, number_of_tags) = (packed(pairs as u32), packed((pairs >> 32) as u32));
        // A value that isn't JSON names its codec, and an entry that outlives its freshness says for
        // how long.
        let is_unnamed = flags & (FLAG_NO_JSON | FLAG_CODEC) == FLAG_NO_JSON;
        let is_unbounded = flags & (FLAG_OUTLIVES | FLAG_LIVES_FOR) == FLAG_OUTLIVES;
        if flags & CRITICAL & !KNOWN != 0 || is_unnamed || is_unbounded {
            return Err(TrailerError::Unknown);
        }
        match usize::from(number_of_tags) {
            number_of_tags @ 0..=MOST_TAGS => Ok((flags, number_of_tags)),
            _ => Err(TrailerError::Damaged),
        }
    }

    #[inline]
    fn parse(head: &[u8; HEAD], tags: &[u8], flags: u8) -> Self {
        let [a, b, c, d, e, t1, t2, t3, t4, t5, t6, f1, f2, f3, l1, l2] = *head;
        Self {
            absent: flags & FLAG_ABSENT != 0,
            codec: CodecId::JSON,
            fill: [a, b, c, d, e],
            loaded_at: u64::from_be_bytes([0, 0, t1, t2, t3, t4, t5, t6]),
            fresh_for: unpack(u32::from_be_bytes([0, f1, f2, f3]), FRESH_FOR),
            lives_for: None,
            load_time: unpack(u32::from_be_bytes([0, 0, l1, l2]), LOAD_TIME),
            late_tags: flags & FLAG_LATE_TAGS != 0,
            tags: tags.as_chunks().0.iter().map(tag).collect(),
        }
    }
}

/// Returns the number of bytes of the further fields.
#[inline]
fn further(flags: u8) -> usize {
    match flags & !CRITICAL {
        0 => 0,
        plain => FURTHER * plain.count_ones() as usize,
    }
}

fn tag(bytes: &[u8; TAG]) -> TagStamp {
    let [a, b, c, d, e, f, version @ ..] = *bytes;
    TagStamp { id: TagId::new([a, b, c, d, e, f]), version }
}

impl fmt::Display for TrailerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Missing => "the entry was not written by hotshelf",
            Self::Unknown => "the entry was written by a newer release of hotshelf",
            Self::Damaged => "the entry was changed after it was written",
        })
    }
}

impl std::error::Error for TrailerError {}

/// Packs a number into five bits of exponent above `mantissa` bits, rounded down and limited
/// to the largest such number.
fn pack(number: u64, mantissa: u32) -> u32 {
    let exponent = (u64::BITS - number.leading_zeros()).saturating_sub(mantissa);
    match exponent {
        0..32 => exponent << mantissa | (number >> exponent) as u32,
        _ => ((32_u64 << mantissa) - 1) as u32,
    }
}

#[inline]
fn unpack(bits: u32, mantissa: u32) -> u64 {
    u64::from(bits & ((1 << mantissa) - 1)) << (bits >> mantissa)
}

const WHITE_SPACE: &[u8; 4] = b" \t\n\r";

/// The four characters of each byte.
const WRITTEN: [[u8; 4]; 256] = {
    let mut table = [[0; 4]; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut place = 0;
        while place < 4 {
            table[byte][place] = WHITE_SPACE[byte >> (6 - 2 * place) & 3];
            place += 1;
        }
        byte += 1;
    }
    table
};

/// Decodes four characters into each byte; `None` if any of them is not one of the four.
fn from_white_space(characters: &[u8], bytes: &mut [u8]) -> Option<()> {
    let mut strange = 0;
    let (two_at_once, last) = bytes.as_chunks_mut();
    let (eights, rest) = characters.as_chunks();
    for ([high, low], eight) in two_at_once.iter_mut().zip(eights) {
        let characters = u64::from_le_bytes(*eight);
        let (pairs, expected) = pairs_of(characters);
        (*high, *low) = (packed(pairs as u32), packed((pairs >> 32) as u32));
        strange |= characters ^ expected;
    }
    if let ([byte], Some(four)) = (last, rest.first_chunk()) {
        let characters = u64::from(u32::from_le_bytes(*four));
        let (pairs, expected) = pairs_of(characters);
        *byte = packed(pairs as u32);
        strange |= characters ^ expected & u64::from(u32::MAX);
    }
    (strange == 0).then_some(())
}

/// Returns the two bits of each of eight characters, and the characters that these bits
/// encode. The latter differ from the input where a character is not white space.
///
/// The lowest bit of a character is the low bit of the two; the high one is set if the second
/// or the third lowest is.
fn pairs_of(characters: u64) -> (u64, u64) {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low = characters & EACH;
    let high = (characters >> 1 | characters >> 2) & EACH;
    let (both, any) = (low & high, low | high);
    let expected = low | (high ^ both) << 1 | both << 2 | any << 3 | (any ^ EACH) << 5;
    (low | high << 1, expected)
}

/// Packs four pairs of bits into a byte, the first pair on top.
fn packed(pairs: u32) -> u8 {
    (pairs.wrapping_mul(1 << 30 | 1 << 20 | 1 << 10 | 1) >> 24) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trailers() -> impl Strategy<Value = Trailer> {
        let tag = (any::<[u8; 6]>(), any::<[u8; 6]>())
            .prop_map(|(id, version)| TagStamp { id: TagId::new(id), version });
        let tags = proptest::collection::vec(tag, 0..=MOST_TAGS);
        let lives_for = proptest::option::of(0..1_u64 << LIVES_FOR);
        let times = (0..=MAX_LOADED_AT, 0..1_u64 << FRESH_FOR, lives_for, 0..1_u64 << LOAD_TIME);
        let codec = prop_oneof![Just(CodecId::JSON), any::<[u8; 4]>().prop_map(CodecId)];
        let parts = (any::<[bool; 2]>(), codec, any::<[u8; 5]>(), times, tags);
        parts.prop_map(|([absent, late_tags], codec, fill, times, tags)| {
            let (loaded_at, fresh_for, lives_for, load_time) = times;
            let trailer = Trailer { absent, codec, fill, loaded_at, ..plain() };
            Trailer { fresh_for, lives_for, load_time, late_tags, tags, ..trailer }
        })
    }

    fn plain() -> Trailer {
        Trailer {
            absent: false,
            codec: CodecId::JSON,
            fill: [7; 5],
            loaded_at: 1,
            fresh_for: 2,
            lives_for: None,
            load_time: 3,
            late_tags: false,
            tags: Vec::new(),
        }
    }

    fn entry(value: &str, trailer: &Trailer) -> Vec<u8> {
        let mut entry = value.as_bytes().to_vec();
        trailer.append_to(&mut entry);
        entry
    }

    /// Appends a trailer of these fields, flags and format to a value.
    fn forged(fields: &[u8], flags: u8, number_of_tags: u8, format: u8) -> Vec<u8> {
        let mut bytes = [fields, &[flags, number_of_tags]].concat();
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes.push(format);
        bytes.extend(MAGIC_BYTES);
        let white_space = bytes.into_iter().flat_map(|byte| WRITTEN[usize::from(byte)]);
        b"12".iter().copied().chain(white_space).collect()
    }

    #[test]
    fn magic_and_check_are_as_documented() {
        assert_eq!(MAGIC_BYTES.map(|byte| WRITTEN[usize::from(byte)]).concat(), MAGIC);
        assert_eq!(FORMAT_AND_MAGIC[..4], WRITTEN[usize::from(FORMAT)]);
        assert_eq!(FORMAT_AND_MAGIC[4..], MAGIC[..]);
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn only_four_characters_are_white_space() {
        for character in 0..=255 {
            let read = from_white_space(&[b' ', b'\t', character, b'\r'], &mut [0]);
            assert_eq!(read.is_some(), WHITE_SPACE.contains(&character), "{character}");
        }
    }

    #[test]
    fn trailer_sizes_are_as_documented() {
        let tag = TagStamp { id: TagId::new([1; 6]), version: [2; 6] };
        assert_eq!(entry("", &plain()).len(), 100);
        assert_eq!(entry("", &Trailer { tags: vec![tag], ..plain() }).len(), 148);
        assert_eq!(entry("", &Trailer { lives_for: Some(9), ..plain() }).len(), 116);
    }

    #[test]
    fn plain_values_have_no_trailer() {
        for value in ["", "null", "{\"a\": 1}\n\n", "[1]    "] {
            assert_eq!(Trailer::find(value.as_bytes()), Err(TrailerError::Missing), "{value:?}");
        }
    }

    #[test]
    fn unknown_critical_trailers_are_unusable() {
        assert!(Trailer::find(&forged(&[0; HEAD], FLAG_ABSENT, 0, FORMAT)).is_ok());
        for format in (0..=255).filter(|format| *format != FORMAT) {
            let found = Trailer::find(&forged(&[0; 3], 0, 0, format));
            assert_eq!(found, Err(TrailerError::Unknown), "format {format}");
        }
        // Bits 1 and 3 without their fields.
        for flags in [0b0010, 0b1000, 0b1111] {
            let found = Trailer::find(&forged(&[0; HEAD], flags, 0, FORMAT));
            assert_eq!(found, Err(TrailerError::Unknown), "flags {flags:04b}");
        }
    }

    #[test]
    fn unknown_plain_flags_are_ignored() {
        let tag = [[7; 6], [8; 6]].concat();
        for (flags, further) in [(0x10, 1), (0x20, 1), (0x80, 1), (0xf0, 4)] {
            let fields = [&[0; HEAD][..], &vec![9; FURTHER * further], &tag].concat();
            let (value, found) = Trailer::find(&forged(&fields, flags, 1, FORMAT)).unwrap();
            assert_eq!(value, 0..2, "flags {flags:08b}");
            assert_eq!(found.tags, [TagStamp { id: TagId::new([7; 6]), version: [8; 6] }]);
        }
    }

    #[test]
    fn impossible_tag_counts_are_damage() {
        let many = MOST_TAGS as u8 + 1;
        for (fields, tags) in [(HEAD, 1), (HEAD, 255), (HEAD + TAG * (MOST_TAGS + 1), many)] {
            let found = Trailer::find(&forged(&vec![0; fields], 0, tags, FORMAT));
            assert_eq!(found, Err(TrailerError::Damaged), "{tags} tags");
        }
        assert_eq!(Trailer::find(MAGIC), Err(TrailerError::Damaged));
    }

    #[test]
    fn long_times_are_rounded_down() {
        let century = 100 * 366 * 24 * 3600 * 1000_u64;
        for (mantissa, error) in [
            (FRESH_FOR, 1.0 / 262_144.0),
            (LIVES_FOR, 1.0 / 67_108_864.0),
            (LOAD_TIME, 1.0 / 1024.0),
        ] {
            for number in [0, 1, 2047, 2048, 524_287, 524_289, 86_400_001, century] {
                let read = unpack(pack(number, mantissa), mantissa);
                assert!(read <= number && (number - read) as f64 <= number as f64 * error);
                assert!(number >= 1 << mantissa || read == number, "{number} is exact");
            }
            assert_eq!(pack(u64::MAX, mantissa), ((32_u64 << mantissa) - 1) as u32);
        }
    }

    proptest! {
        #[test]
        fn trailers_round_trip(value in "\\PC{0,40}", trailer in trailers()) {
            let entry = entry(&value, &trailer);
            let (range, found) = Trailer::find(&entry).unwrap();
            prop_assert_eq!(&entry[range], value.as_bytes());
            prop_assert_eq!(found, trailer);
        }

        #[test]
        fn json_with_a_trailer_is_json(numbers: Vec<u8>, trailer in trailers()) {
            let entry = entry(&serde_json::to_string(&numbers).unwrap(), &trailer);
            prop_assert_eq!(serde_json::from_slice::<Vec<u8>>(&entry).unwrap(), numbers);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, tail in "[ \t\n\r]{0,200}") {
            let _ = Trailer::find(&bytes);
            let _ = Trailer::find(&[&bytes, tail.as_bytes(), MAGIC].concat());
        }

        #[test]
        fn damaged_trailers_are_errors(trailer in trailers(), at: prop::sample::Index, bits in 1_u8..4) {
            let mut entry = entry("", &trailer);
            let at = at.index(entry.len());
            let old = WHITE_SPACE.iter().position(|known| *known == entry[at]).unwrap();
            entry[at] = WHITE_SPACE[old ^ usize::from(bits)];
            let error = Trailer::find(&entry).unwrap_err();
            prop_assert_eq!(error == TrailerError::Missing, at >= entry.len() - MAGIC.len());
        }
    }
}
