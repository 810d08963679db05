//! What the server and its ACL allow: each command that a cache sends is tried, on keys of the
//! doctor's own.

use super::Finding;
use super::cure::user_of;
use super::probe::{Probe, dry_run, probe, probed};
use crate::failure::Failure;
use crate::session::Session;

/// The commands by which large values are stored, unless they are refused.
const FOR_LARGE: [&str; 2] = ["EXISTS", "RENAME"];
const WITHOUT_RENAMING: &str =
    "large values are arguments of a script instead, which the server copies and hashes";

/// A script that no server knows, for `EVALSHA`.
const UNKNOWN_SCRIPT: &str = "0000000000000000000000000000000000000000";

pub(super) async fn check(
    session: &Session,
    user: Option<&str>,
    prefix: &str,
) -> Result<Vec<Finding>, Failure> {
    let random = session.store.runtime().random();
    let key = format!("{prefix}:v1:doctor:{random:016x}");
    let mut findings = vec![Finding::ok(
        "user",
        user.map_or_else(|| "that of the URL: ACL WHOAMI is denied".to_owned(), str::to_owned),
    )];
    let url = session.redis_options.to_string();
    let user = user.or_else(|| user_of(&url)).unwrap_or("default");
    findings.extend(commands(session, user, &key).await?);
    findings.push(scripts(session, &key).await?);
    findings.push(tracking(session, user).await?);
    Ok(findings)
}

/// Returns the user of the connection; `None` if the server doesn't tell.
pub(super) async fn user(session: &Session) -> Result<Option<String>, Failure> {
    match session.send(&["ACL", "WHOAMI"]).await {
        Ok(reply) => {
            let name = reply.bytes()?;
            Ok(name.map(|name| String::from_utf8_lossy(&name).into_owned()))
        }
        Err(error) => probed(&error).map_or_else(|| Err(error.into()), |_| Ok(None)),
    }
}

/// Tries the commands that every cache sends, and those of single features.
async fn commands(session: &Session, user: &str, key: &str) -> Result<Vec<Finding>, Failure> {
    // The ACL judges the calls of scripts like those of clients. What SETRANGE creates, expires.
    let needed = [
        vec!["SET", key, "1", "PX", "1000"],
        vec!["GET", key],
        vec!["MGET", key],
        vec!["PTTL", key],
        vec!["STRLEN", key],
        vec!["GETRANGE", key, "-1", "-1"],
        vec!["SETRANGE", key, "0", "1"],
        vec!["PEXPIRE", key, "1000"],
        vec!["EXISTS", key],
        vec!["RENAME", key, key],
        vec!["DEL", key],
        vec!["UNLINK", key],
        vec!["SCAN", "0", "COUNT", "1"],
    ];
    let mut denied = Vec::new();
    let mut denied_for_large = Vec::new();
    let mut findings = Vec::new();
    let mut is_complete = true;
    for command in &needed {
        let name = command[0];
        match probe(session, command).await? {
            Probe::Allowed => {}
            refused @ (Probe::Denied | Probe::Unknown) if name == "UNLINK" => {
                let cure = match refused {
                    Probe::Denied => "redis-cli ACL SETUSER {user} +unlink".to_owned(),
                    _ => not_renamed(name),
                };
                findings.push(Finding::warning(
                    "unlink",
                    "UNLINK is refused",
                    "DEL is used instead, which may block the server for large values",
                    cure,
                ));
            }
            Probe::Denied if FOR_LARGE.contains(&name) => denied_for_large.push(name),
            Probe::Denied => denied.push(name),
            // There is nothing to rename where SET is refused.
            Probe::Failed(error) if name == "RENAME" && error.contains("no such key") => {}
            Probe::DeniedKey => {
                findings.push(Finding::warning(
                    "keys",
                    format!("the user {user} may not access keys such as {key}"),
                    "what it may do with its own keys is not checked",
                    "hotshelf doctor --prefix PREFIX   # that of a cache",
                ));
                is_complete = false;
                break;
            }
            Probe::Unknown if FOR_LARGE.contains(&name) => findings.push(Finding::warning(
                "commands",
                format!("the server doesn't know {name}"),
                WITHOUT_RENAMING,
                not_renamed(name),
            )),
            Probe::Unknown => findings.push(missing(name)),
            Probe::Failed(error) => {
                findings.push(Finding::fault(
                    "commands",
                    format!("{name} fails: {error}"),
                    "a cache can't work without it",
                    "mend what the other findings name, and run this again",
                ));
                break;
            }
        }
    }
    if !denied.is_empty() {
        let (what, cure) = grant(&denied);
        let why = "a cache reads, stores and invalidates by them";
        let cure = format!("{cure}   # SECURITY.md lists all");
        findings.push(Finding::fault("commands", what, why, cure));
    }
    if !denied_for_large.is_empty() {
        let (what, cure) = grant(&denied_for_large);
        findings.push(Finding::warning("commands", what, WITHOUT_RENAMING, cure));
    }
    if is_complete && findings.iter().all(|finding| finding.check != "commands") {
        findings.insert(0, Finding::ok("commands", "reading, writing and removing are allowed"));
    }
    Ok(findings)
}

/// Returns what is denied, and the cure.
fn grant(denied: &[&str]) -> (String, String) {
    let rules: Vec<String> =
        denied.iter().map(|name| format!("+{}", name.to_lowercase())).collect();
    let cure = format!("redis-cli ACL SETUSER {{user}} {}", rules.join(" "));
    (format!("the ACL denies {}", denied.join(", ")), cure)
}

