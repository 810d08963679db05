//! Values and their encoded form.
//!
//! A [`Codec`] encodes the values of one type. The core never knows that type: it holds codecs
//! and values behind [`ErasedCodec`] and [`Opaque`]. Callers of one flight share a [`Decoded`]
//! value.

mod json;
#[cfg(feature = "msgpack")]
mod message_pack;
mod raw;

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

pub use bytes::Bytes;

use crate::error::{Error, ErrorKind};

pub use json::Json;
#[cfg(feature = "msgpack")]
pub use message_pack::MessagePack;
pub use raw::Raw;

/// The name of the default format.
pub const JSON: &str = "JSON";

/// Any error of a codec.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Encodes and decodes the values of a cache.
///
/// Plain clients read what it writes, followed by the white space of the trailer.
///
/// ```
/// # use hotshelf_core as hotshelf;
/// use hotshelf::codec::{BoxError, Bytes, Codec};
///
/// struct Point(i32, i32);
///
/// /// Eight bytes, the coordinates in big-endian order.
/// struct PointCodec;
///
/// impl Codec<Point> for PointCodec {
///     fn encode(&self, Point(x, y): &Point) -> Result<Bytes, BoxError> {
///         Ok(Bytes::from([x.to_be_bytes(), y.to_be_bytes()].concat()))
///     }
///
///     fn decode(&self, encoded: &Bytes) -> Result<Point, BoxError> {
///         let both = u64::from_be_bytes(encoded[..].try_into()?);
///         Ok(Point((both >> 32) as i32, both as i32))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` doesn't encode `{T}`",
    note = "`Json`, the default, needs `serde::Serialize` and `serde::de::DeserializeOwned`; \
            choose another codec with `CacheBuilder::codec`"
)]
pub trait Codec<T>: Send + Sync + 'static {
    /// Encodes a value. The error is logged, so its text must not reveal the value.
    ///
    /// # Errors
    /// Returns an error if the value cannot be encoded: it is then returned to its caller, and
    /// not stored.
    fn encode(&self, value: &T) -> Result<Bytes, BoxError>;

    /// Decodes a value. It is given exactly the bytes that [`encode`](Self::encode) returned,
    /// or those that another program wrote.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a value of this cache: the entry is then a miss.
    fn decode(&self, encoded: &Bytes) -> Result<T, BoxError>;

    /// Decodes a value from the first `length` bytes of its entry. By default, it passes a slice
    /// of the entry to [`decode`](Self::decode), which costs an allocation: implement it for
    /// values that share no bytes with their entry.
    ///
    /// # Errors
    /// Same as [`Codec::decode`].
    fn decode_start(&self, entry: &Bytes, length: usize) -> Result<T, BoxError> {
        self.decode(&entry.slice(..length))
    }

    /// Returns the name of the format. Entries of another one are misses, whatever process wrote
    /// them, and caches of the same name in one store must agree on it: return another one where
    /// options change the format. By default, the name of the type.
    fn name(&self) -> Cow<'static, str> {
        type_name::<Self>().into()
    }

    /// Returns the estimated size of the decoded value in memory, in bytes. Caches in memory
    /// keep it beside its encoded form, and count both. By default, that of the latter. It must
    /// not panic for bytes that can't be decoded.
    fn decoded_size(&self, encoded: &Bytes) -> usize {
        encoded.len()
    }
}

/// Returns the bytes that a function writes: in a buffer of this thread, so that they are its
/// only allocation, and without spare capacity, since entries in memory are weighed by their
/// length.
fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>) -> Result<Bytes, BoxError> {
    thread_local! {
        static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    }
    // The buffer is taken out, as the encoding of a value may encode others. While the thread ends
    // it may be gone, and a new one is used.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    buffer.clear();
    let written = write(&mut buffer).map(|()| Bytes::copy_from_slice(&buffer));
    buffer.clear();
    buffer.shrink_to(LONGEST_BUFFER);
    let _ = BUFFER.try_with(|own| own.set(buffer));
    written
}

/// The capacity that a thread keeps for encoding values.
const LONGEST_BUFFER: usize = 64 << 10;

/// A value of a type that only its codec knows.
pub type Opaque = dyn Any + Send + Sync;

/// A decoded value, shared by all callers that receive it.
pub type Decoded = Arc<Opaque>;

/// A [`Codec`] whose type of values isn't known.
///
/// All values that [`decode`](Self::decode) returns, and all that are passed to the cache,
/// have the same concrete type.
pub trait ErasedCodec: fmt::Debug + Send + Sync + 'static {
    /// Decodes an entry's value: its first `length` bytes, without the trailer.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Decode`] if the bytes are not a value of this
    /// cache. The entry is then a miss.
    fn decode(&self, entry: &Bytes, length: usize) -> Result<Decoded, Error>;

    /// Encodes a value.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Encode`] if the value cannot be encoded. The
    /// message is logged, so it must not reveal the contents of the value.
    fn encode(&self, value: &Opaque) -> Result<Bytes, Error>;

    /// Same as [`Codec::name`].
    fn name(&self) -> Cow<'static, str>;

    /// Same as [`Codec::decoded_size`].
    fn decoded_size(&self, encoded: &Bytes) -> usize;
}

/// Hides the type of a codec's values.
#[must_use]
pub fn erase<T: Send + Sync + 'static>(codec: impl Codec<T>) -> Arc<dyn ErasedCodec> {
    Arc::new(Erased { codec, values: PhantomData::<fn() -> T> })
}

struct Erased<T, C> {
    codec: C,
    values: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static, C: Codec<T>> ErasedCodec for Erased<T, C> {
    fn decode(&self, entry: &Bytes, length: usize) -> Result<Decoded, Error> {
        let value = self.codec.decode_start(entry, length).map_err(|source| {
            let message = "cannot decode the entry as a value of this cache";
            Error::new(ErrorKind::Decode, message).with_source(source)
        })?;
        Ok(Arc::new(value))
    }

    fn encode(&self, value: &Opaque) -> Result<Bytes, Error> {
        let Some(value) = value.downcast_ref::<T>() else {
            let message = "value has another type than the cache: use one codec with one type";
            return Err(Error::new(ErrorKind::Encode, message));
        };
        self.codec.encode(value).map_err(|source| {
            let message = format!("cannot encode the value as {}", self.codec.name());
            Error::new(ErrorKind::Encode, message).with_source(source)
        })
    }

    fn name(&self) -> Cow<'static, str> {
        self.codec.name()
    }

    fn decoded_size(&self, encoded: &Bytes) -> usize {
        self.codec.decoded_size(encoded)
    }
}

impl<T, C: Codec<T>> fmt::Debug for Erased<T, C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {}", self.codec.name(), type_name::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erased_codecs_reject_other_types() {
        let codec = erase::<u32>(Json);
        assert_eq!(codec.encode(&7_u32).unwrap(), "7");
        assert_eq!(codec.encode(&7_u64).unwrap_err().kind(), ErrorKind::Encode);
        let decoded = codec.decode(&Bytes::from_static(b"7 \n"), 1).unwrap();
        assert_eq!(decoded.downcast_ref::<u32>(), Some(&7));
        let error = codec.decode(&Bytes::from_static(b"x"), 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert_eq!(format!("{codec:?}"), "JSON of u32");
    }
}
