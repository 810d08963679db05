//! Replication settings and state.

use std::io;

use crate::RedisServer;

/// Replication from disk: without it a replica counts as online up to a second before it is
/// sent changes. The file is deleted after its use, so that a restarted server is empty.
pub(crate) const SETTINGS: [&str; 4] =
    ["--repl-diskless-sync", "no", "--rdb-del-sync-files", "yes"];

/// Checks that the replica has the primary's data and receives every change. The state of the
/// replica is not enough: the primary may not know it yet.
pub(crate) fn replicates(replica: &RedisServer, primary: &RedisServer) -> io::Result<()> {
    let state = replica.execute("INFO replication")?.to_text();
    let has = |line: &str| state.lines().any(|other| other == line);
    let follows = has("role:slave")
        && has(&format!("master_port:{}", primary.port()))
        && has("master_link_status:up");
    let online = format!("port={},state=online", replica.port());
    if follows && primary.execute("INFO replication")?.to_text().contains(&online) {
        return Ok(());
    }
    Err(io::Error::other(format!("{replica:?} does not replicate from {primary:?}")))
}
