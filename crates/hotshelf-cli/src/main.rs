//! The program `hotshelf`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::sync::Arc;

use hotshelf_cli::{Outcome, StandardTerminal, Terminal, TokioHost, run, serve};
use serde_json::json;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    runtime.block_on(async {
        let (host, terminal) = (Arc::new(TokioHost::new()), Arc::new(StandardTerminal::new()));
        match run(std::env::args_os(), host, terminal).await {
            Outcome::Exit(code) => ExitCode::from(code),
            Outcome::Serve(dashboard) => match serve(&dashboard).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error.to_string()),
            },
            _ => ExitCode::SUCCESS,
        }
    })
}

fn failed(message: &str) -> ExitCode {
    let is_json = std::env::args_os().any(|argument| argument == "--json");
    StandardTerminal::new().write_error(&match is_json {
        true => format!("{}\n", json!({ "error": { "kind": "unavailable", "message": message } })),
        false => format!("hotshelf: {message}\n"),
    });
    ExitCode::from(3)
}
