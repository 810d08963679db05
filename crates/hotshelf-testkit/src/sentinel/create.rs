//! Creation of Sentinels and their servers.

use std::fmt::Write;
use std::io;

use super::{Passwords, RedisSentinels, SERVICE, TIMEOUT};
use crate::RedisServer;
use crate::redis_server::{REDIS, ServerDir};
use crate::replication::{self, replicates};
use crate::wait::{in_parallel, wait_for};

const REPLICAS: usize = 2;
const SENTINELS: usize = 3;
const FILE: &str = "sentinel.conf";

pub(super) fn outdated(port: u16) -> io::Result<RedisServer> {
    let monitor = format!(
        "sentinel monitor {SERVICE} 127.0.0.1 {port} 2\n\
         sentinel down-after-milliseconds {SERVICE} 60000\n"
    );
    start_sentinel(&monitor, None)
}

pub(super) fn create(passwords: Passwords<'_>) -> io::Result<RedisSentinels> {
    let servers = start_servers(passwords.server)?;
    let monitor = monitor(&servers[0], passwords.server);
    let start = || start_sentinel(&monitor, passwords.sentinel);
    let sentinels = in_parallel([start; SENTINELS])?;
    let all = RedisSentinels { servers, sentinels };
    all.try_wait_until_ok()?;
    Ok(all)
}

/// Sets short periods for polling and publishing. A Sentinel loses these settings when it
/// ends.
pub(super) fn speed_up(sentinel: &RedisServer) -> io::Result<()> {
    // A Sentinel that was delayed by a busy machine stops all work, by default for half a
    // minute.
    let tilt = "TILT-PERIOD 1000";
    let periods = "INFO-PERIOD 200 PUBLISH-PERIOD 200 PING-PERIOD 200 ASK-PERIOD 200";
    sentinel.execute(&format!("SENTINEL DEBUG {periods} {tilt}"))?;
    Ok(())
}

/// Starts the primary and its replicas. The first poll of a Sentinel finds only replicas that
/// are already connected.
fn start_servers(password: Option<&str>) -> io::Result<Vec<RedisServer>> {
    let mut arguments = replication::SETTINGS.to_vec();
    if let Some(password) = password {
        arguments.extend(["--requirepass", password, "--masterauth", password]);
    }
    let primary = RedisServer::start_with(&arguments)?;
    let address = format!("127.0.0.1 {}", primary.port());
    arguments.extend(["--replicaof", &address]);
    let start = || {
        let replica = RedisServer::start_with(&arguments)?;
        wait_for("a replica", TIMEOUT, || replicates(&replica, &primary))?;
        Ok(replica)
    };
    let replicas = in_parallel([start; REPLICAS])?;
    Ok([primary].into_iter().chain(replicas).collect())
}

fn monitor(primary: &RedisServer, password: Option<&str>) -> String {
    let mut text = format!(
        "sentinel resolve-hostnames no\n\
         sentinel monitor {SERVICE} 127.0.0.1 {} {}\n\
         sentinel down-after-milliseconds {SERVICE} 500\n\
         sentinel failover-timeout {SERVICE} 2000\n\
         sentinel parallel-syncs {SERVICE} 1\n",
        primary.port(),
        SENTINELS / 2 + 1,
    );
    if let Some(password) = password {
        let _ = writeln!(text, "sentinel auth-pass {SERVICE} {password}");
    }
    text
}

fn start_sentinel(monitor: &str, password: Option<&str>) -> io::Result<RedisServer> {
    let server_dir = ServerDir::new()?;
    let mut text = String::new();
    for (name, value) in server_dir.settings() {
        let _ = writeln!(text, "{name} {value}");
    }
    if let Some(password) = password {
        let _ = writeln!(text, "requirepass {password}");
    }
    server_dir.write(FILE, &(text + monitor))?;
    let line = [FILE, "--sentinel"].map(str::to_owned).to_vec();
    let sentinel = RedisServer::launch(server_dir, REDIS.as_ref(), line, password)?;
    speed_up(&sentinel)?;
    Ok(sentinel)
}
