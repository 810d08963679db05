//! The arguments that all commands share.

use clap::Parser;

use crate::commands::Command;

/// Looks at a cache of hotshelf on Redis or Valkey.
#[derive(Debug, Parser)]
#[command(name = "hotshelf", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of all commands.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// The server: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://.
    /// Default: $REDIS_URL, or else redis://127.0.0.1
    #[arg(long, global = true, value_name = "URL", hide_default_value = true)]
    pub(crate) url: Option<String>,
    /// Write JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How long to wait for each reply, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 5.0)]
    pub(crate) timeout: f64,
    /// Keys are escaped, as `ls` shows them: \xff, \n, \\
    #[arg(long, global = true)]
    pub(crate) escaped: bool,
}
