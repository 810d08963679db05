//! Values that are bytes or text already.

use std::borrow::Cow;

use bytes::Bytes;

use super::{BoxError, Codec};

/// Stores values as they are: `Bytes` and `Vec<u8>`, which JSON writes as arrays of numbers, at
/// two to four characters for each byte, and `String`, without quotes.
///
/// A hit of `Bytes` in memory shares the bytes of the entry, and copies nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

const NAME: Cow<'static, str> = Cow::Borrowed("raw bytes");

impl Codec<Bytes> for Raw {
    fn encode(&self, value: &Bytes) -> Result<Bytes, BoxError> {
        Ok(value.clone())
    }

    fn decode(&self, encoded: &Bytes) -> Result<Bytes, BoxError> {
        Ok(encoded.clone())
    }

    fn name(&self) -> Cow<'static, str> {
        NAME
    }

    /// The bytes are those of the entry.
    fn decoded_size(&self, _: &Bytes) -> usize {
        size_of::<Bytes>()
    }
}

impl Codec<Vec<u8>> for Raw {
    fn encode(&self, value: &Vec<u8>) -> Result<Bytes, BoxError> {
        Ok(Bytes::copy_from_slice(value))
    }

    fn decode(&self, encoded: &Bytes) -> Result<Vec<u8>, BoxError> {
        Ok(encoded.to_vec())
    }

    fn name(&self) -> Cow<'static, str> {
        NAME
    }
}

impl Codec<String> for Raw {
    fn encode(&self, value: &String) -> Result<Bytes, BoxError> {
        Ok(Bytes::copy_from_slice(value.as_bytes()))
    }

    fn decode(&self, encoded: &Bytes) -> Result<String, BoxError> {
        Ok(String::from_utf8(encoded.to_vec())?)
    }

    fn name(&self) -> Cow<'static, str> {
        NAME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shared_and_text_is_checked() {
        let bytes = Bytes::from_static(b"\xff\0 \n");
        let read: Bytes = Raw.decode(&Raw.encode(&bytes).unwrap()).unwrap();
        assert_eq!((read.as_ptr(), &read), (bytes.as_ptr(), &bytes));
        let read: Vec<u8> = Raw.decode(&bytes).unwrap();
        assert_eq!(read, bytes);
        assert!(Codec::<String>::decode(&Raw, &bytes).is_err());
        let text: String = Raw.decode(&Raw.encode(&"Ada".to_owned()).unwrap()).unwrap();
        assert_eq!(text, "Ada");
    }
}
