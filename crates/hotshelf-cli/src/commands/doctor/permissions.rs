//! What the server and its ACL allow: each command that a cache sends is tried, on keys of the
//! doctor's own.

use super::Finding;
use super::cure::user_or_that_of;
use super::probe::{Probe, dry_run, not_renamed, probe, probed};
use super::unanswered::Unanswered;
use crate::failure::Failure;
use crate::session::Session;

const NEEDED: &str = "a cache reads, stores and invalidates by them";

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
    findings: &mut Vec<Finding>,
    unanswered: &mut Unanswered<'_>,
) -> Result<(), Failure> {
    let random = session.store.runtime().random();
    let key = format!("{prefix}:v1:doctor:{random:016x}");
    findings.push(Finding::ok(
        "user",
        user.map_or_else(|| "that of the URL: ACL WHOAMI is refused".to_owned(), str::to_owned),
    ));
    let url = session.redis_options.to_string();
    let user = user_or_that_of(user, &url);
    commands(session, user, &key, findings, unanswered).await?;
    findings.extend(unanswered.note("EVAL", scripts(session, &key).await).await?);
    findings.extend(unanswered.note("CLIENT", tracking(session, user).await).await?);
    Ok(())
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
async fn commands(
    session: &Session,
    user: &str,
    key: &str,
    findings: &mut Vec<Finding>,
    unanswered: &mut Unanswered<'_>,
) -> Result<(), Failure> {
    let (mut found, mut denied, mut is_complete) = (Vec::new(), Vec::new(), true);
    for command in needed(key) {
        let name = command[0];
        let Some(probe) = unanswered.note(name, probe(session, &command).await).await? else {
            is_complete = false;
            continue;
        };
        match probe {
            Probe::Allowed => {}
            // There is nothing to rename where SET is refused.
            Probe::Failed(error) if name == "RENAME" && error.contains("no such key") => {}
            Probe::Denied if name != "UNLINK" => denied.push(name),
            Probe::Denied | Probe::Unknown => found.push(refused(name, &probe)),
            Probe::DeniedKey => {
                found.push(Finding::warning(
                    "keys",
                    format!("the user {user} may not access keys such as {key}"),
                    "what it may do with its own keys is not checked",
                    "hotshelf doctor --prefix PREFIX   # that of a cache",
                ));
                is_complete = false;
                break;
            }
            Probe::Failed(error) => {
                found.push(Finding::fault(
                    "commands",
                    format!("{name} fails: {error}"),
                    "a cache can't work without it",
                    "mend what the other findings name, and run this again",
                ));
                break;
            }
        }
    }
    let (for_large, denied): (Vec<_>, Vec<_>) =
        denied.into_iter().partition(|name| FOR_LARGE.contains(name));
    if !denied.is_empty() {
        let (what, cure) = grant(&denied);
        let cure = format!("{cure}   # SECURITY.md lists all");
        found.push(Finding::fault("commands", what, NEEDED, cure));
    }
    if !for_large.is_empty() {
        let (what, cure) = grant(&for_large);
        found.push(Finding::warning("commands", what, WITHOUT_RENAMING, cure));
    }
    if is_complete && found.iter().all(|finding| finding.check != "commands") {
        found.insert(0, Finding::ok("commands", "reading, writing and removing are allowed"));
    }
    findings.extend(found);
    Ok(())
}

/// Returns the commands that are tried. The ACL judges the calls of scripts like those of clients.
/// What `SETRANGE` creates, expires.
fn needed(key: &str) -> Vec<Vec<&str>> {
    vec![
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
    ]
}

/// Returns the finding for a command that the server doesn't know, or for `UNLINK`.
fn refused(name: &str, probe: &Probe) -> Finding {
    if name == "UNLINK" {
        let cure = match probe {
            Probe::Denied => "redis-cli ACL SETUSER {user} +unlink".to_owned(),
            _ => not_renamed(name),
        };
        let why = "DEL is used instead, which may block the server for large values";
        return Finding::warning("unlink", "UNLINK is refused", why, cure);
    }
    let what = format!("the server doesn't know {name}");
    match FOR_LARGE.contains(&name) {
        true => Finding::warning("commands", what, WITHOUT_RENAMING, not_renamed(name)),
        false => Finding::fault("commands", what, NEEDED, not_renamed(name)),
    }
}

/// Returns what is denied, and the cure.
fn grant(denied: &[&str]) -> (String, String) {
    let rules: Vec<String> =
        denied.iter().map(|name| format!("+{}", name.to_lowercase())).collect();
    let cure = format!("redis-cli ACL SETUSER {{user}} {}", rules.join(" "));
    (format!("the ACL denies {}", denied.join(", ")), cure)
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
            Some(_) if probe(session, &["CLIENT", "ID"]).await? == Probe::Unknown => {
                let what = "the server doesn't know CLIENT";
                return Ok(Finding::warning("tracking", what, WHY, not_renamed("CLIENT")));
            }
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
