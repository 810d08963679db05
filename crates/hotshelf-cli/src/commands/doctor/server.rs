//! The version and the role of the server, and its persistence.

use std::time::Duration;

use super::{Facts, Finding};
use crate::output::{counted, duration};
use crate::server_info::ServerInfo;

/// The first version with RESP3, and so with reports of changes.
const OLDEST: (u32, u32) = (6, 0);

/// The oldest version that hotshelf is tested with.
const TESTED: (u32, u32) = (6, 2);

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let info = match &facts.info {
        Ok(info) => info,
        Err(refusal) => {
            let why = "neither the version nor the memory of the server is known";
            return refusal.finding("version", "INFO", why, "+info").into_iter().collect();
        }
    };
    if info.is_sentinel() {
        return vec![version(info), topology(info, facts.is_cluster)];
    }
    let mut findings = vec![version(info), topology(info, facts.is_cluster)];
    findings.extend(persistence(info, facts));
    findings.extend(rejected(info));
    findings
}

fn version(info: &ServerInfo) -> Finding {
    let product = info.product();
    match info.version() {
        Some(version) if version < OLDEST => Finding::fault(
            "version",
            product,
            "it has no RESP3: it reports no changes, and a near tier stays empty",
            "install Redis 7 or Valkey 8",
        ),
        Some(version) if version < TESTED => Finding::warning(
            "version",
            product,
            "hotshelf is tested with Redis 6.2 and later, and with Valkey",
            "install Redis 7 or Valkey 8",
        ),
        _ => Finding::ok("version", product),
    }
}

fn topology(info: &ServerInfo, is_cluster: bool) -> Finding {
    let is_node = info.text("cluster_enabled") == Some("1");
    let (role, servers) = (info.text("role").unwrap_or("unknown"), info.servers());
    if info.is_sentinel() {
        return Finding::fault(
            "topology",
            "a Sentinel, which holds no keys",
            "nothing can be stored on it",
            "use redis+sentinel://host:26379/service in the URL",
        );
    }
    if is_node && !is_cluster {
        return Finding::fault(
            "topology",
            "a node of a Cluster, used as a single server",
            "it holds only a part of the keys, and redirects calls for the others",
            "use redis+cluster:// in the URL",
        );
    }
    match role {
        "slave" => Finding::fault(
            "topology",
            "a read-only replica",
            "nothing is stored, and invalidations fail",
            "redis-cli ROLE   # shows the address of the primary: use it in the URL",
        ),
        _ if is_node => Finding::ok("topology", format!("a Cluster with {servers} primaries")),
        _ => Finding::ok("topology", format!("{role}, not in a Cluster")),
    }
}

fn persistence(info: &ServerInfo, facts: &Facts) -> Option<Finding> {
    let failed = |name| info.text(name).is_some_and(|status| status == "err");
    if failed("rdb_last_bgsave_status") {
        let stops = facts.setting("stop-writes-on-bgsave-error") != Some("no");
        let why = match stops {
            true => "the server refuses all writes until a snapshot succeeds",
            false => "a restart loses the entries since the last snapshot",
        };
        let cure = "redis-cli CONFIG SET save ''   # for a cache alone; otherwise free its disk";
        let finding = match stops {
            true => Finding::fault,
            false => Finding::warning,
        };
        return Some(finding(
            "persistence",
            "the last snapshot failed".to_owned(),
            why.to_owned(),
            cure.to_owned(),
        ));
    }
    if failed("aof_last_write_status") {
        return Some(Finding::fault(
            "persistence",
            "the last write to the append-only file failed",
            "the server refuses all writes until one succeeds",
            "redis-cli CONFIG SET appendonly no   # for a cache alone; otherwise free its disk",
        ));
    }
    info.text("aof_enabled").map(|aof| {
        let aof = if aof == "1" { "with" } else { "without" };
        let snapshots = if facts.setting("save") == Some("") { "are off" } else { "succeed" };
        Finding::ok("persistence", format!("{aof} an append-only file; snapshots {snapshots}"))
    })
}

fn rejected(info: &ServerInfo) -> Option<Finding> {
    let rejected = info.sum("rejected_connections");
    let uptime = Duration::from_secs(info.number("uptime_in_seconds").unwrap_or_default() as u64);
    (rejected > 0).then(|| {
        let connections = counted(rejected, "connection", "connections");
        let were = if rejected == 1 { "was" } else { "were" };
        Finding::warning(
            "clients",
            format!(
                "{connections} {were} rejected since the server started, {} ago",
                duration(uptime)
            ),
            "processes that aren't let in work without a cache",
            "redis-cli INFO clients   # where connected_clients is near maxclients, close unused \
             connections, or raise ulimit -n of the server and its maxclients, and restart it",
        )
    })
}
