//! Who can reach the server, and how it treats its clients.

use super::{Facts, Finding};

/// Timeouts below this close connections that a quiet service still needs, in seconds.
const SHORT: u64 = 60;

/// A limit below this closes connections that many reports or large values are sent to, in bytes.
const LOW: u64 = 1 << 20;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    if let Err(refusal) = facts.config {
        let why = "the password, timeouts and limits of the server are not checked";
        let rule = "'+config|get'   # for the time of the check";
        return refusal.finding("settings", "CONFIG GET", why, rule).into_iter().collect();
    }
    let mut findings = vec![password(facts)];
    findings.extend(timeout(facts));
    findings.extend(keepalive(facts));
    findings.extend(buffers(facts));
    findings
}

fn password(facts: &Facts) -> Finding {
    let bind = facts.setting("bind").unwrap_or_default();
    let is_public = facts.setting("port") != Some("0") && binds_publicly(bind);
    let has_password = facts.setting("requirepass").is_some_and(|it| !it.is_empty());
    let is_protected = facts.setting("protected-mode") == Some("yes");
    match (is_public, has_password) {
        (true, false) if !is_protected || !facts.is_local => Finding::fault(
            "password",
            "the server listens on all or public addresses, and its default user has no password",
            "everybody who can reach it can read, change and remove all entries, and run code",
            "redis-cli CONFIG SET requirepass SECRET   # or CONFIG SET bind 127.0.0.1",
        ),
        (true, false) => Finding::warning(
            "password",
            "the server listens on all or public addresses, in protected mode and without a password",
            "it lets nobody in but this machine; other machines need a password",
            "redis-cli CONFIG SET bind 127.0.0.1   # or CONFIG SET requirepass SECRET",
        ),
        (true, true) if !facts.has_tls && !facts.is_local => Finding::warning(
            "password",
            "it is needed, and sent without TLS",
            "it can be read on the way",
            "use rediss:// in the URL",
        ),
        (true, true) => Finding::ok("password", "it is needed"),
        (false, _) => Finding::ok("password", format!("the server listens on {bind:?} only")),
    }
}

/// Returns `true` if an address of a `bind` is that of all networks, or not of this machine.
fn binds_publicly(bind: &str) -> bool {
    let is_local = |address: &str| {
        let address = address.trim_start_matches('-');
        address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    bind.split_whitespace().next().is_none() || !bind.split_whitespace().all(is_local)
}

fn timeout(facts: &Facts) -> Option<Finding> {
    let seconds: u64 = facts.setting("timeout")?.parse().ok()?;
    Some(match seconds {
        1..SHORT => Finding::warning(
            "timeout",
            format!("connections are closed after {seconds} s without a command"),
            "a quiet service connects again and again, and its near tier is emptied each time",
            "redis-cli CONFIG SET timeout 0",
        ),
        0 => Finding::ok("timeout", "idle connections stay open"),
        _ => Finding::ok("timeout", format!("idle connections are closed after {seconds} s")),
    })
}

fn keepalive(facts: &Facts) -> Option<Finding> {
    let seconds: u64 = facts.setting("tcp-keepalive")?.parse().ok()?;
    Some(match seconds {
        0 => Finding::warning(
            "tcp_keepalive",
            "off",
            "the server keeps the connections of machines that are gone, until maxclients is reached",
            "redis-cli CONFIG SET tcp-keepalive 300",
        ),
        _ => Finding::ok("tcp_keepalive", format!("{seconds} s")),
    })
}

/// Checks the limits of what a client hasn't read: reports of changes count as `normal`, messages as
/// `pubsub`.
fn buffers(facts: &Facts) -> Vec<Finding> {
    let Some(setting) = facts.setting("client-output-buffer-limit") else { return Vec::new() };
    let words: Vec<&str> = setting.split_whitespace().collect();
    let limit = |class: &[&str; 4]| {
        let hard: u64 = class[1].parse().unwrap_or(0);
        let name = class[0];
        if hard == 0 || hard >= LOW {
            return None;
        }
        Some(Finding::warning(
            "output_buffers",
            format!("client-output-buffer-limit {name} is {hard} bytes"),
            "the server closes a connection that large values, reports or messages wait for",
            format!("redis-cli CONFIG SET client-output-buffer-limit '{name} 33554432 8388608 60'"),
        ))
    };
    let classes =
        words.as_chunks().0.iter().filter(|class| matches!(class[0], "normal" | "pubsub"));
    let low: Vec<Finding> = classes.filter_map(limit).collect();
    match low.is_empty() {
        true => vec![Finding::ok("output_buffers", "large enough")],
        false => low,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::super::probe::Refusal;
    use super::*;

    /// Returns the facts of a server with these settings.
    fn facts(settings: &[(&str, &str)], is_local: bool, has_tls: bool) -> Facts {
        let setting = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let config = Ok(settings.iter().map(setting).collect());
        Facts { info: Err(Refusal::Denied), config, is_cluster: false, has_tls, is_local }
    }

    #[test]
    fn public_server_needs_a_password() {
        let status = |bind, password, protected, is_local, has_tls| {
            let settings =
                [("bind", bind), ("requirepass", password), ("protected-mode", protected)];
            super::password(&facts(&settings, is_local, has_tls)).status
        };
        assert_eq!(status("* -::*", "", "no", true, false), Status::Fault);
        assert_eq!(status("* -::*", "", "yes", true, false), Status::Warning);
        assert_eq!(status("10.0.0.1", "", "no", false, true), Status::Fault);
        assert_eq!(status("10.0.0.1", "secret", "yes", false, false), Status::Warning);
        assert_eq!(status("10.0.0.1", "secret", "yes", false, true), Status::Ok);
        assert_eq!(status("127.0.0.1 -::1", "", "yes", true, false), Status::Ok);
    }

    #[test]
    fn low_limits_are_named() {
        let checks = |settings: &[(&str, &str)]| -> Vec<_> {
            let found = super::check(&facts(settings, true, false)).into_iter();
            found.filter(|it| it.status == Status::Warning).map(|it| it.check).collect()
        };
        let usual = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert!(checks(&[("bind", "127.0.0.1"), ("client-output-buffer-limit", usual)]).is_empty());
        let low = "normal 4096 0 0 slave 1 1 1 pubsub 0 0 0";
        let settings = [("bind", "::1"), ("client-output-buffer-limit", low), ("timeout", "5")];
        assert_eq!(checks(&settings), ["timeout", "output_buffers"]);
    }

    #[test]
    fn public_addresses_are_known() {
        for public in ["", "*", "* -::*", "0.0.0.0", "127.0.0.1 10.0.0.1"] {
            assert!(binds_publicly(public), "{public}");
        }
        for local in ["127.0.0.1", "127.0.0.1 -::1"] {
            assert!(!binds_publicly(local), "{local}");
        }
    }
}
