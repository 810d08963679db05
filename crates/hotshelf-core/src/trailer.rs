//! The trailer: what the cache knows of an entry, written in white space behind its JSON.
//!
//! White space after a value is legal JSON (RFC 8259, section 2), so that every client
//! still reads the entry, and value and trailer change together in one key. Each byte is
//! four characters, two bits each, the most significant first: space, tab, line feed,
//! carriage return stand for 0, 1, 2, 3.
//!
//! | field | bytes | |
//! | --- | ---: | --- |
//! | format | 1 | 1 |
//! | flags | 1 | bit 0: the entry says that there is no value |
//! | fill | 8 | unique: the first bytes of the lease's token |
//! | loaded at | 8 | milliseconds of the server's clock, when the lease was granted |
//! | fresh for | 4 | milliseconds |
//! | load time | 2 | milliseconds |
//! | tags | 1 | how many follow: 32 at most |
//! | each tag | 16 | its id, and its version when the load began |
//! | check | 4 | CRC-32 (as in Ethernet) of all before |
//! | length | 2 | of all these fields, check, length and magic included |
//! | magic | 2 | `0xCA 0x5E`, last, so that its presence is a look at the last characters |

use std::ops::Range;

use crate::tag::{MOST_TAGS, TagId, TagStamp};

/// The last characters of every entry that has a trailer.
pub const MAGIC: &[u8; 8] = b"\r \n\n\t\t\r\n";

const FORMAT: u8 = 1;
const MAGIC_BYTES: [u8; 2] = [0xca, 0x5e];
const FLAG_ABSENT: u8 = 1;
/// The bytes before the tags, and those after them.
const HEAD: usize = 1 + 1 + 8 + 8 + 4 + 2 + 1;
const FOOT: usize = 4 + 2 + 2;
const TAG: usize = 16;
/// The bytes of the longest trailer, and those of its length and magic.
const LONGEST: usize = HEAD + TAG * MOST_TAGS + FOOT;
/// The bytes of a trailer with two tags.
const FEW_TAGS: usize = HEAD + TAG * 2 + FOOT;
const LENGTH_AND_MAGIC: usize = 2 + 2;

/// What the cache knows of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Whether the entry says that there is no value.
    pub absent: bool,
    /// The fill that wrote the entry; no two have the same.
    pub fill: [u8; 8],
    /// When the load began, in milliseconds of the server's clock.
    pub loaded_at: u64,
    /// How long the value is fresh, in milliseconds.
    pub fresh_for: u32,
    /// How long the load took, in milliseconds.
    pub load_time: u16,
    /// The tags and the versions that they had when the load began.
    pub tags: Vec<TagStamp>,
}

impl Trailer {
    /// Writes the trailer behind a value.
    ///
    /// Tags beyond [`MOST_TAGS`] are left out; who sets tags has checked their number.
    pub fn append_to(&self, entry: &mut Vec<u8>) {
        let mut bytes = Vec::with_capacity(HEAD + TAG * self.tags.len() + FOOT);
        bytes.extend([FORMAT, if self.absent { FLAG_ABSENT } else { 0 }]);
        bytes.extend(self.fill);
        bytes.extend(self.loaded_at.to_be_bytes());
        bytes.extend(self.fresh_for.to_be_bytes());
        bytes.extend(self.load_time.to_be_bytes());
        let tags = &self.tags[..self.tags.len().min(MOST_TAGS)];
        bytes.push(tags.len() as u8);
        for tag in tags {
            bytes.extend(tag.id.as_bytes());
            bytes.extend(tag.version);
        }
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes.extend(((bytes.len() + 4) as u16).to_be_bytes());
        bytes.extend(MAGIC_BYTES);

        entry.reserve(4 * bytes.len());
        entry.extend(bytes.into_iter().flat_map(|byte| WRITTEN[usize::from(byte)]));
    }

    /// Finds the trailer of an entry, and where the entry's value stands.
    ///
    /// What is damaged is no trailer. It allocates for tags alone.
    #[must_use]
    pub fn find(entry: &[u8]) -> Option<(Range<usize>, Self)> {
        let length = Self::length(entry)?;
        let start = entry.len().checked_sub(4 * length)?;
        // Most entries have few tags or none: clearing the longest trailer's room for them
        // would cost more than to decode it.
        let (mut few_tags, mut many_tags);
        let bytes = if length <= FEW_TAGS {
            few_tags = [0; FEW_TAGS];
            few_tags.get_mut(..length)?
        } else {
            many_tags = [0; LONGEST];
            many_tags.get_mut(..length)?
        };
        from_white_space(&entry[start..], bytes)?;
        let (checked, foot) = bytes.split_at_checked(length.checked_sub(FOOT)?)?;
        if crc32fast::hash(checked).to_be_bytes() != foot[..4] {
            return None;
        }
        Some((0..start, Self::parse(checked)?))
    }

