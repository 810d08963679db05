//! How results are shown.

mod escaped;
mod numbers;
mod style;
mod table;

pub(crate) use escaped::{escape, escape_line, escape_text, unescape};
pub(crate) use numbers::{bytes, counted, duration, percent, seconds, separated};
pub(crate) use style::{Color, Style};
pub(crate) use table::{Align, Table};
