//! The cost of a hit over HTTP: the product API compared with a handler that only sends `GET`
//! by the redis crate.
//!
//! Both answer `GET /products/1` from one Redis, each in its own process, alternately, under
//! `wrk -t1 -c64`. Every run is shown: the speed of the machine may change in between, so
//! compare within a round.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod report;
mod servers;
mod wrk;

use std::error::Error;

use hotshelf_testkit::RedisServer;

use report::Row;
use servers::{Kind, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(5, 5),
        ["quick"] => compare(2, 1),
        ["serve", kind, redis_url] => servers::serve(Kind::named(kind)?, redis_url),
        _ => Err("usage: http [quick]".into()),
    }
}

fn compare(rounds: u32, seconds: u32) -> Result<(), Box<dyn Error>> {
    let redis = RedisServer::start()?;
    // The first request fills the cache; the others read the same entry.
    let product_api = Server::start(Kind::ProductApi, &redis.url())?;
    wrk::run(&product_api, 1)?;
    let start = |kind| Server::start(kind, &redis.url());
    let [raw, near, constant] =
        [start(Kind::Raw)?, start(Kind::NearProductApi)?, start(Kind::Constant)?];
    let servers = [&raw, &product_api, &near, &constant];
    for server in servers {
        wrk::run(server, 1)?;
    }

    let mut rows = Vec::new();
    for round in 1..=rounds {
        for server in servers {
            rows.push(Row { round, measure: wrk::run(server, seconds)? });
        }
    }
    report::print(&rows);
    report::write(&rows)
}
