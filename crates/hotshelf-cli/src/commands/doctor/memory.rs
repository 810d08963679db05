//! Memory and evictions.

use super::{Facts, Finding};
use crate::output::{bytes, separated};
use crate::server_info::ServerInfo;

/// Above this share, fragmentation wastes memory; below this size it doesn't matter.
const FRAGMENTED: f64 = 1.8;
const SMALL: u64 = 128 << 20;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Ok(info) = &facts.info else { return Vec::new() };
    let mut findings = vec![policy(info), evictions(info)];
    findings.extend(fragmentation(info));
    findings
}

fn policy(info: &ServerInfo) -> Finding {
    let policy = info.text("maxmemory_policy").unwrap_or("unknown");
    let limit = info.sum("maxmemory");
    let used = bytes(info.sum("used_memory") as f64);
    if limit == 0 {
        // Half of one machine, in whole megabytes; a gigabyte, if its size isn't known. In a Cluster,
        // the cure sets it on each node.
        let megabytes = match info.number("total_system_memory").unwrap_or_default() as u64 >> 21 {
            0 => 1_024,
            half => half,
        };
        return Finding::warning(
            "memory",
            format!("{used} used, without a limit (maxmemory 0)"),
            "the system may kill the server when its memory is full, and all entries are lost",
            format!("redis-cli CONFIG SET maxmemory {megabytes}mb maxmemory-policy allkeys-lru"),
        );
    }
    let what = format!("{used} of {} used, {policy}", bytes(limit as f64));
    match policy {
        "noeviction" => Finding::fault(
            "memory",
            what,
            "when the memory is full, the server refuses writes: nothing is stored any more",
            "redis-cli CONFIG SET maxmemory-policy allkeys-lru",
        ),
        policy if policy.starts_with("volatile-") => Finding::ok(
            "memory",
            format!("{what}: keys with a time to live are evicted, as all of hotshelf's are"),
        ),
        policy if policy.starts_with("allkeys-") => {
            Finding::ok("memory", format!("{what}: any key may be evicted"))
        }
        _ => Finding::ok("memory", what),
    }
}

fn evictions(info: &ServerInfo) -> Finding {
    let (evicted, expired) = (info.sum("evicted_keys"), info.sum("expired_keys"));
    let (hits, misses) = (info.sum("keyspace_hits"), info.sum("keyspace_misses"));
    let what = format!("{} evicted, {} expired", separated(evicted), separated(expired));
    match evicted > expired && evicted > hits + misses {
        true => Finding::warning(
            "evictions",
            what,
            "more entries are evicted than read: the memory is too small for what is stored",
            "redis-cli CONFIG SET maxmemory SIZE   # `hotshelf sizes` shows what takes it",
        ),
        false => Finding::ok("evictions", what),
    }
}

fn fragmentation(info: &ServerInfo) -> Option<Finding> {
    let ratio = info.number("mem_fragmentation_ratio")?;
    let is_large = info.sum("used_memory") > SMALL;
    (is_large && ratio > FRAGMENTED).then(|| {
        Finding::warning(
            "fragmentation",
            format!("the process takes {ratio:.1} times the memory that it uses"),
            "memory beyond maxmemory is taken, and may be missing elsewhere",
            "redis-cli CONFIG SET activedefrag yes",
        )
    })
}
