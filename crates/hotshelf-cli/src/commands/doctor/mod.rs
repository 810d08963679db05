//! `hotshelf doctor`.

mod connection;
mod cure;
mod exposure;
mod memory;
mod permissions;
mod probe;
mod server;

use std::collections::HashMap;

use cure::Target;
use hotshelf_core::ErrorKind;
use serde::Serialize;

use crate::failure::{DONE, Failure, NOT_FOUND, SERVER};
use crate::output::{Color, counted, escape};
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
    /// `None` if `INFO` is denied.
    info: Option<ServerInfo>,
    /// `None` if `CONFIG GET` is denied, as by many services.
    config: Option<HashMap<String, String>>,
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
        self.config.as_ref()?.get(name).map(String::as_str)
    }
}

pub(crate) async fn run(arguments: &DoctorArguments, session: &Session) -> Result<u8, Failure> {
    let mut findings = vec![connection::url(session)];
    let mut user = None;
    let reached = connection::reach(session).await;
    let is_reached = reached.status == Status::Ok;
    findings.push(reached);
    if is_reached {
        let facts = read_facts(session).await?;
        findings.extend(connection::check(session).await?);
        findings.extend(server::check(&facts));
        findings.extend(memory::check(&facts));
        user = permissions::user(session).await?;
        findings.extend(permissions::check(session, user.as_deref(), &arguments.prefix).await?);
        findings.extend(exposure::check(&facts));
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

async fn read_facts(session: &Session) -> Result<Facts, Failure> {
    let info = match session.info().await {
        Ok(info) => Some(info),
        Err(Failure::Server(error)) if is_refusal(error.kind()) => None,
        Err(failure) => return Err(failure),
    };
    let config = match session.command(&["CONFIG", "GET", "*"]).await {
        Ok(reply) => {
            let text = |bytes: bytes::Bytes| String::from_utf8_lossy(&bytes).into_owned();
            let pairs = reply.pairs()?.into_iter();
            Some(pairs.map(|(name, value)| (text(name), text(value))).collect())
        }
        Err(Failure::Server(error)) if is_refusal(error.kind()) => None,
        Err(failure) => return Err(failure),
    };
    let (has_tls, is_local) = connection::place(session);
    let is_cluster = session.redis.is_cluster();
    Ok(Facts { info, config, is_cluster, has_tls, is_local })
}

/// What the cures leave out.
const KEEPING: &str = "Cures need a user who may administer the server: add --user NAME --askpass. \
    They last until it restarts, unless CONFIG REWRITE and ACL SAVE keep them.\n";

/// Returns `true` for the error of a server that lacks or denies a command.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Permission | ErrorKind::Server)
}

fn text(diagnosis: &Diagnosis, session: &Session) -> String {
    let style = session.style;
    let mut text = format!("{}\n\n", escape(diagnosis.address.as_bytes()));
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
            escape(what.as_bytes())
        ));
        for (name, line) in [("why", why), ("cure", cure)] {
            if let Some(line) = line {
                let name = style.paint(Color::Dim, &format!("{name:<6}"));
                text.push_str(&format!("           {name}{}\n", escape(line.as_bytes())));
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
