//! Request validation with the responses of FastAPI and pydantic.
//!
//! A type implements [`Validate`] to be read from named fields; [`ValidQuery`] and
//! [`ValidList`] extract it from a query string or a JSON body. All faults of a request are
//! collected, in the order of the fields, and returned with status 422 in the format that
//! clients of the original API already parse.

mod extract;
mod fault;
mod fields;
pub(crate) mod scalar;
mod violation;

pub use extract::{ValidList, ValidQuery};
pub use fault::Fault;
pub use fields::Fields;
pub use violation::{Invalid, Segment, Violation};

/// A type that is read from named fields: query parameters or members of an object.
pub trait Validate: Sized {
    /// Reads the value. Returns `None` if a field is invalid; `fields` then contains the
    /// fault.
    ///
    /// Implementations must read every field before they return, so that one response contains
    /// all faults.
    fn validate(fields: &mut Fields) -> Option<Self>;
}
