//! The command line of [hotshelf](https://docs.rs/hotshelf), independent of an async runtime.
//!
//! [`run`] parses arguments, runs one command against a server, and writes to a [`Terminal`]. A
//! [`Host`] opens the connection: that of the program `hotshelf` (feature `bin`) on tokio, that of
//! `python -m hotshelf` on the blocking driver of `hotshelf.sync`.
//!
//! | exit code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | not found, not confirmed, or `doctor` has found a fault |
//! | 2 | invalid arguments |
//! | 3 | the server can't be reached, or refuses the command |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod arguments;
mod commands;
mod entry;
mod failure;
mod host;
mod key_scan;
mod names;
mod output;
mod sample;
mod server_info;
mod session;
mod terminal;
#[cfg(feature = "bin")]
mod tokio_host;

use std::ffi::OsString;
use std::sync::Arc;

use clap::Parser;
use hotshelf_core::BoxFuture;

use arguments::Arguments;
pub use commands::dashboard::{Dashboard, Namespaces};
pub use host::{Connection, Host};
pub use terminal::{StandardTerminal, Stream, Terminal};
#[cfg(feature = "bin")]
pub use tokio_host::{TokioHost, serve};

/// What is left to do after a command.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// To exit with a code.
    Exit(u8),
    /// To serve the admin page.
    Serve(Box<Dashboard>),
}

/// Runs a command. The first argument is the name of the program.
///
/// # Cancel safety
/// If dropped, it is unknown whether the server executes the command. An invalidation that was
/// begun is completed.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    host: Arc<dyn Host>,
    terminal: Arc<dyn Terminal>,
) -> BoxFuture<'static, Outcome> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Also where the arguments are invalid.
    let json = arguments.iter().take_while(|it| *it != "--").any(|it| it == "--json");
    let arguments = Arguments::try_parse_from(arguments);
    Box::pin(async move {
        let arguments = match arguments {
            Ok(arguments) => arguments,
            Err(error) => return Outcome::Exit(failure::report_usage(&error, json, &*terminal)),
        };
        let json = arguments.common.json;
        let done = commands::run(arguments, &*host, Arc::clone(&terminal)).await;
        done.unwrap_or_else(|failure| Outcome::Exit(failure.report(json, &*terminal)))
    })
}
