//! Searches every interleaving of small configurations of hotshelf's consistency protocol.
//!
//! `model [quick|all|NAME...]` prints a table, and fails if a configuration has an unexpected
//! result; `model --trace NAME` prints the shortest path to a violation. See
//! verification/README.md for the scope of the model.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod action;
mod client;
mod configurations;
mod entry;
mod environment;
mod properties;
mod request;
mod search;
mod server;
#[cfg(test)]
mod termination;
mod trace;
mod variants;
mod world;

use std::error::Error;

use configurations::Configuration;
use search::SearchResult;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["quick"] => table(configurations::all().into_iter().filter(|one| one.quick)),
        ["all"] => table(configurations::all().into_iter()),
        ["--trace", name] => {
            print_trace(&named(name)?);
            Ok(())
        }
        ref names => {
            let chosen: Result<Vec<_>, _> = names.iter().map(|name| named(name)).collect();
            table(chosen?.into_iter())
        }
    }
}

fn named(name: &str) -> Result<Configuration, String> {
    let mut all = configurations::all().into_iter();
    all.find(|one| one.name == name).ok_or_else(|| {
        let names: Vec<_> = configurations::all().iter().map(|one| one.name).collect();
        format!("unknown configuration {name}: use one of {}", names.join(", "))
    })
}

fn table(chosen: impl Iterator<Item = Configuration>) -> Result<(), Box<dyn Error>> {
    println!("| configuration | | expected | found | states | steps | seconds |");
    println!("| --- | --- | --- | --- | ---: | ---: | ---: |");
    let mut unexpected = Vec::new();
    for configuration in chosen {
        let found = search::run(&configuration);
        print_row(&configuration, &found);
        if !found.matches(configuration.expected) {
            unexpected.push(configuration.name);
        }
    }
    if unexpected.is_empty() {
        Ok(())
    } else {
        Err(format!("unexpected result of {}", unexpected.join(", ")).into())
    }
}

fn print_row(configuration: &Configuration, found: &SearchResult) {
    let Configuration { name, about, expected, .. } = configuration;
    let expected = match expected.property() {
        None => "holds".to_owned(),
        Some(property) => format!("violates {}", property.name()),
    };
    let (states, steps) = (found.unique_states, found.steps());
    let (summary, seconds) = (found.summary(), found.duration.as_secs_f64());
    println!("| {name} | {about} | {expected} | {summary} | {states} | {steps} | {seconds:.1} |");
}

fn print_trace(configuration: &Configuration) {
    match search::run(configuration).violation {
        Some(violation) => print!("{violation}"),
        None => println!("no violation"),
    }
}
