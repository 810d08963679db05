//! What reading a value costs a client: CPU time of its process for each `GET`, and how
//! many there are in a second, beside other clients of Rust.
//!
//! Each figure is the median of runs that take turns, each in a process of its own, against
//! one server. The CPU time is that of the whole process, tokio and the kernel included.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod clients;

use std::error::Error;
use std::fs;
use std::process::Command;
use std::time::Duration;

use clients::{Fred, Hotshelf, Reader, Redis, Rustis};
use hotshelf_testkit::RedisServer;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

const CLIENTS: [&str; 4] = ["hotshelf", "redis", "rustis", "fred"];
const SIZES: [usize; 2] = [200, 10_000];
const CALLERS: [usize; 4] = [1, 32, 256, 1024];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => report(7, 200_000),
        ["quick"] => report(3, 40_000),
        ["run", client, port, size, callers, workers, calls] => {
            let load = Load {
                port: port.parse()?,
                size: size.parse()?,
                callers: callers.parse()?,
                workers: workers.parse()?,
                calls: calls.parse()?,
            };
            let cost = match client {
                "hotshelf" => load.run::<Hotshelf>(),
                "redis" => load.run::<Redis>(),
                "rustis" => load.run::<Rustis>(),
                "fred" => load.run::<Fred>(),
                _ => Err("no such client".into()),
            }?;
            println!("{}", serde_json::to_string(&cost)?);
            Ok(())
        }
        _ => Err("usage: wire [quick]".into()),
    }
}

/// What one run does.
struct Load {
    port: u16,
    size: usize,
    callers: usize,
    workers: usize,
    calls: usize,
}

/// What it cost.
#[derive(Serialize, Deserialize)]
struct Cost {
    cpu_micros: f64,
    per_second: f64,
}

impl Load {
    fn run<R: Reader>(&self) -> Result<Cost, Box<dyn Error>> {
        let mut tokio = match self.workers {
            1 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let tokio = tokio.worker_threads(self.workers).enable_all().build()?;
        tokio.block_on(async {
            let client = R::connect(self.port).await?;
            self.call(&client, self.calls / 10).await?;
            let (wall, cpu) = (clock(ClockId::Monotonic), clock(ClockId::ProcessCPUTime));
            self.call(&client, self.calls).await?;
            let wall = clock(ClockId::Monotonic) - wall;
            let cpu = clock(ClockId::ProcessCPUTime) - cpu;
            let calls = self.calls as f64;
            Ok(Cost {
                cpu_micros: cpu.as_secs_f64() * 1e6 / calls,
                per_second: calls / wall.as_secs_f64(),
            })
        })
    }

    async fn call<R: Reader>(&self, client: &R, calls: usize) -> Result<(), Box<dyn Error>> {
        let each = calls / self.callers;
        let callers: Vec<_> = (0..self.callers)
            .map(|caller| {
                let (client, size) = (client.clone(), self.size);
                tokio::spawn(async move {
                    for call in 0..each {
                        let key = format!("{size}:{}", (caller * 31 + call) % 1000);
                        if client.get(&key).await != size {
                            return Err("a value is not what was written");
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        Ok(())
    }
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[derive(Serialize)]
struct Row {
    measure: String,
    library: &'static str,
    variant: String,
    value: f64,
    unit: &'static str,
}

fn report(repeats: usize, calls: usize) -> Result<(), Box<dyn Error>> {
    let server = RedisServer::start()?;
    for size in SIZES {
        for key in 0..1000 {
            server.command(&["SET", &format!("{size}:{key}"), &"x".repeat(size)]);
        }
    }
    let mut rows = Vec::new();
    for workers in [1, 2] {
        for size in SIZES {
            println!(
                "\n{size} bytes, {workers} worker(s): CPU µs for a GET (thousand GETs a second)\n"
            );
            println!("| callers | {} |\n| ---: |{}", CLIENTS.join(" | "), " ---: |".repeat(4));
            for callers in CALLERS {
                // One at a time takes its time, and a large value its bytes.
                let calls =
                    calls / if callers == 1 { 4 } else { 1 } / if size > 1000 { 2 } else { 1 };
                let costs = compare(server.port(), size, callers, workers, calls, repeats)?;
                let cells: Vec<_> = costs
                    .iter()
                    .map(|cost| format!("{:.2} ({:.0})", cost.cpu_micros, cost.per_second / 1e3))
                    .collect();
                println!("| {callers} | {} |", cells.join(" | "));
                for (library, cost) in CLIENTS.into_iter().zip(costs) {
                    let variant = format!("{size} bytes, {callers} callers, {workers} workers");
                    for (measure, value, unit) in
                        [("CPU", cost.cpu_micros, "µs"), ("throughput", cost.per_second, "1/s")]
                    {
                        let (measure, variant) = (measure.to_owned(), variant.clone());
                        rows.push(Row { measure, library, variant, value, unit });
                    }
                }
            }
        }
    }
    fs::create_dir_all("target/bench")?;
    fs::write("target/bench/wire.json", serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}

/// Lets the clients take turns, and gives the median of each.
fn compare(
    port: u16,
    size: usize,
    callers: usize,
    workers: usize,
    calls: usize,
    repeats: usize,
) -> Result<Vec<Cost>, Box<dyn Error>> {
    let mut costs = CLIENTS.map(|_| Vec::new());
    for _ in 0..repeats {
        for (client, costs) in CLIENTS.into_iter().zip(&mut costs) {
            let numbers =
                [port.into(), size, callers, workers, calls].map(|n: usize| n.to_string());
            let output = Command::new(std::env::current_exe()?)
                .args(["run", client])
                .args(&numbers)
                .output()?;
            if !output.status.success() {
                let trouble = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!("{client} failed: {trouble}").into());
            }
            costs.push(serde_json::from_slice::<Cost>(&output.stdout)?);
        }
    }
    let median = |mut costs: Vec<Cost>, value: fn(&Cost) -> f64| {
        costs.sort_by(|a, b| value(a).total_cmp(&value(b)));
        value(&costs[costs.len() / 2])
    };
    let costs = costs.into_iter().map(|costs| {
        let copied = costs.iter().map(|cost| Cost { ..*cost }).collect();
        Cost {
            cpu_micros: median(copied, |cost| cost.cpu_micros),
            per_second: median(costs, |cost| cost.per_second),
        }
    });
    Ok(costs.collect())
}
