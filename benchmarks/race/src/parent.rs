//! Runs the measurements as processes.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time;

use crate::Failure;
use crate::child::Scenario;
use crate::library::Contestant;
use crate::report::{Race, Row};

/// The number of processes that ask for the cold key.
pub(crate) const PROCESSES: usize = 4;

/// The timeout for a line of a process: longer than its own timeout, whose error is more
/// specific.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Measures a library. Failures are part of the row.
pub(crate) async fn measure(contestant: Contestant, redis_url: &str) -> Row {
    let by_key = race(contestant, Scenario::Key, redis_url).await;
    let by_group = match contestant.group {
        Some(_) => Some(race(contestant, Scenario::Group, redis_url).await),
        None => None,
    };
    let cold = cold(contestant, redis_url).await;
    Row { contestant, by_key, by_group, cold }
}

async fn race(
    contestant: Contestant,
    scenario: Scenario,
    redis_url: &str,
) -> Result<Race, Failure> {
    let mut process = Process::start(contestant, scenario, redis_url)?;
    let figures = process.line().await?;
    let (stale, blocked) = figures.split_once(' ').ok_or("two figures are missing")?;
    Ok(Race { stale: stale.parse()?, blocked: blocked.parse()? })
}

/// Runs callers of one cold key in all processes, and returns the loads of each.
async fn cold(contestant: Contestant, redis_url: &str) -> Result<Vec<u64>, Failure> {
    let start = |_| Process::start(contestant, Scenario::Cold, redis_url);
    let mut processes = (0..PROCESSES).map(start).collect::<Result<Vec<_>, _>>()?;
    for word in ["ready", "asked"] {
        for process in &mut processes {
            process.expect(word).await?;
        }
        for process in &mut processes {
            process.input.write_all(b"go\n").await?;
        }
    }
    let mut loads = Vec::new();
    for process in &mut processes {
        loads.push(process.line().await?.parse()?);
    }
    Ok(loads)
}

/// A process of this program for one measurement. It is killed when this handle is dropped.
struct Process {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Process {
    fn start(contestant: Contestant, scenario: Scenario, redis_url: &str) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([contestant.label, scenario.name(), redis_url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().ok_or("the process has no input")?;
        let output = child.stdout.take().ok_or("the process has no output")?;
        Ok(Self { input, output: BufReader::new(output).lines(), _child: child })
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let line = time::timeout(TIMEOUT, self.output.next_line()).await;
        let line = line.map_err(|_| "a process timed out")??;
        line.ok_or_else(|| "a process failed: see its error above".into())
    }

    async fn expect(&mut self, word: &str) -> Result<(), Failure> {
        let line = self.line().await?;
        if line == word { Ok(()) } else { Err(format!("{line:?} instead of {word:?}").into()) }
    }
}
