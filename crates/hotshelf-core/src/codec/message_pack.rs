//! Values as MessagePack.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BoxError, Codec, written};

/// Encodes values as [MessagePack](https://msgpack.org), with serde; structs as maps from the
/// names of their fields.
///
/// Smaller than JSON, and with maps whose keys aren't strings. Byte fields take their own length
/// if their type says so, as `bytes::Bytes` and those of the crate `serde_bytes` do; `Vec<u8>`
/// is an array of numbers. Python reads it with `codec="msgpack"`. Plain clients need a decoder
/// that ignores what follows a value.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

/// How deep values may be nested, as in serde_json: an entry may come from anybody, and a deeper
/// one could overflow the stack.
const DEEPEST: usize = 128;

impl<T: Serialize + DeserializeOwned> Codec<T> for MessagePack {
    fn encode(&self, value: &T) -> Result<Bytes, BoxError> {
        written(|encoded| Ok(rmp_serde::encode::write_named(encoded, value)?))
    }

    fn decode(&self, encoded: &Bytes) -> Result<T, BoxError> {
        self.decode_start(encoded, encoded.len())
    }

    fn decode_start(&self, entry: &Bytes, length: usize) -> Result<T, BoxError> {
        let mut rest = &entry[..length];
        let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
        deserializer.set_max_depth(DEEPEST);
        let value = T::deserialize(&mut deserializer)?;
        if rest.is_empty() { Ok(value) } else { Err("there are bytes behind the value".into()) }
    }

    fn name(&self) -> Cow<'static, str> {
        "MessagePack".into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Product {
        id: u64,
        name: String,
        prices: BTreeMap<u32, Option<f64>>,
        image: Bytes,
    }

    #[test]
    fn structs_are_maps_and_bytes_are_bytes() {
        let prices = [(1, Some(0.5)), (2, None)].into();
        let image = Bytes::from_static(&[0xff; 100]);
        let product = Product { id: 1 << 40, name: "tea".to_owned(), prices, image };
        let encoded = MessagePack.encode(&product).unwrap();
        assert_eq!(encoded[0], 0x84, "a map of four fields");
        assert!(encoded.len() < 170, "{}", encoded.len());
        assert_eq!(Codec::<Product>::decode(&MessagePack, &encoded).unwrap(), product);
    }

    #[test]
    fn other_shapes_are_errors() {
        let decode = |bytes: &'static [u8]| -> Result<u8, BoxError> {
            MessagePack.decode(&Bytes::from_static(bytes))
        };
        assert_eq!(decode(&[7]).unwrap(), 7);
        for wrong in [&b""[..], b"\x07 ", b"\xc1", b"\xa1x", b"\xcd\x01\x00"] {
            assert!(decode(wrong).is_err(), "{wrong:?}");
        }
        let deep =
            |depth| Bytes::from(vec![0x91; depth].into_iter().chain([7]).collect::<Vec<_>>());
        let decode =
            |depth| -> Result<serde_json::Value, BoxError> { MessagePack.decode(&deep(depth)) };
        assert!(decode(100).is_ok());
        assert!(decode(1_000).is_err() && decode(1_000_000).is_err());
    }
}
