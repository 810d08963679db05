//! Faults of the cache server and of the processes.

use std::error::Error;
use std::time::Duration;

use hotshelf_testkit::{RedisServer, Reply};
use rustix::process::{Pid, Signal, kill_process};

use crate::arguments::find;
use crate::clock::{below, now, up_to_millis, wait};
use crate::worker::{KEYS, key_name};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server, then a process, is stopped for up to 300 ms. In a run of 20 s or more,
    /// the first process is stopped for longer than a lease lasts.
    Stop,
    /// The server delays all commands for 200 ms.
    Pause,
    /// All connections are cut.
    Kill,
    /// The server removes its cached scripts.
    Scripts,
    /// The server loses all data.
    Flushall,
    /// Single entries and leases are deleted.
    Del,
    /// The server is short of memory and evicts keys at random.
    Evict,
}

/// The minimum length of a run with a stop that is longer than a lease.
const LONG_STOP_FROM: f64 = 20.0;
const LONG_STOP: Duration = Duration::from_secs(6);

/// The maximum length of any other stop of the server or a process.
const STOP_MILLIS: u64 = 300;

/// The data that fills the server's memory besides the cache.
const FILLERS: u64 = 400;
const FILLER_BYTES: usize = 10_000;

impl Fault {
    pub(crate) const ALL: [Self; 7] = [
        Self::Stop,
        Self::Pause,
        Self::Kill,
        Self::Scripts,
        Self::Flushall,
        Self::Del,
        Self::Evict,
    ];

    pub(crate) fn named(name: &str) -> Result<Self, Box<dyn Error>> {
        find("--fault", &Self::ALL, Self::name, name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Kill => "kill",
            Self::Scripts => "scripts",
            Self::Flushall => "flushall",
            Self::Del => "del",
            Self::Evict => "evict",
        }
    }

    /// Returns the arguments that the cache server must be started with.
    pub(crate) fn server_arguments(faults: &[Self]) -> &'static [&'static str] {
        if faults.contains(&Self::Evict) {
            &["--maxmemory", "2mb", "--maxmemory-policy", "allkeys-random"]
        } else {
            &[]
        }
    }

    /// Injects the fault, and returns the size of its effect, such as closed connections or
    /// deleted keys.
    fn inject(self, cache: &RedisServer, processes: &[Pid]) -> Result<u64, Box<dyn Error>> {
        match self {
            Self::Stop => {
                cache.pause();
                wait(up_to_millis(STOP_MILLIS));
                cache.resume();
                // The first process is reserved for the long stop.
                let process = processes[1 + below(processes.len() as u64 - 1) as usize];
                kill_process(process, Signal::STOP)?;
                wait(up_to_millis(STOP_MILLIS));
                kill_process(process, Signal::CONT)?;
                Ok(1)
            }
            Self::Pause => execute(cache, &["CLIENT", "PAUSE", "200"]),
            Self::Kill => execute(cache, &["CLIENT", "KILL", "TYPE", "normal"]),
            Self::Scripts => {
                let scripts = count(cache, "number_of_cached_scripts");
                execute(cache, &["SCRIPT", "FLUSH"]).map(|_| scripts)
            }
            Self::Flushall => {
                let keys = execute(cache, &["DBSIZE"])?;
                execute(cache, &["FLUSHALL"]).map(|_| keys)
            }
            Self::Del => (0..30).map(|_| delete_one(cache)).sum(),
            Self::Evict => {
                let before = count(cache, "evicted_keys");
                for _ in 0..10 {
                    fill_memory(cache)?;
                }
                Ok(count(cache, "evicted_keys") - before)
            }
        }
    }

    /// Returns the pause after the fault, in which the processes can work.
    fn pause_after(self) -> Duration {
        let longest = match self {
            // A connection that fails soon after it was opened is reopened later.
            Self::Stop | Self::Pause | Self::Kill => 1200,
            Self::Scripts | Self::Flushall | Self::Del | Self::Evict => 150,
        };
        Duration::from_millis(longest / 3) + up_to_millis(longest)
    }
}

