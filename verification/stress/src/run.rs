//! One run: two servers, processes, faults, and the check of the history.

use std::error::Error;
use std::fmt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hotshelf_core::cache::LEASE;
use hotshelf_testkit::RedisServer;
use rustix::process::Pid;

use crate::clock::now;
use crate::faults::{Fault, count, inject_until};
use crate::history::{Findings, Record, check};
use crate::mutant::Mutant;
use crate::used::Used;
use crate::worker::{Job, KEYS, NEAR_BOUND};

/// Longer than a loader takes, shorter than most stops.
const SHORT_LEASE: Duration = Duration::from_millis(50);

/// The settings of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seconds: u64,
    pub(crate) processes: usize,
    pub(crate) faults: Vec<Fault>,
    pub(crate) mutant: Option<Mutant>,
    /// Whether the processes have near tiers.
    pub(crate) near: bool,
    /// Whether they use values that are stale.
    pub(crate) stale: bool,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Report {
    /// How often each fault was injected.
    faults: Vec<(&'static str, usize)>,
    /// Keys that the cache server evicted.
    evicted: u64,
    /// Leases and marks that expired: nothing else has such a short time to live.
    expired: u64,
    used: Used,
    findings: Findings,
    near: bool,
}

/// Executes a plan.
pub(crate) fn run(plan: &Plan) -> Result<Report, Box<dyn Error>> {
    let cache = RedisServer::start_with(Fault::server_arguments(&plan.faults))?;
    let database = RedisServer::start()?;
    let end = now() + plan.seconds * 1_000_000_000;
    let start = |process| {
        let (cache, database) = (cache.url(), database.url());
        let Plan { mutant, near, stale, .. } = *plan;
        start(&Job { cache, database, end, lease: lease_of(process), mutant, near, stale })
    };
    let children = (0..plan.processes).map(start).collect::<Result<Vec<_>, _>>()?;
    let processes: Vec<Pid> = children.iter().map(Pid::from_child).collect();
    let faults = inject_until(end, &plan.faults, &cache, &processes)?;
    let (mut used, mut records) = (Used::default(), Vec::new());
    for child in children {
        let (by_child, of_child) = finish(child)?;
        used += by_child;
        records.extend(of_child);
    }
    let (evicted, expired) = (count(&cache, "evicted_keys"), count(&cache, "expired_keys"));
    let slack = if plan.near { NEAR_BOUND.as_nanos() as u64 } else { 0 };
    let findings = check(&records, KEYS, slack);
    Ok(Report { faults, evicted, expired, used, findings, near: plan.near })
}

/// Returns the lease of a process: every other process has a lease so short that it expires
/// while the process or the server is stopped.
fn lease_of(process: usize) -> Duration {
    if process.is_multiple_of(2) { LEASE } else { SHORT_LEASE }
}

fn start(job: &Job) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.args(job.to_arguments()).stdout(Stdio::piped()).spawn()?)
}

/// Waits for a process, and returns what its cache was used for, and its records.
fn finish(child: Child) -> Result<(Used, Vec<Record>), Box<dyn Error>> {
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("a process failed: {}", output.status).into());
    }
    let output = String::from_utf8(output.stdout)?;
    let (used, records) = output.split_once('\n').unwrap_or_default();
    Ok((used.parse()?, records.lines().map(str::parse).collect::<Result<_, _>>()?))
}

impl Report {
    /// Returns the result in one line.
    pub(crate) fn summary(&self) -> String {
        let Findings { stale, gets, loads, invalidations, .. } = &self.findings;
        format!("stale {stale} of {gets} gets, {loads} loads, {invalidations} invalidations")
    }

    /// Returns why the run proves nothing, if it doesn't: what it is for has not happened. It may
    /// on the next attempt.
    pub(crate) fn untested(&self, plan: &Plan) -> Option<String> {
        // Marks of failed loads expire, too.
        let must_expire = !plan.stale && plan.faults.contains(&Fault::Stop);
        match plan.mutant {
            _ if self.findings.overlaps == 0 => Some("no invalidation overlapped a load".into()),
            Some(mutant) if self.findings.stale == 0 => {
                Some(format!("the mutant {} was not caught", mutant.name()))
            }
            // The stale answers of a mutant are proof enough.
            Some(_) => None,
            None if must_expire && self.expired == 0 => {
                Some("no lease of a stopped process expired".into())
            }
            None if plan.near && !self.used.near() => Some("the near tiers never answered".into()),
            None if plan.stale && !self.used.stale() => {
                Some(format!("stale values were not used: {:?}", self.used))
            }
            None => None,
        }
    }

    /// Checks that the correct backend had no stale answer.
    pub(crate) fn check(&self, mutant: Option<Mutant>) -> Result<(), Box<dyn Error>> {
        match self.findings.stale {
            1.. if mutant.is_none() => {
                Err(format!("{} gets returned an invalidated value", self.findings.stale).into())
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, processes, faults, mutant, near, stale } = self;
        write!(formatter, "{processes} processes for {seconds} s")?;
        if *near {
            write!(formatter, ", near tiers with a bound of {NEAR_BOUND:?}")?;
        }
        if *stale {
            write!(formatter, ", stale values")?;
        }
        if let Some(mutant) = mutant {
            write!(formatter, ", mutant: {}", mutant.name())?;
        }
        let names: Vec<_> = faults.iter().map(|fault| fault.name()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        write!(formatter, ", faults: {names}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let findings = &self.findings;
        let &Findings { refused, unstored, failed, overlaps, stale, worst_age, .. } = findings;
        for (fault, times) in self.faults.iter().filter(|(_, times)| *times > 0) {
            writeln!(formatter, "  {fault}: {times} times")?;
        }
        if self.evicted > 0 {
            writeln!(formatter, "  {} keys were evicted", self.evicted)?;
        }
        writeln!(formatter, "  {} leases and marks expired", self.expired)?;
        writeln!(formatter, "  {overlaps} invalidations overlapped a load")?;
        writeln!(formatter, "  {refused} fills were refused, {unstored} could not be stored")?;
        if findings.failed_loads > 0 {
            let Findings { failed_loads, valueless, .. } = findings;
            writeln!(formatter, "  {failed_loads} loads failed, {valueless} calls got no value")?;
        }
        writeln!(formatter, "  {failed} attempts to invalidate failed and were repeated")?;
        if self.near {
            let at = |share: f64| {
                let last = self.findings.ages.len().saturating_sub(1);
                let age = self.findings.ages.get((last as f64 * share) as usize);
                age.copied().unwrap_or_default() as f64 / 1e6
            };
            let (count, p50, p99, max) = (self.findings.ages.len(), at(0.5), at(0.99), at(1.0));
            writeln!(
                formatter,
                "  {count} near hits were older than an invalidation, by {p50:.1} ms (p50), \
                 {p99:.1} (p99), {max:.1} (max)"
            )?;
        }
        if stale > 0 {
            let millis = worst_age as f64 / 1e6;
            writeln!(
                formatter,
                "  worst stale answer: outdated for {millis:.1} ms at the start of the call"
            )?;
        }
        formatter.write_str(&self.summary())
    }
}
