//! Prints the key that an entry is stored under:
//! `cargo run -q -p hotshelf --example cache_key -- [--fastapi-rc] NAMESPACE IDENTIFIER [PARAMS_JSON]`.
//!
//! With `--fastapi-rc` it is that of the Python library fastapi-rc.
//! Numbers in the parameters keep Python's spelling: `1e16`, `-0.0`, integers of any size.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::process::ExitCode;

use hotshelf::{Key, KeyLayout, Params, Store};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match key(&arguments) {
        Ok(key) => {
            println!("{key}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn key(arguments: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
    let (layout, arguments) = match *arguments {
        ["--fastapi-rc", ref rest @ ..] => (KeyLayout::FastapiRc, rest),
        _ => (KeyLayout::Injective, arguments),
    };
    let (namespace, key) = match *arguments {
        [namespace, identifier] => (namespace, Key::new(identifier)),
        [namespace, identifier, params] => {
            (namespace, Key::new(identifier).params(Params::from_json(params)?))
        }
        _ => {
            return Err("usage: cache_key [--fastapi-rc] NAMESPACE IDENTIFIER [PARAMS_JSON]".into());
        }
    };
    let cache = Store::memory().cache::<()>(namespace.to_owned()).key_layout(layout).build()?;
    Ok(cache.wire_key(key).as_str().to_owned())
}
