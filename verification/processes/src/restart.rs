//! A rolling restart.

use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use hotshelf::Store;
use hotshelf_testkit::RedisServer;
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::callers::Callers;
use crate::report::Report;
use crate::rows::Rows;

/// The callers of each of the two processes.
const CALLERS: usize = 16;

/// The time between two restarts.
const BETWEEN: Duration = Duration::from_millis(700);

/// Restarts one of two processes after the other.
pub(crate) fn run(restarts: usize) -> Result<(), Box<dyn Error>> {
    let (cache, source) = (RedisServer::start()?, RedisServer::start()?);
    let start = || Serving::start(&cache, &source);
    let mut serving = [start()?, start()?];
    let mut total = Report::default();
    for restart in 0..restarts {
        block(BETWEEN);
        let next = start()?;
        let ending = std::mem::replace(&mut serving[restart % 2], next);
        total += ending.end(&cache)?;
    }
    for ending in serving {
        total += ending.end(&cache)?;
    }
    println!("{restarts} restarts, 2 processes, {} callers: {total}", 2 * CALLERS);
    total.check()
}

/// A process that serves.
struct Serving {
    child: Child,
}

impl Serving {
    fn start(cache: &RedisServer, source: &RedisServer) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", &cache.url(), &source.url()]).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().ok_or("no output")?).read_line(&mut ready)?;
        Ok(Self { child })
    }

    /// Asks the process to end, and looks for what it has left behind.
    fn end(mut self, cache: &RedisServer) -> Result<Report, Box<dyn Error>> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let mut output = String::new();
        self.child.stdout.take().ok_or("no output")?.read_to_string(&mut output)?;
        self.child.wait()?;
        let mut report: Report = serde_json::from_str(&output)?;
        // No load of the other process takes that long.
        let before = leases(cache);
        block(Duration::from_millis(150));
        report.left += leases(cache).iter().filter(|lease| before.contains(lease)).count() as u64;
        Ok(report)
    }
}

/// Returns the leases, each with its holder.
fn leases(server: &RedisServer) -> Vec<String> {
    let names = server.cli(&["KEYS", "hs:l:*"]);
    let names = names.lines().filter(|name| !name.is_empty());
    names.map(|name| format!("{name} {}", server.cli(&["GET", name]))).collect()
}

/// Serves until the process is asked to end, in the middle of its loads.
pub(crate) fn serve(cache: &str, source: &str) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(async {
        let mut asked = signal(SignalKind::terminate())?;
        let store = Store::connect(cache).await?;
        let rows = Rows::connect(source).await?;
        let cache = store.cache("rows").build()?;
        let callers = Callers::new(cache, rows, u64::from(std::process::id()));
        let tasks: Vec<_> = (0..CALLERS)
            .map(|_| {
                let callers = std::sync::Arc::clone(&callers);
                tokio::spawn(async move { callers.run(true).await })
            })
            .collect();
        println!("serving");
        asked.recv().await;
        // What a server does at the end of its grace period.
        callers.stopped.store(true, Ordering::Relaxed);
        let stats = callers.cache.stats();
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let unfinished = store.close().await;
        let mut report = callers.report(stats);
        report.left += (unfinished.invalidations + unfinished.leases) as u64;
        Ok::<_, Box<dyn Error>>(report)
    })?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "real processes run in real time")]
fn block(duration: Duration) {
    std::thread::sleep(duration);
}
