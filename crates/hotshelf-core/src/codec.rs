//! Values and their encoded form.
//!
//! The core never knows the type of a value. A [`Codec`] decodes bytes into a [`Decoded`]
//! value that callers of one flight share, and encodes values. Rust's caches use [`Json`].

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};

/// A value of a type that only its codec knows.
pub type Opaque = dyn Any + Send + Sync;

/// A decoded value, shared by all callers that receive it.
pub type Decoded = Arc<Opaque>;

/// Encodes and decodes the values of one cache.
///
/// All values that [`decode`](Self::decode) returns, and all that are passed to the cache,
/// have the same concrete type.
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// Decodes an entry's value, without its trailer.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Decode`] if the bytes are not a value of this
    /// cache. The entry is then a miss.
    fn decode(&self, raw: &Bytes) -> Result<Decoded, Error>;

    /// Encodes a value.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Encode`] if the value cannot be encoded. The
    /// message is logged, so it must not reveal the contents of the value.
    fn encode(&self, value: &Opaque) -> Result<Bytes, Error>;

    /// Returns the estimated size of the decoded value in memory, in bytes. Caches in memory
    /// keep it beside its encoded form, and count both. By default, that of the latter.
    fn decoded_size(&self, encoded: &Bytes) -> usize {
        encoded.len()
    }
}

/// Encodes values of type `T` as JSON.
pub struct Json<T>(PhantomData<fn() -> T>);

impl<T> Default for Json<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Json<{}>", std::any::type_name::<T>())
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Codec for Json<T> {
    fn decode(&self, raw: &Bytes) -> Result<Decoded, Error> {
        decode::<T>(raw).map(|value| Arc::new(value) as Decoded)
    }

    fn encode(&self, value: &Opaque) -> Result<Bytes, Error> {
        match value.downcast_ref::<T>() {
            Some(value) => encode(value),
            None => Err(Error::new(
                ErrorKind::Encode,
                "value has another type than the cache: use one codec with one type",
            )),
        }
    }
}

/// Encodes a value as JSON.
///
/// # Errors
/// Returns an error of kind [`ErrorKind::Encode`] if the value has no JSON form: it has a map
/// whose keys are not strings, or its own `Serialize` fails.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    let json = serde_json::to_vec(value).map_err(|source| {
        Error::new(ErrorKind::Encode, "cannot encode the value as JSON").with_source(source)
    })?;
    // Drops the spare capacity of the writer: entries in memory are weighed by their length.
    Ok(Bytes::from(json.into_boxed_slice()))
}

/// Decodes a value from JSON.
///
/// # Errors
/// Returns an error of kind [`ErrorKind::Decode`] if the bytes are not JSON, or JSON of
/// another shape.
pub fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    let wrong =
        || Error::new(ErrorKind::Decode, "cannot decode the entry as a value of this cache");
    // JSON is UTF-8 (RFC 8259, section 8.1). Validating it once costs a fraction of validating
    // each string in it.
    let text = std::str::from_utf8(json).map_err(|source| wrong().with_source(source))?;
    serde_json::from_str(text).map_err(|source| wrong().with_source(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_shapes_are_errors() {
        assert_eq!(decode::<u8>(b"\"text\"").unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(decode::<u8>(b"{").unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(decode::<u8>(b"").unwrap_err().kind(), ErrorKind::Decode);
        assert_eq!(decode::<String>(b"\"\xff\"").unwrap_err().kind(), ErrorKind::Decode);
    }

    #[test]
    fn encoded_entry_has_no_spare_capacity() {
        let entry = encode(&"x".repeat(1000)).unwrap();
        let length = entry.len();
        assert_eq!(Vec::from(entry).capacity(), length);
    }

    #[test]
    fn unencodable_values_are_errors() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(encode(&map).unwrap_err().kind(), ErrorKind::Encode);
    }

    #[test]
    fn codec_rejects_other_types() {
        let codec = Json::<u32>::default();
        assert_eq!(codec.encode(&7_u32).unwrap(), "7");
        assert_eq!(codec.encode(&7_u64).unwrap_err().kind(), ErrorKind::Encode);
        let decoded = codec.decode(&Bytes::from_static(b"7")).unwrap();
        assert_eq!(decoded.downcast_ref::<u32>(), Some(&7));
    }
}
