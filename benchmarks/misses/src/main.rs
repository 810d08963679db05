//! What a miss costs: CPU time of the client and of redis-server, allocations and instructions of
//! `get_or_insert_with` for keys that the server doesn't have, compared with `GET` and `SET` of as
//! many keys over the same kind of connection; with tags; and large values.
//!
//! Runs alternate, each in its own process, against one server over loopback. CPU times are the
//! medians and the best runs. Instructions are counted by valgrind, nearly independent of the load
//! of the machine.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod allocations;
mod figures;
mod goals;
mod instructions;
mod large;
mod load;
mod subject;

use std::error::Error;

use hotshelf_testkit::RedisServer;

use figures::Figure;
use load::Load;
use subject::{SUBJECTS, Subject};

const CALLERS: [usize; 2] = [1, 100];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            report(7, 10_000)?;
            large::print(&RedisServer::start()?, 5)?;
            instructions::print(&RedisServer::start()?)
        }
        ["quick"] => report(3, 1000),
        ["large"] => large::print(&RedisServer::start()?, 3),
        ["instructions"] => instructions::print(&RedisServer::start()?),
        ["run", subject, port, callers, calls] => {
            let (callers, calls) = (callers.parse()?, calls.parse()?);
            let cost = Load { callers, calls }.run(Subject::named(subject)?, port.parse()?)?;
            println!("{}", serde_json::to_string(&cost)?);
            Ok(())
        }
        _ => Err("usage: misses [quick | large | instructions]".into()),
    }
}

fn report(repeats: usize, calls: usize) -> Result<(), Box<dyn Error>> {
    let server = RedisServer::start()?;
    let mut all = Vec::new();
    for callers in CALLERS {
        // More calls where each takes less time.
        let calls = if callers == 1 { calls } else { 3 * calls };
        let mut costs = SUBJECTS.map(|_| Vec::with_capacity(repeats));
        for _ in 0..repeats {
            for (subject, costs) in SUBJECTS.into_iter().zip(&mut costs) {
                server.command(&["FLUSHALL"]);
                costs.push(subject.measure(server.port(), Load { callers, calls })?);
            }
        }
        let figures: Vec<_> = SUBJECTS
            .into_iter()
            .zip(&costs)
            .map(|(subject, costs)| Figure::of(subject, callers, costs))
            .collect();
        figures::print(&figures);
        all.extend(figures);
    }
    goals::print(&all);
    figures::write(&all)
}
