//! Decisions out of bytes.

use std::time::Duration;

/// The bytes that are left to decide by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    /// Takes a byte; `None` at the end.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes a byte, or 0 at the end.
    pub(crate) fn small(&mut self) -> u8 {
        self.byte().unwrap_or(0)
    }

    /// Takes a number of two bytes, or of what there is.
    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.small(), self.small()])
    }

    /// Takes a length and so many bytes, or those that there are.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.small()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// Takes one of some choices.
    pub(crate) fn choice<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.small()) % choices.len()]
    }

    /// Takes a short time.
    pub(crate) fn millis(&mut self) -> Duration {
        Duration::from_millis(self.small().into())
    }
}
