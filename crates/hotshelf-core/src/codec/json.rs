//! Values as JSON.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BoxError, Codec, written};

/// Encodes values as JSON, with serde. The default of all caches.
///
/// A value that doesn't survive a round trip through JSON, such as a NaN or `Some(None)`, is
/// read back as what JSON made of it, or is a miss. It has no JSON form if it contains a map
/// whose keys are not strings, or if its own `Serialize` fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn encode(&self, value: &T) -> Result<Bytes, BoxError> {
        written(|json| Ok(serde_json::to_writer(json, value)?))
    }

    fn decode(&self, encoded: &Bytes) -> Result<T, BoxError> {
        self.decode_start(encoded, encoded.len())
    }

    fn decode_start(&self, entry: &Bytes, length: usize) -> Result<T, BoxError> {
        // JSON is UTF-8 (RFC 8259, section 8.1). Validating it once costs a fraction of
        // validating each string in it.
        Ok(serde_json::from_str(std::str::from_utf8(&entry[..length])?)?)
    }

    fn name(&self) -> Cow<'static, str> {
        super::JSON.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode<T: Serialize + DeserializeOwned>(json: &'static [u8]) -> Result<T, BoxError> {
        Json.decode(&Bytes::from_static(json))
    }

    #[test]
    fn other_shapes_are_errors() {
        assert!(decode::<u8>(b"\"text\"").is_err());
        assert!(decode::<u8>(b"{").is_err());
        assert!(decode::<u8>(b"").is_err());
        assert!(decode::<String>(b"\"\xff\"").is_err());
    }

    #[test]
    fn encoded_entry_has_no_spare_capacity() {
        let entry = Json.encode(&"x".repeat(1000)).unwrap();
        let length = entry.len();
        assert_eq!(Vec::from(entry).capacity(), length);
    }

    /// A value whose encoding encodes another one.
    #[test]
    fn values_may_be_encoded_within_others() {
        struct Outer;

        impl Serialize for Outer {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let inner = Json.encode(&[1, 2]).unwrap();
                (7, std::str::from_utf8(&inner).unwrap()).serialize(serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for Outer {
            fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Ok(Self)
            }
        }

        assert_eq!(Json.encode(&Outer).unwrap(), r#"[7,"[1,2]"]"#);
    }

    #[test]
    fn unencodable_values_are_errors() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert!(Json.encode(&map).is_err());
    }
}
