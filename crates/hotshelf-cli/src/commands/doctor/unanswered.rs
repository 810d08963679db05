//! Commands without a reply, since the connection failed.

use std::time::Duration;

use hotshelf_core::ErrorKind;
use hotshelf_redis::is_connection_lost;

use super::Finding;
use super::probe::{Refusal, probed, refusal};
use crate::failure::Failure;
use crate::session::Session;

/// How long a connection that was lost is waited for.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSES: u32 = 40;

/// The commands without a reply.
pub(super) struct Unanswered<'a> {
    session: &'a Session,
    commands: Vec<String>,
    /// The first error.
    why: Option<String>,
    /// Whether the server is away, so that further commands would be waited for, too.
    pub(super) is_over: bool,
}

impl<'a> Unanswered<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self { session, commands: Vec::new(), why: None, is_over: false }
    }

    /// Returns the result of a check; `None` if the connection failed, which is noted.
    ///
    /// # Errors
    /// If the server is away: no further command is tried.
    pub(super) async fn note<T>(
        &mut self,
        command: &str,
        result: Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        let error = match result {
            Ok(value) => return Ok(Some(value)),
            Err(Failure::Server(error)) => error,
            Err(failure) => return Err(failure),
        };
        self.commands.push(command.to_owned());
        self.why.get_or_insert_with(|| error.with_causes());
        let is_silent = error.kind() == ErrorKind::Timeout && !is_connection_lost(&error);
        self.is_over = is_silent || !self.answers_again().await;
        if self.is_over { Err(Failure::Server(error)) } else { Ok(None) }
    }

    /// Waits until the server answers again, which it does if it has only closed the connection.
    async fn answers_again(&self) -> bool {
        let runtime = self.session.store.runtime();
        for _ in 0..PAUSES {
            match self.session.send(&["PING"]).await {
                Err(error) if probed(&error).is_none() => runtime.sleep(PAUSE).await,
                _ => return true,
            }
        }
        false
    }

    /// Does the same as [`Unanswered::note`] for what a server may refuse.
    ///
    /// # Errors
    /// Same as [`Unanswered::note`].
    pub(super) async fn read<T>(
        &mut self,
        command: &str,
        result: Result<T, Failure>,
    ) -> Result<Result<T, Refusal>, Failure> {
        if let Err(Failure::Server(error)) = &result
            && let Some(refusal) = refusal(error)
        {
            return Ok(Err(refusal));
        }
        Ok(self.note(command, result).await?.ok_or(Refusal::Unanswered))
    }

    /// Returns the fault, if there is any such command.
    pub(super) fn finding(self, is_cluster: bool) -> Option<Finding> {
        let cure = match is_cluster {
            true => "redis-cli CLUSTER NODES   # shows the nodes that are down",
            false => {
                "connect to the server itself, without a proxy; \
                 if it closes the connection, its log may say why"
            }
        };
        let what = format!("no reply to {}", self.commands.join(", "));
        Some(Finding::fault("connection", what, self.why?, cure))
    }
}
