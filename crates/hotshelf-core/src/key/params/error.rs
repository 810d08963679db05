//! The error of parameters that cannot be part of a key.

use std::{
    error::Error,
    fmt::{self, Display},
};

/// The maximum number of path steps in a message. An error about depth has hundreds.
const SHOWN_STEPS: usize = 8;

/// The error of parameters that cannot be part of a key: where it occurred, why, and what to
/// do.
#[derive(Debug, Clone)]
pub struct ParamsError {
    /// Boxed, since every level of recursion reserves stack space for an error.
    details: Box<Details>,
}

#[derive(Debug, Clone)]
struct Details {
    reason: String,
    /// From the inside out: every container adds its step as the error passes through.
    path: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    Field(String),
    Index(usize),
}

impl ParamsError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { details: Box::new(Details { reason: reason.into(), path: Vec::new() }) }
    }

    /// Adds the field or key of the invalid value.
    pub(super) fn in_field(mut self, name: impl Into<String>) -> Self {
        self.details.path.push(Step::Field(name.into()));
        self
    }

    /// Adds the index of the invalid item.
    pub(super) fn in_item(mut self, index: usize) -> Self {
        self.details.path.push(Step::Index(index));
        self
    }

    /// Adds the position in a JSON text, counted from 1.
    pub(super) fn at_line(mut self, line: usize, column: usize) -> Self {
        self.details.reason = format!("{} (line {line}, column {column})", self.details.reason);
        self
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.details.path.iter().rev().take(SHOWN_STEPS) {
            match step {
                Step::Field(name) if path.is_empty() => path.push_str(name),
                Step::Field(name) => path.extend([".", name.as_str()]),
                Step::Index(index) => path.extend(["[", &index.to_string(), "]"]),
            }
        }
        if self.details.path.len() > SHOWN_STEPS {
            path.push('…');
        }
        path
    }
}

impl Display for ParamsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.details.path.is_empty() {
            write!(formatter, "at `{}`: ", self.path())?;
        }
        formatter.write_str(&self.details.reason)
    }
}

impl Error for ParamsError {}

impl serde::ser::Error for ParamsError {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_starts_at_the_root() {
        let error = ParamsError::new("no good").in_item(3).in_field("ids").in_field("filter");
        assert_eq!(error.to_string(), "at `filter.ids[3]`: no good");
    }

    #[test]
    fn long_paths_are_truncated() {
        let error = (0..500).fold(ParamsError::new("too deep"), ParamsError::in_item);
        assert!(error.to_string().starts_with("at `[499][498]"));
        assert!(error.to_string().ends_with("[492]…`: too deep"));
    }
}