/// Sends a command, and returns the number of its reply, or 1 for another reply. An error
/// reply is an error.
fn execute<A: AsRef<[u8]>>(cache: &RedisServer, command: &[A]) -> Result<u64, Box<dyn Error>> {
    match cache.command(command) {
        Reply::Error(error) => Err(format!("the server rejected a fault: {error}").into()),
        Reply::Integer(number) => Ok(u64::try_from(number)?),
        _ => Ok(1),
    }
}

/// Returns a counter of the server.
pub(crate) fn count(server: &RedisServer, name: &str) -> u64 {
    let info = server.cli(&["INFO", "everything"]);
    let mut named = info.lines().filter_map(|line| line.split_once(':'));
    let number = named.find_map(|(other, number)| (other == name).then_some(number));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
}

fn delete_one(cache: &RedisServer) -> Result<u64, Box<dyn Error>> {
    let entry = key_name(below(KEYS as u64) as usize);
    let name = if below(2) == 0 { entry } else { format!("hs:l:{{{entry}}}") };
    let deleted = execute(cache, &["DEL", &name]);
    wait(up_to_millis(5));
    deleted
}

fn fill_memory(cache: &RedisServer) -> Result<u64, Box<dyn Error>> {
    let value = "x".repeat(FILLER_BYTES);
    let mut command = vec!["MSET".to_owned()];
    for _ in 0..20 {
        command.extend([format!("filler:{}", below(FILLERS)), value.clone()]);
    }
    execute(cache, &command)
}

/// Injects the faults in turn until the end, and returns how often each was injected. A fault
/// that never had an effect is an error.
pub(crate) fn inject_until(
    end: u64,
    faults: &[Fault],
    cache: &RedisServer,
    processes: &[Pid],
) -> Result<Vec<(&'static str, usize)>, Box<dyn Error>> {
    let mut done = vec![0; faults.len()];
    let mut effects = vec![0; faults.len()];
    let mut long_stop = LongStop::new(end, faults, processes[0]);
    for turn in 0.. {
        let left = Duration::from_nanos(end.saturating_sub(now()));
        if left.is_zero() {
            break;
        }
        long_stop.update()?;
        if faults.is_empty() {
            wait(left);
            break;
        }
        let chosen = turn % faults.len();
        effects[chosen] += faults[chosen].inject(cache, processes)?;
        done[chosen] += 1;
        wait(faults[chosen].pause_after().min(left));
    }
    long_stop.resume()?;
    for ((fault, done), effect) in faults.iter().zip(&done).zip(effects) {
        if *done > 0 && effect == 0 {
            return Err(format!("{} was injected {done} times without effect", fault.name()).into());
        }
    }
    let done = faults.iter().map(|fault| fault.name()).zip(done);
    Ok(done.chain([("stop for longer than a lease", long_stop.times)]).collect())
}

/// A stop that is longer than a lease, after a third of the run.
struct LongStop {
    process: Pid,
    from: u64,
    until: u64,
    state: Phase,
    /// How often it was injected: once or never.
    times: usize,
}

#[derive(PartialEq, Eq)]
enum Phase {
    Ahead,
    Stopped,
    Over,
}

impl LongStop {
    fn new(end: u64, faults: &[Fault], process: Pid) -> Self {
        let left = end.saturating_sub(now());
        // Rounded, since a little of the time has already passed.
        let is_long = Duration::from_nanos(left).as_secs_f64().round() >= LONG_STOP_FROM;
        let wanted = is_long && faults.contains(&Fault::Stop);
        let from = now() + left / 3;
        let until = from + LONG_STOP.as_nanos() as u64;
        let state = if wanted { Phase::Ahead } else { Phase::Over };
        Self { process, from, until, state, times: 0 }
    }

    /// Stops or resumes the process when it is time.
    fn update(&mut self) -> rustix::io::Result<()> {
        if self.state == Phase::Ahead && now() >= self.from {
            self.state = Phase::Stopped;
            self.times += 1;
            return kill_process(self.process, Signal::STOP);
        }
        if self.state == Phase::Stopped && now() >= self.until {
            return self.resume();
        }
        Ok(())
    }

    fn resume(&mut self) -> rustix::io::Result<()> {
        if self.state == Phase::Stopped {
            kill_process(self.process, Signal::CONT)?;
        }
        self.state = Phase::Over;
        Ok(())
    }
}
