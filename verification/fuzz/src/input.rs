//! Decisions derived from bytes.

use std::time::Duration;

/// The remaining bytes.
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

    /// Takes a number of two bytes, or of those that remain.
    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.small(), self.small()])
    }

    /// Takes a length and that many bytes, or those that remain.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.small()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// Takes one of the choices.
    pub(crate) fn choice<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.small()) % choices.len()]
    }

    /// Takes a short duration.
    pub(crate) fn millis(&mut self) -> Duration {
        Duration::from_millis(self.small().into())
    }
}
