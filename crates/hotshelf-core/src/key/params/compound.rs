//! The lists, maps and structs of the [`serializer`](super::serializer).

use serde::{
    Serialize,
    ser::{
        SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleStruct, SerializeTupleVariant,
    },
};

use super::{
    error::ParamsError,
    parse,
    serializer::ValueSerializer,
    value::{CodePoints, Dict, DictKey, Value},
};

/// Collects the items of a sequence or tuple, and wraps them if they belong to a variant.
#[derive(Debug)]
pub(super) struct ListSerializer {
    inner: ValueSerializer,
    items: Vec<Value>,
    variant: Option<&'static str>,
}

impl ListSerializer {
    pub(super) fn new(
        inner: ValueSerializer,
        expected: usize,
        variant: Option<&'static str>,
    ) -> Self {
        Self { inner, items: Vec::with_capacity(expected), variant }
    }

    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ParamsError> {
        let item = item.serialize(self.inner).map_err(|error| {
            let error = error.in_item(self.items.len());
            in_variant(error, self.variant)
        })?;
        self.items.push(item);
        Ok(())
    }

    fn finish(self) -> Value {
        wrap(Value::List(self.items), self.variant)
    }
}

/// Collects the entries of a map or struct, and wraps them if they belong to a variant.
#[derive(Debug)]
pub(super) struct DictSerializer {
    inner: ValueSerializer,
    entries: Vec<(DictKey, Value)>,
    /// The key of the next value.
    key: Option<DictKey>,
    variant: Option<&'static str>,
}

impl DictSerializer {
    pub(super) fn new(
        inner: ValueSerializer,
        expected: usize,
        variant: Option<&'static str>,
    ) -> Self {
        Self { inner, entries: Vec::with_capacity(expected), key: None, variant }
    }

    fn push<T: Serialize + ?Sized>(&mut self, key: DictKey, value: &T) -> Result<(), ParamsError> {
        let value = value.serialize(self.inner).map_err(|error| {
            let error = error.in_field(key.label());
            in_variant(error, self.variant)
        })?;
        self.entries.push((key, value));
        Ok(())
    }

    fn push_field<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), ParamsError> {
        self.push(DictKey::Str(CodePoints::from(name)), value)
    }

    fn finish(self) -> Result<Value, ParamsError> {
        let dict = Dict::new(self.entries).map_err(|error| in_variant(error, self.variant))?;
        Ok(wrap(Value::Dict(dict), self.variant))
    }
}

fn wrap(content: Value, variant: Option<&'static str>) -> Value {
    match variant {
        Some(variant) => Value::Dict(Dict::single(variant, content)),
        None => content,
    }
}

fn in_variant(error: ParamsError, variant: Option<&'static str>) -> ParamsError {
    match variant {
        Some(variant) => error.in_field(variant),
        None => error,
    }
}

/// Collects the fields of a struct, or the text of one of serde_json's private structs.
#[derive(Debug)]
pub(super) enum StructSerializer {
    Fields(DictSerializer),
    Literal(LiteralSerializer),
}

impl StructSerializer {
    pub(super) fn number(outer: ValueSerializer) -> Self {
        let read = |text: &str, _| parse::number(text).map(Value::Number);
        Self::Literal(LiteralSerializer { outer, read, value: None })
    }

    pub(super) fn raw_value(outer: ValueSerializer) -> Self {
        let read = |text: &str, outer: ValueSerializer| parse::document(text, outer.depth());
        Self::Literal(LiteralSerializer { outer, read, value: None })
    }
}

/// Parses the text of serde_json's `Number` or `RawValue`.
#[derive(Debug)]
pub(super) struct LiteralSerializer {
    outer: ValueSerializer,
    read: fn(&str, ValueSerializer) -> Result<Value, ParamsError>,
    value: Option<Value>,
}

impl LiteralSerializer {
    fn take<T: Serialize + ?Sized>(&mut self, text: &T) -> Result<(), ParamsError> {
        if let Value::Str(text) = text.serialize(self.outer)? {
            self.value = Some((self.read)(&text.to_string_lossy(), self.outer)?);
        }
        Ok(())
    }

    fn finish(self) -> Result<Value, ParamsError> {
        self.value.ok_or_else(|| ParamsError::new("number or raw value without its text"))
    }
}

impl SerializeSeq for ListSerializer {
    type Ok = Value;
    type Error = ParamsError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ParamsError> {
        self.push(item)
    }

    fn end(self) -> Result<Value, ParamsError> {
        Ok(self.finish())
    }
}

impl SerializeTuple for ListSerializer {
    type Ok = Value;
    type Error = ParamsError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ParamsError> {
        self.push(item)
    }

    fn end(self) -> Result<Value, ParamsError> {
        Ok(self.finish())
    }
}

impl SerializeTupleStruct for ListSerializer {
    type Ok = Value;
    type Error = ParamsError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ParamsError> {
        self.push(item)
    }

    fn end(self) -> Result<Value, ParamsError> {
        Ok(self.finish())
    }
}

impl SerializeTupleVariant for ListSerializer {
    type Ok = Value;
    type Error = ParamsError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), ParamsError> {
        self.push(item)
    }

    fn end(self) -> Result<Value, ParamsError> {
        Ok(self.finish())
    }
}

impl SerializeMap for DictSerializer {
    type Ok = Value;
    type Error = ParamsError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ParamsError> {
        let key = key.serialize(self.inner).and_then(DictKey::try_from);
        self.key = Some(key?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ParamsError> {
        let key = self.key.take().ok_or_else(|| ParamsError::new("map value before its key"))?;
        self.push(key, value)
    }

    fn end(self) -> Result<Value, ParamsError> {
        self.finish()
    }
}

impl SerializeStructVariant for DictSerializer {
    type Ok = Value;
    type Error = ParamsError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ParamsError> {
        self.push_field(name, value)
    }

    fn end(self) -> Result<Value, ParamsError> {
        self.finish()
    }
}

impl SerializeStruct for StructSerializer {
    type Ok = Value;
    type Error = ParamsError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), ParamsError> {
        match self {
            Self::Fields(fields) => fields.push_field(name, value),
            Self::Literal(literal) => literal.take(value),
        }
    }

    fn end(self) -> Result<Value, ParamsError> {
        match self {
            Self::Fields(fields) => fields.finish(),
            Self::Literal(literal) => literal.finish(),
        }
    }
}
