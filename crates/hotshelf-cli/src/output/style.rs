//! Colors.

use crate::terminal::{Stream, Terminal};

/// Whether the output is colored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    is_colored: bool,
}

/// A color or weight of text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Color {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Style {
    /// Colors a terminal, unless `NO_COLOR` is set, or the terminal has none.
    pub(crate) fn of(terminal: &dyn Terminal) -> Self {
        let no_color = terminal.variable("NO_COLOR").is_some_and(|it| !it.is_empty());
        let is_dumb = terminal.variable("TERM").is_some_and(|it| it == "dumb");
        Self { is_colored: terminal.is_interactive(Stream::Output) && !no_color && !is_dumb }
    }

    pub(crate) fn paint(self, color: Color, text: &str) -> String {
        let code = match color {
            Color::Bold => 1,
            Color::Dim => 2,
            Color::Red => 31,
            Color::Green => 32,
            Color::Yellow => 33,
        };
        if self.is_colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
