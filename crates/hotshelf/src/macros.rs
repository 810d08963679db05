//! What expanded attributes refer to.

/// A type by whose alias an attribute finds the type of errors.
pub trait Fallible {
    /// The type of errors.
    type Error;
}

impl<T, E> Fallible for Result<T, E> {
    type Error = E;
}