fn missing(name: &str) -> Finding {
    Finding::fault(
        "commands",
        format!("the server doesn't know {name}"),
        "a cache reads, stores and invalidates by it",
        not_renamed(name),
    )
}

fn not_renamed(name: &str) -> String {
    format!("remove `rename-command {name} …` from redis.conf, and restart the server")
}

async fn scripts(session: &Session, key: &str) -> Result<Finding, Failure> {
    const WHY: &str = "leases and fills are scripts: values are read, and never stored";
    let calls = [
        ("EVALSHA", vec!["EVALSHA", UNKNOWN_SCRIPT, "1", key]),
        ("EVAL", vec!["EVAL", "return 1", "1", key]),
    ];
    for (name, call) in &calls {
        match probe(session, call).await? {
            Probe::Allowed | Probe::DeniedKey => {}
            Probe::Denied => {
                let cure = "redis-cli ACL SETUSER {user} +eval +evalsha";
                return Ok(Finding::fault("scripts", format!("the ACL denies {name}"), WHY, cure));
            }
            Probe::Unknown => {
                let what = format!("the server doesn't know {name}");
                return Ok(Finding::fault("scripts", what, WHY, not_renamed(name)));
            }
            Probe::Failed(error) => {
                let cure = "mend what the other findings name, and run this again";
                return Ok(Finding::fault("scripts", format!("{name} fails: {error}"), WHY, cure));
            }
        }
    }
    Ok(Finding::ok("scripts", "EVAL and EVALSHA are allowed"))
}

/// Checks that the server reports changes, which this connection has asked for.
async fn tracking(session: &Session, user: &str) -> Result<Finding, Failure> {
    const TRACKING: &str = "CLIENT TRACKING";
    const CACHING: &str = "CLIENT CACHING";
    const WHY: &str = "callers that wait for another process poll, and a near tier stays empty";
    let denied = |names: &[&str]| {
        let what = format!("the ACL denies {}", names.join(", "));
        let cure = "redis-cli ACL SETUSER {user} '+client|tracking' '+client|caching'";
        Finding::fault("tracking", what, WHY, cure)
    };
    let (mut refused, mut is_known) = (Vec::new(), true);
    for (name, command) in [
        (TRACKING, &["CLIENT", "TRACKING", "ON", "OPTIN"][..]),
        (CACHING, &["CLIENT", "CACHING", "YES"]),
    ] {
        match dry_run(session, user, command).await? {
            Some(true) => {}
            Some(false) => refused.push(name),
            None => is_known = false,
        }
    }
    if !refused.is_empty() {
        return Ok(denied(&refused));
    }
    let is_tracking = has_no_limitation(session).await?;
    let flags = match session.send(&["CLIENT", "TRACKINGINFO"]).await {
        Ok(reply) => tracking_flags(reply),
        Err(error) => match probed(&error) {
            None => return Err(error.into()),
            // A user of SECURITY.md has `client|tracking` alone.
            Some(Probe::Denied) if is_tracking => {
                return Ok(Finding::ok("tracking", "not denied; CLIENT TRACKINGINFO is"));
            }
            Some(Probe::Denied) => Vec::new(),
            Some(_) => {
                let cure = "install Redis 7 or Valkey 8";
                let what = "the server doesn't know CLIENT TRACKINGINFO";
                return Ok(Finding::warning("tracking", what, WHY, cure));
            }
        },
    };
    let is_on = flags.iter().any(|flag| flag == "on");
    if is_on && is_tracking {
        return Ok(Finding::ok("tracking", "changes of keys are reported"));
    }
    if session.url.contains("protocol=2") {
        // Over RESP2 there are no reports.
        let cure = "remove `protocol=2` from the URL";
        return Ok(Finding::warning("tracking", "changes of keys are not reported", WHY, cure));
    }
    if is_known {
        let cure = "use RESP3: connect to the server itself, without a proxy";
        return Ok(Finding::warning("tracking", "changes of keys are not reported", WHY, cure));
    }
    Ok(denied(&[if is_on { CACHING } else { TRACKING }]))
}

/// Returns `true` if the connection knows of no reason why changes aren't reported.
async fn has_no_limitation(session: &Session) -> Result<bool, Failure> {
    match session.store.info().await {
        Ok(info) => Ok(!info.limitations.iter().any(|it| it.contains("key changes"))),
        Err(error) => probed(&error).map_or_else(|| Err(error.into()), |_| Ok(false)),
    }
}

fn tracking_flags(reply: hotshelf_redis::Reply) -> Vec<String> {
    use hotshelf_redis::Reply;

    let text = |reply: Reply| reply.bytes().ok().flatten();
    let text = |reply| text(reply).map(|it| String::from_utf8_lossy(&it).into_owned());
    let pairs = match reply {
        Reply::Map(pairs) => pairs,
        Reply::Array(items) => {
            let mut items = items.into_iter();
            std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect()
        }
        _ => Vec::new(),
    };
    let flags = pairs.into_iter().find(|(name, _)| text(name.clone()).as_deref() == Some("flags"));
    let flags = flags.and_then(|(_, flags)| flags.array().ok()).unwrap_or_default();
    flags.into_iter().filter_map(text).collect()
}
