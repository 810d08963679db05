//! Input and output, and what else a command needs of its process.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Input and output of a command, its environment and its clock.
pub trait Terminal: Send + Sync {
    /// Writes to the output.
    ///
    /// # Errors
    /// If the output is closed.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;

    /// Writes to the error output, where failures to do so are ignored.
    fn write_error(&self, text: &str);

    /// Reads a line of input; an empty text at its end.
    ///
    /// # Errors
    /// If reading fails.
    fn read_line(&self) -> io::Result<String>;

    /// Returns `true` if a person is at the other end of a stream.
    fn is_interactive(&self, stream: Stream) -> bool;

    /// Returns a variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;

    /// Returns the time since the Unix epoch.
    fn time(&self) -> Duration;
}

/// The standard streams of the process.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct StandardTerminal;

impl StandardTerminal {
    /// Returns the streams of this process.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Terminal for StandardTerminal {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(bytes)?;
        output.flush()
    }

    fn write_error(&self, text: &str) {
        // There is nowhere else to report it.
        let _ = io::stderr().write_all(text.as_bytes());
    }

    fn read_line(&self) -> io::Result<String> {
        let mut line = String::new();
        io::stdin().read_line(&mut line)?;
        Ok(line)
    }

    fn is_interactive(&self, stream: Stream) -> bool {
        match stream {
            Stream::Input => io::stdin().is_terminal(),
            Stream::Output => io::stdout().is_terminal(),
            Stream::Error => io::stderr().is_terminal(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the terminal of a program")]
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    #[expect(clippy::disallowed_methods, reason = "it is compared with the server's clock")]
    fn time(&self) -> Duration {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
    }
}