    /// Reads how many bytes long a trailer says that it is.
    fn length(entry: &[u8]) -> Option<usize> {
        let foot = entry.last_chunk::<{ 4 * LENGTH_AND_MAGIC }>()?;
        if !foot.ends_with(MAGIC) {
            return None;
        }
        let mut bytes = [0; LENGTH_AND_MAGIC];
        from_white_space(foot, &mut bytes)?;
        Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, tags) = bytes.split_at_checked(HEAD)?;
        let whole = tags.len() == TAG * usize::from(head[HEAD - 1]);
        if head[0] != FORMAT || !whole || usize::from(head[HEAD - 1]) > MOST_TAGS {
            return None;
        }
        let tag = |bytes: &[u8]| {
            let (id, version) = bytes.split_at(8);
            Some(TagStamp {
                id: TagId::new(id.try_into().ok()?),
                version: version.try_into().ok()?,
            })
        };
        Some(Self {
            absent: head[1] & FLAG_ABSENT != 0,
            fill: head[2..10].try_into().ok()?,
            loaded_at: u64::from_be_bytes(head[10..18].try_into().ok()?),
            fresh_for: u32::from_be_bytes(head[18..22].try_into().ok()?),
            load_time: u16::from_be_bytes(head[22..24].try_into().ok()?),
            tags: tags.chunks_exact(TAG).map(tag).collect::<Option<_>>()?,
        })
    }
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

/// Reads four characters into each byte; `None` if others than white space are among them.
fn from_white_space(characters: &[u8], bytes: &mut [u8]) -> Option<()> {
    let mut strange = 0;
    for (byte, characters) in bytes.iter_mut().zip(characters.as_chunks().0) {
        let characters = u32::from_le_bytes(*characters);
        let (pairs, expected) = pairs_of(characters);
        *byte = packed(pairs);
        strange |= characters ^ expected;
    }
    (strange == 0).then_some(())
}

/// Gives the two bits that each of four characters stands for, and the characters that stand
/// for these bits: others, where it is no white space.
///
/// Of the bits of a character, the lowest is the low bit of the two; the high one is set
/// where the second or the third lowest is.
fn pairs_of(characters: u32) -> (u32, u32) {
    const EACH: u32 = 0x0101_0101;
    let low = characters & EACH;
    let high = (characters >> 1 | characters >> 2) & EACH;
    let (both, any) = (low & high, low | high);
    let expected = low | (high ^ both) << 1 | both << 2 | any << 3 | (any ^ EACH) << 5;
    (low | high << 1, expected)
}

/// Moves four pairs of bits together into a byte, the first on top.
fn packed(pairs: u32) -> u8 {
    (pairs.wrapping_mul(1 << 30 | 1 << 20 | 1 << 10 | 1) >> 24) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trailers() -> impl Strategy<Value = Trailer> {
        let tag = (any::<[u8; 8]>(), any::<[u8; 8]>())
            .prop_map(|(id, version)| TagStamp { id: TagId::new(id), version });
        let tags = proptest::collection::vec(tag, 0..=MOST_TAGS);
        let times = (any::<u64>(), any::<u32>(), any::<u16>());
        (any::<bool>(), any::<[u8; 8]>(), times, tags).prop_map(|(absent, fill, times, tags)| {
            let (loaded_at, fresh_for, load_time) = times;
            Trailer { absent, fill, loaded_at, fresh_for, load_time, tags }
        })
    }

    fn plain() -> Trailer {
        Trailer {
            absent: false,
            fill: [7; 8],
            loaded_at: 1,
            fresh_for: 2,
            load_time: 3,
            tags: Vec::new(),
        }
    }

    fn entry(value: &str, trailer: &Trailer) -> Vec<u8> {
        let mut entry = value.as_bytes().to_vec();
        trailer.append_to(&mut entry);
        entry
    }

    #[test]
    fn the_magic_is_the_magic() {
        assert_eq!(MAGIC_BYTES.map(|byte| WRITTEN[usize::from(byte)]).concat(), MAGIC);
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn of_all_characters_four_are_white_space() {
        for character in 0..=255 {
            let read = from_white_space(&[b' ', b'\t', character, b'\r'], &mut [0]);
            assert_eq!(read.is_some(), WHITE_SPACE.contains(&character), "{character}");
        }
    }

    #[test]
    fn a_trailer_without_tags_is_132_characters() {
        assert_eq!(entry("", &plain()).len(), 132);
    }

    #[test]
    fn a_value_without_trailer_has_none() {
        for value in ["", "null", "{\"a\": 1}\n\n", "[1]    "] {
            assert_eq!(Trailer::find(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn another_format_is_no_trailer() {
        let mut bytes = vec![FORMAT + 1; HEAD - 1];
        bytes.push(0);
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes.extend(((HEAD + FOOT) as u16).to_be_bytes());
        bytes.extend(MAGIC_BYTES);
        let text: Vec<u8> = bytes.into_iter().flat_map(|byte| WRITTEN[usize::from(byte)]).collect();
        assert_eq!(Trailer::length(&text), Some(HEAD + FOOT));
        assert_eq!(Trailer::find(&text), None);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(value in "\\PC{0,40}", trailer in trailers()) {
            let entry = entry(&value, &trailer);
            let (place, found) = Trailer::find(&entry).unwrap();
            prop_assert_eq!(&entry[place], value.as_bytes());
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
        fn a_damaged_trailer_is_none(trailer in trailers(), at: prop::sample::Index, bits in 1_u8..4) {
            let mut entry = entry("", &trailer);
            let at = at.index(entry.len());
            let old = WHITE_SPACE.iter().position(|known| *known == entry[at]).unwrap();
            entry[at] = WHITE_SPACE[old ^ usize::from(bits)];
            prop_assert_eq!(Trailer::find(&entry), None);
        }
    }
}
