//! How replicas follow their primary.

use std::io;

use crate::RedisServer;

/// From disk, because a replica that is fed without it counts as online up to a second
/// before it is sent changes. The file doesn't outlast the use, so that a server that comes
/// back is empty.
pub(crate) const SETTINGS: [&str; 4] =
    ["--repl-diskless-sync", "no", "--rdb-del-sync-files", "yes"];

/// Succeeds if the replica has the primary's data and is sent every change. The replica's
/// own word isn't enough: the primary may not know yet.
pub(crate) fn replicates(replica: &RedisServer, primary: &RedisServer) -> io::Result<()> {
    let state = replica.order("INFO replication")?.to_text();
    let has = |line: &str| state.lines().any(|other| other == line);
    let follows = has("role:slave")
        && has(&format!("master_port:{}", primary.port()))
        && has("master_link_status:up");
    let online = format!("port={},state=online", replica.port());
    if follows && primary.order("INFO replication")?.to_text().contains(&online) {
        return Ok(());
    }
    Err(io::Error::other(format!("{replica:?} doesn't replicate from {primary:?}")))
}
