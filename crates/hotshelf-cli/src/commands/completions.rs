//! `hotshelf completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::failure::{DONE, Failure};
use crate::terminal::Terminal;

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(
    arguments: &CompletionsArguments,
    terminal: &dyn Terminal,
) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "hotshelf", &mut text);
    terminal.write(&text)?;
    Ok(DONE)
}
