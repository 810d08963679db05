//! Samples of keys, by the cache that they belong to.

use std::collections::BTreeMap;

use bytes::Bytes;
use hotshelf_redis::Reply;

use crate::failure::{Failure, denies_key};
use crate::key_scan::Step;
use crate::names::Group;
use crate::session::Session;

/// The number of commands in one round trip.
const AT_ONCE: usize = 500;

/// How many keys are looked at.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct SampleArguments {
    /// The number of keys to scan; 0 for all
    #[arg(long, value_name = "KEYS", default_value_t = 1_000_000)]
    pub(crate) scan: u64,
    /// The number of keys of each cache to measure
    #[arg(long, value_name = "KEYS", default_value_t = 200)]
    pub(crate) sample: usize,
}

/// The keys of one cache.
#[derive(Debug, Default)]
pub(crate) struct Sampled {
    /// The number of keys that were scanned.
    pub(crate) count: u64,
    /// Some of them, each as likely as the others.
    pub(crate) keys: Vec<Bytes>,
}

/// The result of a scan.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) groups: BTreeMap<Group, Sampled>,
    pub(crate) scanned: u64,
    pub(crate) total: u64,
    /// Whether all keys were scanned.
    pub(crate) is_complete: bool,
}

impl Sample {
    /// Scans keys, and keeps `kept` of each cache.
    ///
    /// A server returns keys in the order of their hashes, so that the first ones are a sample of
    /// all.
    pub(crate) async fn take(session: &Session, limit: u64, kept: usize) -> Result<Self, Failure> {
        let mut scan = session.scan("*").await?;
        let mut groups: BTreeMap<Group, Sampled> = BTreeMap::new();
        let mut is_complete = false;
        while limit == 0 || scan.scanned < limit {
            let keys = match scan.next().await? {
                Step::Keys(keys) => keys,
                Step::Restarted => {
                    groups.clear();
                    continue;
                }
                Step::End => {
                    is_complete = true;
                    break;
                }
            };
            for key in keys {
                let group = groups.entry(Group::of(&key)).or_default();
                group.count += 1;
                if group.keys.len() < kept {
                    group.keys.push(key);
                } else if kept > 0 {
                    let at = session.store.runtime().random() % group.count;
                    if let Some(one) = group.keys.get_mut(at as usize) {
                        *one = key;
                    }
                }
            }
        }
        let (scanned, total) = (scan.scanned, scan.total);
        Ok(Self { groups, scanned, total, is_complete })
    }

    /// Returns how many keys of the server stand for one that was scanned.
    pub(crate) fn scale(&self) -> f64 {
        match self.is_complete || self.scanned == 0 {
            true => 1.0,
            false => (self.total as f64 / self.scanned as f64).max(1.0),
        }
    }
}

/// The numbers in the replies to a command for each of some keys.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    /// One for each key; `None` for a key that is gone, or that the ACL denies.
    pub(crate) all: Vec<Option<f64>>,
    /// The number of keys that the ACL denies.
    pub(crate) skipped: usize,
}

impl Numbers {
    /// Returns those of the keys that could be measured.
    pub(crate) fn known(&self) -> Vec<f64> {
        self.all.iter().copied().flatten().collect()
    }

    /// Returns `true` if the ACL denies all keys.
    pub(crate) fn are_denied(&self) -> bool {
        self.skipped > 0 && self.all.iter().all(Option::is_none)
    }
}

/// Sends a command for each key, and returns the numbers in the replies.
pub(crate) async fn numbers(
    session: &Session,
    command: &[&str],
    keys: &[Bytes],
) -> Result<Numbers, Failure> {
    let mut numbers = Numbers::default();
    for keys in keys.chunks(AT_ONCE) {
        let of_key = |key: &Bytes| -> Vec<Bytes> {
            let words = command.iter().map(|word| Bytes::copy_from_slice(word.as_bytes()));
            words.chain([key.clone()]).collect()
        };
        let commands: Vec<Vec<Bytes>> = keys.iter().map(of_key).collect();
        for reply in session.pipeline(&commands).await? {
            numbers.all.push(match reply {
                Reply::Nil => None,
                Reply::Error(error) if denies_key(&error) => {
                    numbers.skipped += 1;
                    None
                }
                reply => Some(reply.double()?),
            });
        }
    }
    Ok(numbers)
}

/// The mean of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Mean {
    pub(crate) mean: f64,
    /// Half of the interval that holds the true mean with a probability of 95 %.
    pub(crate) error: f64,
}

impl Mean {
    /// Returns the mean of some of `count` values.
    pub(crate) fn of(values: &[f64], count: u64) -> Self {
        let number = values.len() as f64;
        if values.is_empty() {
            return Self::default();
        }
        let mean = values.iter().sum::<f64>() / number;
        if values.len() as u64 >= count {
            return Self { mean, error: 0.0 };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let variance = squares / (number - 1.0).max(1.0);
        Self { mean, error: 1.96 * (variance / number).sqrt() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_have_errors() {
        assert_eq!(Mean::of(&[], 0), Mean { mean: 0.0, error: 0.0 });
        assert_eq!(Mean::of(&[1.0, 3.0], 2), Mean { mean: 2.0, error: 0.0 });
        let sampled = Mean::of(&[1.0, 3.0, 1.0, 3.0], 1_000);
        assert_eq!(sampled.mean, 2.0);
        assert!((1.0..1.2).contains(&sampled.error), "{sampled:?}");
    }
}
