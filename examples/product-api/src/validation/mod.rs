//! Request validation with the answers of FastAPI and pydantic.
//!
//! A type says once how it is read from named fields ([`Validate`]); [`ValidQuery`] and
//! [`ValidList`] take it from a query string or a JSON body. Every fault of a request is collected,
//! in the order of the fields, and answered with status 422 in the shape clients of the original
//! API already parse.

mod extract;
mod fault;
mod fields;
pub(crate) mod scalar;
mod violation;

pub use extract::{ValidList, ValidQuery};
pub use fault::Fault;
pub use fields::Fields;
pub use violation::{Invalid, Segment, Violation};

/// A type that is read from named fields, be they query parameters or members of an object.
pub trait Validate: Sized {
    /// Reads the value; `None` when a field is at fault, which `fields` then holds.
    ///
    /// Read every field before giving up, so that one answer names all faults.
    fn validate(fields: &mut Fields) -> Option<Self>;
}
