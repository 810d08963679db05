//! Keys, tokens and entries as histories show them.

use std::fmt;

use bytes::Bytes;
use hotshelf_core::WireKey;
use hotshelf_core::backend::Token;
use hotshelf_core::trailer::Trailer;

/// Returns the keys of the entries that an operation on a key concerns: an operation on a tag
/// concerns all of them.
pub(super) fn concerned_keys(key: &WireKey) -> &[WireKey] {
    match key.as_str().starts_with("hs:t:") {
        true => &[],
        false => std::slice::from_ref(key),
    }
}

/// A token as it is displayed in histories.
pub(super) struct ShortToken(pub(super) Token);

impl fmt::Display for ShortToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0.as_bytes()[..4]))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Formats a raw entry, or a tag's version, for histories.
pub(super) fn shown(raw: Option<&Bytes>) -> String {
    let Some(raw) = raw else { return "nothing".to_owned() };
    match Trailer::find(raw) {
        Ok((value, trailer)) => {
            let tags: String =
                trailer.tags.iter().map(|tag| format!(" tag {}", hex(&tag.version))).collect();
            format!("{}{tags}", String::from_utf8_lossy(&raw[value]))
        }
        Err(_) => hex(raw),
    }
}
