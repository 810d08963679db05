//! Converts serializable values into a tree, in the shapes of serde_json.

use serde::{Serialize, ser::Serializer};

use super::{
    compound::{DictSerializer, ListSerializer, StructSerializer},
    error::ParamsError,
    number::{self, Integer},
    value::{CodePoints, Depth, Dict, Value},
};

/// The names of the structs that serde_json uses to pass its own types to its own serializer.
/// Without special treatment, a program that enables the features behind them would get a map
/// instead of a number.
const JSON_NUMBER: &str = "$serde_json::private::Number";
const JSON_RAW_VALUE: &str = "$serde_json::private::RawValue";

/// Builds a [`Value`], also for map keys, whose type is checked afterwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueSerializer {
    depth: Depth,
}

impl ValueSerializer {
    pub(super) fn new(depth: Depth) -> Self {
        Self { depth }
    }

    pub(super) fn depth(self) -> Depth {
        self.depth
    }

    fn list(
        self,
        length: Option<usize>,
        variant: Option<&'static str>,
    ) -> Result<ListSerializer, ParamsError> {
        let inner = Self { depth: self.depth_inside(variant)? };
        Ok(ListSerializer::new(inner, expected(length), variant))
    }

    fn dict(
        self,
        length: Option<usize>,
        variant: Option<&'static str>,
    ) -> Result<DictSerializer, ParamsError> {
        let inner = Self { depth: self.depth_inside(variant)? };
        Ok(DictSerializer::new(inner, expected(length), variant))
    }

    /// Returns the depth of a variant's content, which is nested in its own dict.
    fn depth_inside(self, variant: Option<&'static str>) -> Result<Depth, ParamsError> {
        let depth = self.depth.enter()?;
        if variant.is_some() { depth.enter() } else { Ok(depth) }
    }
}

/// Limits the length that a `Serialize` implementation announces: it is a hint, and must not
/// cause an allocation of arbitrary size.
fn expected(length: Option<usize>) -> usize {
    length.unwrap_or(0).min(64)
}

macro_rules! serialize_integers {
    ($($method:ident($type:ty) via $wide:ty;)*) => {$(
        fn $method(self, value: $type) -> Result<Value, ParamsError> {
            Ok(Integer::from(<$wide>::from(value)).into())
        }
    )*};
}

impl Serializer for ValueSerializer {
    type Ok = Value;
    type Error = ParamsError;
    type SerializeSeq = ListSerializer;
    type SerializeTuple = ListSerializer;
    type SerializeTupleStruct = ListSerializer;
    type SerializeTupleVariant = ListSerializer;
    type SerializeMap = DictSerializer;
    type SerializeStruct = StructSerializer;
    type SerializeStructVariant = DictSerializer;

    serialize_integers! {
        serialize_i8(i8) via i128;
        serialize_i16(i16) via i128;
        serialize_i32(i32) via i128;
        serialize_i64(i64) via i128;
        serialize_i128(i128) via i128;
        serialize_u8(u8) via u128;
        serialize_u16(u16) via u128;
        serialize_u32(u32) via u128;
        serialize_u64(u64) via u128;
        serialize_u128(u128) via u128;
    }

    fn serialize_bool(self, value: bool) -> Result<Value, ParamsError> {
        Ok(value.into())
    }

    fn serialize_f32(self, value: f32) -> Result<Value, ParamsError> {
        Ok(number::widen(value).into())
    }

    fn serialize_f64(self, value: f64) -> Result<Value, ParamsError> {
        Ok(value.into())
    }

    fn serialize_char(self, value: char) -> Result<Value, ParamsError> {
        Ok(Value::Str(CodePoints(vec![value.into()])))
    }

    fn serialize_str(self, value: &str) -> Result<Value, ParamsError> {
        Ok(value.into())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<Value, ParamsError> {
        Err(ParamsError::new("bytes have no JSON counterpart; pass them as hex or base64 text"))
    }

    fn serialize_none(self) -> Result<Value, ParamsError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ParamsError> {
        value.serialize(Self { depth: self.depth.unwrap_one()? })
    }

    fn serialize_unit(self) -> Result<Value, ParamsError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, ParamsError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, ParamsError> {
        Ok(variant.into())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, ParamsError> {
        value.serialize(Self { depth: self.depth.unwrap_one()? })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, ParamsError> {
        let inner = Self { depth: self.depth.enter()? };
        let value = value.serialize(inner).map_err(|error| error.in_field(variant))?;
        Ok(Value::Dict(Dict::single(variant, value)))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<ListSerializer, ParamsError> {
        self.list(length, None)
    }

    fn serialize_tuple(self, length: usize) -> Result<ListSerializer, ParamsError> {
        self.list(Some(length), None)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        length: usize,
    ) -> Result<ListSerializer, ParamsError> {
        self.list(Some(length), None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<ListSerializer, ParamsError> {
        self.list(Some(length), Some(variant))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<DictSerializer, ParamsError> {
        self.dict(length, None)
    }

    fn serialize_struct(
        self,
        name: &'static str,
        length: usize,
    ) -> Result<StructSerializer, ParamsError> {
        match name {
            JSON_NUMBER => Ok(StructSerializer::number(self)),
            JSON_RAW_VALUE => Ok(StructSerializer::raw_value(self)),
            _ => self.dict(Some(length), None).map(StructSerializer::Fields),
        }
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<DictSerializer, ParamsError> {
        self.dict(Some(length), Some(variant))
    }
}
