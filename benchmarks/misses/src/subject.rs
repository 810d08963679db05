//! What is measured, each in its own process.

use std::error::Error;
use std::process::Command;

use crate::load::{Cost, Load};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// `GET`, which finds nothing, and then `SET`.
    GetSet,
    /// The same with a time to live.
    GetSetExpiry,
    /// `get_or_insert_with`, of an entry with this number of tags.
    Miss(usize),
    /// `get` of an entry with this number of tags.
    Hit(usize),
}

pub(crate) const SUBJECTS: [Subject; 9] = [
    Subject::GetSet,
    Subject::GetSetExpiry,
    Subject::Miss(0),
    Subject::Miss(2),
    Subject::Miss(8),
    Subject::Miss(32),
    Subject::Hit(0),
    Subject::Hit(8),
    Subject::Hit(32),
];

impl Subject {
    pub(crate) fn name(self) -> String {
        match self {
            Self::GetSet => "GET + SET".into(),
            Self::GetSetExpiry => "GET + SET, expiring".into(),
            Self::Miss(0) => "miss".into(),
            Self::Miss(tags) => format!("miss, {tags} tags"),
            Self::Hit(0) => "hit".into(),
            Self::Hit(tags) => format!("hit, {tags} tags"),
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self, Box<dyn Error>> {
        let found = SUBJECTS.into_iter().find(|subject| subject.name() == name);
        Ok(found.ok_or("unknown subject")?)
    }

    /// The number of tags of an entry.
    pub(crate) fn tags(self) -> usize {
        match self {
            Self::Miss(tags) | Self::Hit(tags) => tags,
            Self::GetSet | Self::GetSetExpiry => 0,
        }
    }

    /// Returns the arguments with which [`crate::main`] runs it.
    pub(crate) fn arguments(self, port: u16, load: Load) -> Vec<String> {
        let Load { callers, calls } = load;
        let words = ["run".to_owned(), self.name()];
        let numbers = [port.into(), callers, calls].map(|number: usize| number.to_string());
        words.into_iter().chain(numbers).collect()
    }

    /// Runs it in its own process.
    pub(crate) fn measure(self, port: u16, load: Load) -> Result<Cost, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?);
        let output = process.args(self.arguments(port, load)).output()?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} failed: {error}", self.name()).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
