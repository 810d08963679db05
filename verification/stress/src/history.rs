//! The history of all processes, and its check for stale answers.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use crate::arguments::find;

/// One operation, with its times in nanoseconds on the clock of all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) key: usize,
    /// The version that a get returned, a load read or an invalidation was for.
    pub(crate) version: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A call returned a version.
    Get,
    /// A loader ran, and its value was stored.
    Stored,
    /// A loader ran, and the STORE of its value was refused.
    Refused,
    /// A loader ran without the right to store, or the backend failed.
    Unstored,
    /// An invalidation that ended with `Ok`.
    Invalidated,
    /// A failed attempt to invalidate.
    Failed,
    /// The loader of a batch ran, with or without the right to store.
    LoadedTogether,
    /// A loader ran, and failed.
    LoadFailed,
    /// A call ended without a value: with the error of a loader, or by a limit.
    Valueless,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Get,
        Self::Stored,
        Self::Refused,
        Self::Unstored,
        Self::Invalidated,
        Self::Failed,
        Self::LoadedTogether,
        Self::LoadFailed,
        Self::Valueless,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Stored => "stored",
            Self::Refused => "refused",
            Self::Unstored => "unstored",
            Self::Invalidated => "invalidated",
            Self::Failed => "failed",
            Self::LoadedTogether => "loaded-together",
            Self::LoadFailed => "load-failed",
            Self::Valueless => "valueless",
        }
    }

    fn is_load(self) -> bool {
        match self {
            Self::Stored | Self::Refused | Self::Unstored => true,
            Self::LoadedTogether | Self::LoadFailed => true,
            Self::Get | Self::Invalidated | Self::Failed | Self::Valueless => false,
        }
    }
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, version, start, end } = self;
        write!(formatter, "{} {key} {version} {start} {end}", kind.name())
    }
}

impl FromStr for Record {
    type Err = Box<dyn Error>;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, key, version, start, end] = words[..] else {
            return Err(format!("invalid record: {line:?}").into());
        };
        Ok(Self {
            kind: find("kind of record", &Kind::ALL, Kind::name, kind)?,
            key: key.parse()?,
            version: version.parse()?,
            start: start.parse()?,
            end: end.parse()?,
        })
    }
}

/// The result of a check.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) gets: usize,
    pub(crate) loads: usize,
    pub(crate) refused: usize,
    pub(crate) unstored: usize,
    pub(crate) invalidations: usize,
    pub(crate) failed: usize,
    pub(crate) failed_loads: usize,
    pub(crate) valueless: usize,
    /// Invalidations that began and ended while a loader of their key was running.
    pub(crate) overlaps: usize,
    pub(crate) stale: usize,
    /// The longest time, in nanoseconds, from the invalidation of a version to the start of a
    /// stale get that still returned it.
    pub(crate) worst_age: u64,
    /// The same time of each get that returned an invalidated version, stale or within the
    /// slack, in order.
    pub(crate) ages: Vec<u64>,
}

/// Checks the merged history of all processes. A get may return a version that was invalidated
/// at most `slack` nanoseconds before it began.
pub(crate) fn check(records: &[Record], keys: usize, slack: u64) -> Findings {
    let count = |kind| records.iter().filter(|record| record.kind == kind).count();
    let (refused, unstored) = (count(Kind::Refused), count(Kind::Unstored));
    let (failed_loads, together) = (count(Kind::LoadFailed), count(Kind::LoadedTogether));
    let mut findings = Findings {
        gets: count(Kind::Get),
        loads: count(Kind::Stored) + refused + unstored + failed_loads + together,
        refused,
        unstored,
        invalidations: count(Kind::Invalidated),
        failed: count(Kind::Failed),
        failed_loads,
        valueless: count(Kind::Valueless),
        ..Findings::default()
    };
    for key in 0..keys {
        let of_key: Vec<_> = records.iter().filter(|record| record.key == key).collect();
        check_key(&of_key, slack, &mut findings);
    }
    findings.ages.sort_unstable();
    findings
}

fn check_key(records: &[&Record], slack: u64, findings: &mut Findings) {
    let all = |kind| records.iter().filter(move |record| record.kind == kind);
    let floors = Highest::new(all(Kind::Invalidated).map(|done| (done.end, done.version)));
    let loads = records.iter().filter(|record| record.kind.is_load());
    let loading = Highest::new(loads.map(|load| (load.start, load.end)));

    for invalidation in all(Kind::Invalidated) {
        let latest_end = loading.before(invalidation.start);
        findings.overlaps += usize::from(latest_end > Some(invalidation.end));
    }
    for get in all(Kind::Get) {
        if floors.before(get.start) > Some(get.version) {
            let newer = all(Kind::Invalidated).filter(|done| done.version > get.version);
            let outdated = newer.map(|done| done.end).min().unwrap_or(get.start);
            findings.ages.push(get.start - outdated);
        }
        if floors.before(get.start.saturating_sub(slack)) > Some(get.version) {
            findings.stale += 1;
            findings.worst_age = findings.ages.iter().copied().max().unwrap_or_default();
        }
    }
}

/// Finds the highest of all values before a given time.
struct Highest(Vec<(u64, u64)>);

impl Highest {
    fn new(values: impl Iterator<Item = (u64, u64)>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_unstable();
        let mut highest = 0;
        for (_, value) in &mut values {
            highest = highest.max(*value);
            *value = highest;
        }
        Self(values)
    }

    fn before(&self, time: u64) -> Option<u64> {
        let count = self.0.partition_point(|(at, _)| *at < time);
        count.checked_sub(1).map(|last| self.0[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: Kind, version: u64, start: u64, end: u64) -> Record {
        Record { kind, key: 0, version, start, end }
    }

    #[test]
    fn older_get_after_invalidation_is_stale() {
        let history = [
            record(Kind::Invalidated, 2, 10, 20),
            record(Kind::Invalidated, 1, 5, 30),
            record(Kind::Get, 1, 20, 40),
            record(Kind::Get, 1, 27, 40),
            record(Kind::Get, 2, 31, 40),
            record(Kind::Get, 0, 15, 90),
        ];
        let findings = check(&history, 1, 0);
        assert_eq!((findings.gets, findings.stale, findings.worst_age), (4, 1, 7));
        assert_eq!(check(&history[2..], 1, 0).stale, 0);
        assert_eq!(check(&history, 1, 6).stale, 1);
        assert_eq!(check(&history, 1, 7).stale, 0);
    }

    #[test]
    fn invalidation_within_load_counts_once() {
        let history = [
            record(Kind::Refused, 0, 1, 50),
            record(Kind::Unstored, 0, 2, 9),
            record(Kind::Invalidated, 1, 10, 20),
            record(Kind::Invalidated, 2, 40, 60),
        ];
        let findings = check(&history, 1, 0);
        assert_eq!((findings.loads, findings.refused, findings.overlaps), (2, 1, 1));
    }

    #[test]
    fn record_round_trips() {
        let written = Record { key: 3, ..record(Kind::Unstored, 7, 8, 9) };
        assert_eq!(written.to_string().parse::<Record>().unwrap(), written);
        assert!("get 1 2 3".parse::<Record>().is_err());
    }
}
