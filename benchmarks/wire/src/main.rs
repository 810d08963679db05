//! The cost of reading a value: CPU time of the process per `GET` and throughput, compared
//! with other Rust clients; the same for typed caches; and small reads beside large ones.
//!
//! Runs alternate, each in its own process, against one server. The CPU time is that of the
//! whole process, including tokio and the kernel. Instructions are counted by valgrind, nearly
//! independent of the load of the machine.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod clients;
mod cluster;
mod figures;
mod goals;
mod instructions;
mod large;
mod load;
mod report;
mod subject;
mod typed;

use std::error::Error;

use hotshelf_testkit::RedisServer;

use figures::{Figure, Instructions, compare};
use load::Load;
use subject::{APART, BENCHMARK, CACHES, CLIENTS};

const SIZES: [usize; 2] = [200, 10_000];
const CALLERS: [usize; 4] = [1, 32, 256, 1024];
const TYPED_CALLERS: [usize; 2] = [32, 256];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(7, 200_000, true),
        ["quick"] => report(3, 40_000, false),
        ["large"] => large::print(),
        ["cluster"] => cluster::print(),
        ["instructions"] => {
            report::print_instructions(&count_instructions(&start()?)?);
            Ok(())
        }
        ["run", subject, port, size, callers, workers, calls] => {
            let (size, callers, workers) = (size.parse()?, callers.parse()?, workers.parse()?);
            let load = Load { size, callers, workers };
            let cost = subject::run(subject, load, port.parse()?, calls.parse()?)?;
            println!("{}", serde_json::to_string(&cost)?);
            Ok(())
        }
        _ => Err("usage: wire [quick | instructions | large | cluster]".into()),
    }
}

/// Starts a server with all values.
fn start() -> Result<RedisServer, Box<dyn Error>> {
    let server = RedisServer::start()?;
    for size in SIZES {
        for number in 0..load::KEYS {
            server.command(&["SET", &load::key(size, number), &"x".repeat(size)]);
        }
    }
    subject::fill_caches(server.port(), SIZES[0])?;
    Ok(server)
}

fn report(repeats: usize, calls: usize, with_instructions: bool) -> Result<(), Box<dyn Error>> {
    let server = start()?;
    let mut figures = Vec::new();
    for size in SIZES {
        figures.extend(compare_clients(&server, size, calls, repeats)?);
    }
    figures.extend(compare_caches(&server, calls, repeats)?);
    let counts = if with_instructions { count_instructions(&server)? } else { Vec::new() };
    if with_instructions {
        report::print_instructions(&counts);
    }
    goals::print(&figures);
    figures::write(&figures, &counts)
}

/// Compares clients at values of one size, alternating between one worker and two.
fn compare_clients(
    server: &RedisServer,
    size: usize,
    calls: usize,
    repeats: usize,
) -> Result<Vec<Figure>, Box<dyn Error>> {
    let subjects = [&CLIENTS[..], &[APART, BENCHMARK]].concat();
    let mut all = Vec::new();
    for callers in CALLERS {
        // Fewer calls with one caller and with large values, which take longer.
        let calls = calls / if callers == 1 { 4 } else { 1 } / if size > 1000 { 2 } else { 1 };
        let loads = [1, 2].map(|workers| Load { size, callers, workers });
        all.extend(compare(&subjects, &loads, server.port(), calls, repeats)?);
    }
    for workers in [1, 2] {
        let title = format!("GET of {size} bytes, {workers} worker(s)");
        let figures: Vec<_> =
            all.iter().filter(|figure| figure.load.workers == workers).copied().collect();
        report::print(&title, &subjects, &figures);
    }
    Ok(all)
}

fn compare_caches(
    server: &RedisServer,
    calls: usize,
    repeats: usize,
) -> Result<Vec<Figure>, Box<dyn Error>> {
    let mut all = Vec::new();
    for callers in TYPED_CALLERS {
        let load = Load { size: SIZES[0], callers, workers: 1 };
        all.extend(compare(&CACHES, &[load], server.port(), calls, repeats)?);
    }
    report::print("A typed hit of 200 bytes of JSON, 1 worker", &CACHES, &all);
    Ok(all)
}

fn count_instructions(server: &RedisServer) -> Result<Vec<Instructions>, Box<dyn Error>> {
    let load = |callers| Load { size: SIZES[0], callers, workers: 1 };
    let of_clients = [1, 32, 256].map(|callers| CLIENTS.map(|client| (client, load(callers))));
    let of_caches = CACHES.map(|cache| (cache, load(32)));
    let all = of_clients.into_iter().flatten().chain(of_caches);
    all.map(|(subject, load)| instructions::count(subject, load, server.port())).collect()
}
