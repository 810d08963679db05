//! The fields of a query string or a JSON object, and their faults.

use serde_json::{Map, Value};

use super::{Fault, Segment, Validate, Violation};

/// Named values that are read one by one, with the faults found so far.
#[derive(Debug)]
pub struct Fields {
    values: Map<String, Value>,
    location: Vec<Segment>,
    /// The `input` of a missing field in a response.
    input_of_missing: Value,
    violations: Vec<Violation>,
}

impl Fields {
    /// Creates the fields of a query string; the last value of a repeated parameter counts.
    pub(super) fn of_query(pairs: Vec<(String, String)>) -> Self {
        Self {
            values: pairs.into_iter().map(|(name, text)| (name, Value::String(text))).collect(),
            location: vec![Segment::Name("query")],
            input_of_missing: Value::Null,
            violations: Vec::new(),
        }
    }

    /// Creates the fields of an object at `location`.
    pub(super) fn of_object(values: Map<String, Value>, location: Vec<Segment>) -> Self {
        let input_of_missing = Value::Object(values.clone());
        Self { values, location, input_of_missing, violations: Vec::new() }
    }

    /// Reads a required field.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        match self.values.remove(name) {
            Some(value) => self.read(name, value, read),
            None => {
                self.note(&Fault::Missing, name, self.input_of_missing.clone());
                None
            }
        }
    }

    /// Reads a field that has a default.
    pub fn or_default<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        match self.values.remove(name) {
            Some(value) => self.read(name, value, read),
            None => Some(default),
        }
    }

    /// Reads a value of the type from its fields.
    pub(super) fn finish<T: Validate>(mut self) -> Result<T, Vec<Violation>> {
        T::validate(&mut self).ok_or(self.violations)
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        value: Value,
        read: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        read(&value).map_err(|fault| self.note(&fault, name, value)).ok()
    }

    fn note(&mut self, fault: &Fault, name: &'static str, input: Value) {
        let mut location = self.location.clone();
        location.push(Segment::Name(name));
        self.violations.push(Violation::new(fault, location, input));
    }
}
