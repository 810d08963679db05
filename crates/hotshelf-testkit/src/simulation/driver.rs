//! The tasks of a process that keep its connections up.

use std::future::poll_fn;
use std::sync::Arc;

use hotshelf_core::near::NearTier;

use super::connection::Connection;
use super::network::{Operation, Wire};
use super::reports::BrokenReports;

/// Handles what arrives on a connection, until it is lost, or its runtime ends.
pub(super) async fn drive(connection: Arc<Connection>) {
    let driven = Driven(connection);
    poll_fn(|context| driven.0.poll_driving(context)).await;
}

/// Loses a connection that is not driven any more.
struct Driven(Arc<Connection>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.lose();
        self.0.drain();
    }
}

/// Pings the server over a connection, or over those that replace it, so that they vouch for
/// what was read.
pub(super) async fn keep_pinging(wire: Arc<Wire>, index: usize, near: Arc<NearTier>) {
    let pause = near.options().max_staleness / 4;
    loop {
        let connection = wire.connection(index);
        let sent = near.now();
        let asks = wire.exchange_over(&connection, Operation::Other, |server, _| server.millis());
        if let Some(reports) = connection.reports() {
            match asks.await {
                Ok(millis) => {
                    reports.source.read_clock(sent, near.now(), Some(millis));
                    reports.source.answered(sent);
                }
                Err(_) if reports.breaks(BrokenReports::AnswerUnneeded) => {
                    reports.source.answered(near.now());
                }
                Err(_) => {}
            }
        }
        wire.sleep(pause).await;
    }
}
