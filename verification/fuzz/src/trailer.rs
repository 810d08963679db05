//! A written trailer is found again, and a damaged one is not.

use hotshelf_core::tag::{MOST_TAGS, TagId, TagStamp};
use hotshelf_core::trailer::{CodecId, MAGIC, Trailer, TrailerError};

use crate::input::Input;

/// The characters of a trailer.
const WHITE_SPACE: [u8; 4] = *b" \t\n\r";

/// The number of bytes without the tags, and of each tag.
const HEAD: usize = 16;
const TAG: usize = 12;

/// Interprets the input as an entry, as the white space of one, and as the fields of a
/// trailer.
pub fn trailer(input: &[u8]) {
    find(input);
    let mut white: Vec<u8> = input.iter().map(|byte| WHITE_SPACE[usize::from(byte % 4)]).collect();
    white.extend(MAGIC);
    find(&white);
    forge(input);
    write_and_damage(Input(input));
}

/// Finds a trailer, if there is one, and checks that it is written the same again.
fn find(entry: &[u8]) {
    let (range, found) = match Trailer::find(entry) {
        Ok(found) => found,
        Err(error) => {
            assert_eq!(error == TrailerError::Missing, !entry.ends_with(MAGIC));
            return;
        }
    };
    assert!(entry.ends_with(MAGIC) && found.tags.len() <= MOST_TAGS, "{found:?}");
    assert_eq!(range.start, 0, "the value is first");
    let mut again = entry[range].to_vec();
    found.append_to(&mut again);
    assert!(again.len() <= entry.len(), "only unknown fields are dropped: {found:?}");
    assert_eq!(Trailer::find(&again).map(|(_, again)| again), Ok(found));
}

/// Writes the input as the fields of a trailer, with the correct checksum.
fn forge(fields: &[u8]) {
    let (format, fields) = fields.split_last().unwrap_or((&1, fields));
    let mut bytes = fields.to_vec();
    bytes.extend(crc32fast::hash(fields).to_be_bytes());
    bytes.extend([*format, 0xca, 0x5e]);
    let bits = |byte: u8| [6, 4, 2, 0].map(|shift| WHITE_SPACE[usize::from(byte >> shift & 3)]);
    let entry: Vec<u8> = bytes.into_iter().flat_map(bits).collect();
    let length = |flags: u8, tags: u8| {
        HEAD + 4 * (flags >> 4).count_ones() as usize + TAG * usize::from(tags)
    };
    let expected = match fields {
        [.., flags, _]
            if *format != 1 || flags & 0b10_0010 == 0b10 || flags & 0b1_1000 == 0b1000 =>
        {
            Err(TrailerError::Unknown)
        }
        [before @ .., flags, tags]
            if usize::from(*tags) <= MOST_TAGS && before.len() == length(*flags, *tags) =>
        {
            Ok(())
        }
        _ => Err(TrailerError::Damaged),
    };
    assert_eq!(Trailer::find(&entry).map(drop), expected, "{fields:?}");
    find(&entry);
}

fn write_and_damage(mut input: Input<'_>) {
    let damage = (input.number(), input.small());
    let written = Trailer {
        codec: CodecId::of(["JSON", "raw bytes", "points"][usize::from(input.small()) % 3]),
        absent: input.small() % 2 == 1,
        fill: bytes(&mut input),
        loaded_at: u64::from_be_bytes(bytes(&mut input)) >> 16,
        fresh_for: u64::from(input.number()) << 3,
        lives_for: None,
        late_tags: false,
        load_time: u64::from(input.number()) >> 5,
        tags: (0..input.small() % 40)
            .map(|_| TagStamp { id: TagId::new(bytes(&mut input)), version: bytes(&mut input) })
            .collect(),
    };
    // The rest is the value. It may itself end in white space or in a trailer.
    let value = input.0;
    let mut entry = value.to_vec();
    written.append_to(&mut entry);
    let (range, found) = Trailer::find(&entry).expect("the trailer is found");
    assert_eq!(&entry[range], value);
    let kept = written.tags.len().min(MOST_TAGS);
    assert_eq!(found, Trailer { tags: written.tags[..kept].to_vec(), ..written });
    assert!(entry[value.len()..].iter().all(|byte| WHITE_SPACE.contains(byte)));

    let at = value.len() + usize::from(damage.0) % (entry.len() - value.len());
    let old = std::mem::replace(&mut entry[at], damage.1);
    let again = Trailer::find(&entry);
    // With a damaged length, a trailer within the value may be found instead.
    let is_its_own = |range: &std::ops::Range<usize>| range.end == value.len();
    let is_found = again.is_ok_and(|(range, _)| is_its_own(&range));
    assert_eq!(is_found, old == damage.1, "{old} at {at} became {}", damage.1);
}

fn bytes<const N: usize>(input: &mut Input<'_>) -> [u8; N] {
    [(); N].map(|()| input.small())
}
