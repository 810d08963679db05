//! The program `hotshelf` against real servers.
#![expect(clippy::unwrap_used, reason = "tests")]

mod arguments;
mod bench;
mod dashboard;
mod doctor;
mod documentation;
mod entries;
mod invalidate;
mod namespaces;
mod program;
mod terminals;
mod topologies;
