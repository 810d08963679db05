//! The commands, each in its own file.

mod bench;
mod completions;
pub(crate) mod dashboard;
mod doctor;
mod explain;
mod get;
mod info;
mod invalidate;
mod key;
mod ls;
mod sizes;
mod stats;
mod top;
mod ttl;

use std::sync::Arc;

use crate::Outcome;
use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::host::Host;
use crate::session::Session;
use crate::terminal::Terminal;

/// A command with its arguments.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check the server and what its user may do, and say what to change
    Doctor(doctor::DoctorArguments),
    /// Show the server, and the number of keys of each cache
    Info(info::InfoArguments),
    /// Show operations, hits, memory and evictions of the server
    Stats(stats::StatsArguments),
    /// Show the caches with the hottest or the largest keys
    Top(top::TopArguments),
    /// List keys, with their state, age, lifetime and size
    Ls(ls::LsArguments),
    /// Print the value of an entry, without its trailer
    Get(get::GetArguments),
    /// Explain an entry: when it was loaded, its tags, and whether its key is being loaded
    Explain(explain::ExplainArguments),
    /// Print the exact key of an identifier
    Key(key::KeyArguments),
    /// Print for how long an entry is fresh, and when it expires
    Ttl(ttl::TtlArguments),
    /// Invalidate entries, and refuse the loads of them in flight
    Invalidate(invalidate::InvalidateArguments),
    /// Estimate the memory of each cache
    Sizes(sizes::SizesArguments),
    /// Serve the admin page
    Dashboard(dashboard::DashboardArguments),
    /// Measure the latency and the throughput of the server
    Bench(bench::BenchArguments),
    /// Print completions for a shell
    Completions(completions::CompletionsArguments),
}

/// Runs a command.
pub(crate) async fn run(
    arguments: Arguments,
    host: &dyn Host,
    terminal: Arc<dyn Terminal>,
) -> Result<Outcome, Failure> {
    let Arguments { common, command } = arguments;
    let exit = Outcome::Exit;
    match command {
        Command::Completions(own) => return completions::run(&own, &*terminal).map(exit),
        Command::Key(own) => return key::run(&own, common.json, &*terminal).map(exit),
        _ => {}
    }
    let session = Session::open(host, terminal, common)?;
    let done = match command {
        Command::Doctor(own) => doctor::run(&own, &session).await,
        Command::Info(own) => info::run(&own, &session).await,
        Command::Stats(own) => stats::run(&own, &session).await,
        Command::Top(own) => top::run(&own, &session).await,
        Command::Ls(own) => ls::run(&own, &session).await,
        Command::Get(own) => get::run(&own, &session).await,
        Command::Explain(own) => explain::run(&own, &session).await,
        Command::Ttl(own) => ttl::run(&own, &session).await,
        Command::Invalidate(own) => invalidate::run(own, &session).await,
        Command::Sizes(own) => sizes::run(&own, &session).await,
        Command::Bench(own) => bench::run(&own, &session).await,
        Command::Dashboard(own) => {
            let dashboard = dashboard::run(&own, &session).await?;
            session.store.close().await;
            return Ok(Outcome::Serve(Box::new(dashboard)));
        }
        Command::Completions(_) | Command::Key(_) => unreachable!("they need no server"),
    };
    session.store.close().await;
    done.map(exit)
}
