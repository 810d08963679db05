//! Lists the public API of a crate from rustdoc's JSON: `public-api-listing FILE`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::error::Error;
use std::fs;
use std::process::ExitCode;

use public_api::Builder;

/// The supported format of rustdoc's JSON.
const FORMAT: u64 = 57;
/// The exit code for another format, written by another release of rustdoc.
const OTHER_FORMAT: u8 = 3;

fn main() -> ExitCode {
    match list() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<ExitCode, Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: public-api-listing FILE")?;
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
    let format = json["format_version"].as_u64().ok_or("the file is not JSON of rustdoc")?;
    if format != FORMAT {
        eprintln!("unsupported format {format} of rustdoc's JSON: use format {FORMAT}");
        return Ok(ExitCode::from(OTHER_FORMAT));
    }
    let api = Builder::from_rustdoc_json(file)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    print!("{api}");
    Ok(ExitCode::SUCCESS)
}
