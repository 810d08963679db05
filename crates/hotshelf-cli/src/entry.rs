//! What is shown of an entry.

use hotshelf_core::cache::DecodedEntry;
use hotshelf_core::trailer::CodecId;

/// Returns the name of the codec that wrote the value; `None` for one that isn't known, or without a
/// trailer.
pub(crate) fn codec_of(entry: &DecodedEntry) -> Option<&'static str> {
    const KNOWN: [&str; 3] = ["JSON", "MessagePack", "raw bytes"];
    let id = entry.trailer.as_ref()?.codec;
    KNOWN.into_iter().find(|name| CodecId::of(name) == id)
}

/// Returns bytes in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use hotshelf_core::trailer::Trailer;

    use super::*;

    #[test]
    fn codecs_have_names() {
        let mut trailer = Trailer {
            absent: false,
            codec: CodecId::of("MessagePack"),
            fill: [1; 5],
            loaded_at: 1_000,
            fresh_for: 500,
            lives_for: None,
            load_time: 1,
            late_tags: false,
            tags: Vec::new(),
        };
        let codec = |trailer: &Trailer| {
            let mut raw = b"{}".to_vec();
            trailer.append_to(&mut raw);
            codec_of(&DecodedEntry::decode(&raw, None))
        };
        assert_eq!(codec(&trailer), Some("MessagePack"));
        trailer.codec = CodecId::of("another");
        assert_eq!(codec(&trailer), None);
        assert_eq!(codec_of(&DecodedEntry::decode(b"{}", None)), None);
    }
}
