//! Load generation by `wrk`.

use std::error::Error;
use std::process::Command;

use crate::servers::{Kind, Server};

/// The result of one run of wrk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub(crate) kind: Kind,
    pub(crate) requests_per_second: f64,
    /// The server's CPU time per request, in microseconds.
    pub(crate) cpu_micros: f64,
}

/// Runs `wrk -t1 -c64` against a server.
pub(crate) fn run(server: &Server, seconds: u32) -> Result<Measure, Box<dyn Error>> {
    let before = server.cpu_seconds()?;
    let output = Command::new("wrk")
        .args(["-t1", "-c64", &format!("-d{seconds}s"), &server.url])
        .output()
        .map_err(|error| {
            format!("failed to run wrk ({error}): install it with apt-get install wrk")
        })?;
    let cpu = server.cpu_seconds()? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    if text.contains("Non-2xx") || !output.status.success() {
        return Err(format!("{} failed under wrk:\n{text}", server.kind.name()).into());
    }
    let requests = number_before(&text, " requests in")?;
    let requests_per_second = number_after(&text, "Requests/sec:")?;
    Ok(Measure { kind: server.kind, requests_per_second, cpu_micros: cpu / requests * 1e6 })
}

fn number_before(text: &str, mark: &str) -> Result<f64, Box<dyn Error>> {
    let before = text.split(mark).next().unwrap_or_default();
    Ok(before.split_whitespace().next_back().unwrap_or_default().parse()?)
}

fn number_after(text: &str, mark: &str) -> Result<f64, Box<dyn Error>> {
    let after = text.split(mark).nth(1).unwrap_or_default();
    Ok(after.split_whitespace().next().unwrap_or_default().parse()?)
}
