//! The URL, the connection, its latency, and the server's clock.

use std::net::IpAddr;
use std::time::Duration;

use hotshelf_core::ErrorKind;

use super::Finding;
use super::probe::{Refusal, not_renamed, probed, refusal};
use crate::failure::Failure;
use crate::output::{duration, separated};
use crate::session::Session;

const PINGS: usize = 20;

/// Above this time, each hit takes long.
const SLOW: Duration = Duration::from_millis(5);

/// Above this difference, logs and times of entries are hard to compare.
const CLOCKS: Duration = Duration::from_secs(5);

/// Returns whether the URL asks for TLS, and whether it names this machine.
pub(super) fn place(session: &Session) -> (bool, bool) {
    let url = session.redis_options.to_string();
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let hosts = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
    let hosts = hosts.split('/').next().unwrap_or_default();
    let is_local = scheme == "unix" || hosts.split(',').all(is_loopback);
    (scheme.starts_with("rediss"), is_local)
}

fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn url(session: &Session) -> Finding {
    let url = session.redis_options.to_string();
    match place(session) {
        (false, false) => Finding::warning(
            "url",
            format!("{url}, without TLS"),
            "passwords and values cross the network in the clear, unless it is encrypted otherwise",
            "use rediss:// in the URL",
        ),
        _ => Finding::ok("url", url),
    }
}

pub(super) async fn reach(session: &Session) -> Finding {
    let Err(error) = session.send(&["PING"]).await else {
        return Finding::ok("connection", "the server answers");
    };
    let (what, cure) = match error.kind() {
        ErrorKind::Authentication => ("the server refuses the credentials", "redis-cli ACL LIST"),
        ErrorKind::Loading => ("the server is loading its data", "redis-cli INFO persistence"),
        // It answers, and the other checks say what else it denies.
        ErrorKind::Permission => {
            return Finding::ok("connection", "the server answers, and denies PING");
        }
        _ => ("the server can't be reached", "redis-cli PING"),
    };
    let why = error.with_causes();
    Finding::fault("connection", what, why, format!("{cure}   # and check the URL"))
}

pub(super) async fn latency(session: &Session) -> Result<Finding, Failure> {
    let runtime = session.store.runtime();
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let began = runtime.now();
        match session.send(&["PING"]).await {
            // A denied PING is a round trip, too.
            Err(error) if probed(&error).is_none() => return Err(error.into()),
            _ => {}
        }
        times.push(runtime.now().since(began));
    }
    times.sort_unstable();
    let (min, median, max) = (times[0], times[PINGS / 2], times[PINGS - 1]);
    let [shown_min, shown_median, shown_max] = [min, median, max].map(duration);
    let what = format!("min {shown_min}, median {shown_median}, max {shown_max} of {PINGS} pings");
    Ok(match median < SLOW {
        true => Finding::ok("latency", what),
        false => Finding::warning(
            "latency",
            what,
            "each hit takes a round trip, and a read is given up after 100 ms by default",
            "redis-cli --latency   # move the server nearer to the application, or use a near tier",
        ),
    })
}

pub(super) async fn slow_log(session: &Session) -> Result<Option<Finding>, Failure> {
    let length = match session.command(&["SLOWLOG", "LEN"]).await {
        Ok(reply) => reply.count()?,
        Err(Failure::Server(error)) if refusal(&error).is_some() => return Ok(None),
        Err(failure) => return Err(failure),
    };
    Ok(Some(match length {
        0 => Finding::ok("slow_log", "no slow commands"),
        _ => Finding::warning(
            "slow_log",
            format!("{} slow commands", separated(length)),
            "while the server executes one, all other calls wait",
            "redis-cli SLOWLOG GET 10   # shows them; avoid such commands, then SLOWLOG RESET",
        ),
    }))
}

pub(super) async fn clock(session: &Session) -> Result<Finding, Failure> {
    let runtime = session.store.runtime();
    let (before, began) = (session.terminal.time(), runtime.now());
    let server = match session.time().await {
        Ok(server) => Duration::from_millis(server),
        Err(Failure::Server(error)) if refusal(&error).is_some() => {
            let (what, cure) = match refusal(&error) {
                Some(Refusal::Unknown) => ("the server doesn't know TIME", not_renamed("TIME")),
                _ => ("TIME is denied", "redis-cli ACL SETUSER {user} +time".to_owned()),
            };
            let why = "scripts ask for the time: nothing is stored";
            return Ok(Finding::fault("clock", what, why, cure));
        }
        Err(failure) => return Err(failure),
    };
    let here = before + runtime.now().since(began) / 2;
    let difference = server.abs_diff(here);
    let what = format!("{} apart from this machine's", duration(difference));
    Ok(match difference < CLOCKS {
        true => Finding::ok("clock", what),
        false => Finding::warning(
            "clock",
            what,
            "the cache works by the server's clock alone, but times in logs can't be compared",
            "timedatectl set-ntp true, on both machines",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_known() {
        for local in ["127.0.0.1:6379", "localhost:6379", "[::1]:6379", "127.0.0.2"] {
            assert!(is_loopback(local), "{local}");
        }
        for other in ["10.0.0.1:6379", "cache.example:6379", "[2001:db8::1]:6379", ""] {
            assert!(!is_loopback(other), "{other}");
        }
    }
}
