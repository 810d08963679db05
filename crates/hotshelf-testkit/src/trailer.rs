//! Trailers as future releases may write them.

/// Returns an entry whose trailer has these flags and this format, a four-byte field for each
/// of the flags of bits 4 to 7, and no tags.
#[must_use]
pub fn entry_with_trailer(value: &str, flags: u8, format: u8) -> String {
    let further = 4 * (flags >> 4).count_ones() as usize;
    let mut bytes = vec![7; 16 + further];
    bytes.extend([flags, 0]);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend([format, 0xca, 0x5e]);
    let characters = |byte: u8| {
        [6, 4, 2, 0].map(|shift| [' ', '\t', '\n', '\r'][usize::from(byte >> shift & 3)])
    };
    value.chars().chain(bytes.into_iter().flat_map(characters)).collect()
}
