//! `hotshelf doctor`.

mod connection;
mod cure;
mod exposure;
mod memory;
mod permissions;
mod probe;
mod server;
mod unanswered;

use std::collections::HashMap;

use cure::Target;
use probe::Refusal;
use serde::Serialize;
use unanswered::Unanswered;

use crate::failure::{DONE, Failure, NOT_FOUND, SERVER};
use crate::output::{Color, counted, escape_line};
use crate::server_info::ServerInfo;
use crate::session::Session;

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArguments {
    /// The prefix of the keys that are tried, for a user whose ACL allows only some
    #[arg(long, default_value = "hotshelf-doctor")]
    prefix: String,
}

/// What was checked, and what came of it.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    /// A name that doesn't change.
    check: &'static str,
    status: Status,
    what: String,
    /// Why it matters; `None` where nothing is wrong.
    why: Option<String>,
    /// A command, or another step.
    cure: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warning,
    Fault,
}

#[derive(Serialize)]
struct Diagnosis {
    address: String,
    faults: usize,
    warnings: usize,
    findings: Vec<Finding>,
}

/// What the checks read together.
struct Facts {
    /// The reply to `INFO`.
    info: Result<ServerInfo, Refusal>,
    /// The replies to `CONFIG GET`, which many services refuse.
    config: Result<HashMap<String, String>, Refusal>,
    /// Whether the URL is that of a Cluster.
    is_cluster: bool,
    has_tls: bool,
    /// Whether the URL names this machine, or a Unix socket.
    is_local: bool,
}

impl Finding {
    fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, status: Status::Ok, what: what.into(), why: None, cure: None }
    }

    fn warning(
        check: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        let (why, cure) = (Some(why.into()), Some(cure.into()));
        Self { check, status: Status::Warning, what: what.into(), why, cure }
    }

    fn fault(
        check: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { status: Status::Fault, ..Self::warning(check, what, why, cure) }
    }
}

impl Facts {
    /// Returns a setting of the server.
    fn setting(&self, name: &str) -> Option<&str> {
        self.config.as_ref().ok()?.get(name).map(String::as_str)
    }
}

pub(crate) async fn run(arguments: &DoctorArguments, session: &Session) -> Result<u8, Failure> {
    let mut findings = vec![connection::url(session)];
    let mut user = None;
    let reached = connection::reach(session).await;
    let is_reached = reached.status == Status::Ok;
    findings.push(reached);
    if is_reached {
        let mut unanswered = Unanswered::new(session);
        let prefix = &arguments.prefix;
        match examine(session, prefix, &mut user, &mut findings, &mut unanswered).await {
            // What was found so far is shown.
            Err(Failure::Server(_)) if unanswered.is_over => {}
            done => done?,
        }
        if let Some(fault) = unanswered.finding(session.redis.is_cluster()) {
            findings[1] = fault;
        }
    }
    let target = Target::new(session, user.as_deref());
    for cure in findings.iter_mut().filter_map(|finding| finding.cure.as_mut()) {
        *cure = target.fill(cure);
    }
    let count = |status| findings.iter().filter(|it| it.status == status).count();
    let (faults, warnings) = (count(Status::Fault), count(Status::Warning));
    let address = session.redis_options.to_string();
    let diagnosis = Diagnosis { address, faults, warnings, findings };
    session.show(&diagnosis, || text(&diagnosis, session))?;
    Ok(match (is_reached, faults) {
        (false, _) => SERVER,
        (true, 0) => DONE,
        (true, _) => NOT_FOUND,
    })
}

/// Checks a server that answers.
async fn examine(
    session: &Session,
    prefix: &str,
    user: &mut Option<String>,
    findings: &mut Vec<Finding>,
    unanswered: &mut Unanswered<'_>,
) -> Result<(), Failure> {
    let info = unanswered.read("INFO", session.info().await).await?;
    findings.extend(unanswered.note("PING", connection::latency(session).await).await?);
    if info.as_ref().is_ok_and(ServerInfo::is_sentinel) {
        let config = Err(Refusal::Unanswered);
        findings.extend(server::check(&facts(session, info, config)));
        return Ok(());
    }
    let slow_log = unanswered.note("SLOWLOG", connection::slow_log(session).await).await?;
    findings.extend(slow_log.flatten());
    findings.extend(unanswered.note("TIME", connection::clock(session).await).await?);
    let config = unanswered.read("CONFIG GET", settings(session).await).await?;
    let facts = facts(session, info, config);
    findings.extend(server::check(&facts));
    findings.extend(memory::check(&facts));
    *user = unanswered.note("ACL WHOAMI", permissions::user(session).await).await?.flatten();
    permissions::check(session, user.as_deref(), prefix, findings, unanswered).await?;
    findings.extend(exposure::check(&facts));
    Ok(())
}

fn facts(
    session: &Session,
    info: Result<ServerInfo, Refusal>,
    config: Result<HashMap<String, String>, Refusal>,
) -> Facts {
    let (has_tls, is_local) = connection::place(session);
    Facts { info, config, is_cluster: session.redis.is_cluster(), has_tls, is_local }
}

/// What is read of the configuration. All of it may exceed a limit of the output buffers.
const SETTINGS: [&str; 9] = [
    "bind",
    "client-output-buffer-limit",
    "port",
    "protected-mode",
    "requirepass",
    "save",
    "stop-writes-on-bgsave-error",
    "tcp-keepalive",
    "timeout",
];

async fn settings(session: &Session) -> Result<HashMap<String, String>, Failure> {
    let text = |bytes: bytes::Bytes| String::from_utf8_lossy(&bytes).into_owned();
    let mut settings = HashMap::new();
    for name in SETTINGS {
        let pairs = session.command(&["CONFIG", "GET", name]).await?.pairs()?;
        settings.extend(pairs.into_iter().map(|(name, value)| (text(name), text(value))));
    }
    Ok(settings)
}

/// What the cures leave out.
const KEEPING: &str = "Cures need a user who may administer the server: add --user NAME --askpass. \
    They last until it restarts, unless CONFIG REWRITE and ACL SAVE keep them.\n";

fn text(diagnosis: &Diagnosis, session: &Session) -> String {
    let style = session.style;
    let mut text = format!("{}\n\n", escape_line(diagnosis.address.as_bytes()));
    for Finding { check, status, what, why, cure } in &diagnosis.findings {
        let (color, word) = match status {
            Status::Ok => (Color::Green, "ok     "),
            Status::Warning => (Color::Yellow, "warning"),
            Status::Fault => (Color::Red, "fault  "),
        };
        let check = check.replace('_', " ");
        text.push_str(&format!(
            "{}  {}{}\n",
            style.paint(color, word),
            style.paint(Color::Bold, &format!("{check:<16}")),
            escape_line(what.as_bytes())
        ));
        for (name, line) in [("why", why), ("cure", cure)] {
            if let Some(line) = line {
                let name = style.paint(Color::Dim, &format!("{name:<6}"));
                text.push_str(&format!("           {name}{}\n", escape_line(line.as_bytes())));
            }
        }
    }
    let faults = counted(diagnosis.faults as u64, "fault", "faults");
    let warnings = counted(diagnosis.warnings as u64, "warning", "warnings");
    text.push_str(&format!("\n{faults}, {warnings}\n"));
    let cures = diagnosis.findings.iter().filter_map(|finding| finding.cure.as_deref());
    if cures.into_iter().any(|cure| cure.contains(" CONFIG SET ") || cure.contains(" ACL SETUSER "))
    {
        text.push_str(KEEPING);
    }
    text
}
