//! Values as bytes: JSON, the way any client reads and writes it.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};

/// Writes a value as JSON.
///
/// # Errors
/// Of kind [`ErrorKind::Encode`] if JSON has no form for it: a map whose keys are no
/// text, or an error of the value's own `Serialize`.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    let json = serde_json::to_vec(value).map_err(|source| {
        Error::new(ErrorKind::Encode, "the value can't be written as JSON").with_source(source)
    })?;
    // Without the spare room that the writer has left: entries in memory are weighed by
    // their length.
    Ok(Bytes::from(json.into_boxed_slice()))
}

/// Reads a value.
///
/// # Errors
/// Of kind [`ErrorKind::Decode`] if the bytes are no JSON, or JSON of another shape.
pub fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    let wrong = || Error::new(ErrorKind::Decode, "the entry is no value of this cache");
    // JSON is UTF-8 (RFC 8259, section 8.1). One look at the whole costs a fraction of one
    // at each text in it.
    let text = std::str::from_utf8(json).map_err(|source| wrong().with_source(source))?;
    serde_json::from_str(text).map_err(|source| wrong().with_source(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_shape_is_an_error() {
        assert_eq!(decode::<u8>(b"\"text\"").unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(decode::<u8>(b"{").unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(decode::<u8>(b"").unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(decode::<String>(b"\"\xff\"").unwrap_err().kind(), ErrorKind::Decode);
    }

    #[test]
    fn an_entry_takes_no_more_room_than_its_length() {
        let entry = encode(&"x".repeat(1000)).unwrap();
        let length = entry.len();
        assert_eq!(Vec::from(entry).capacity(), length);
    }

    #[test]
    fn what_json_cannot_hold_is_an_error() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(encode(&map).unwrap_err().kind(), ErrorKind::Encode);
    }
}
