//! Readable traces of violations.

use std::fmt;

use stateright::Path;

use crate::action::Action;
use crate::client::FlightStep;
use crate::configurations::Writes;
use crate::environment::Fault;
use crate::server::{KEYS, Key};
use crate::world::World;

/// A violated property, and the shortest path to the violation.
#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) property: &'static str,
    /// Each state with the step that leaves it; the last one has none.
    path: Vec<(World, Option<Action>)>,
    /// The writers of the configuration.
    writers: &'static [Writes],
}

impl Violation {
    pub(crate) fn new(
        property: &'static str,
        path: Path<World, Action>,
        writers: &'static [Writes],
    ) -> Self {
        Self { property, path: path.into_vec(), writers }
    }

    pub(crate) fn steps(&self) -> usize {
        self.path.len() - 1
    }

    /// Describes an action.
    fn describe(&self, before: &World, action: Action) -> String {
        match action {
            Action::Call { process, step } => format!("process {process}: {step:?}"),
            Action::Flight { id, step } => {
                let flight = &before.processes[id.process].flights[id.index];
                let what = match (step, flight.request_in_flight()) {
                    (FlightStep::Execute, Some(request)) => format!("{request:?}"),
                    _ => format!("{step:?}"),
                };
                format!("process {}, flight {}: {what}", id.process, id.index)
            }
            Action::Writer { writer, step } => {
                let next = before.writers[writer].next(self.writers[writer].kind);
                let operation = next.map(|operation| format!("{operation:?}")).unwrap_or_default();
                format!("writer {writer}: {step:?} {operation}")
            }
            Action::Near { process, step } => format!("process {process}, near tier: {step:?}"),
            Action::Fault(Fault::ExecuteLate(index)) => {
                format!("late: {:?}", before.late[index])
            }
            Action::Fault(fault) => format!("{fault:?}"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "violates {}, after {} steps:", self.property, self.steps())?;
        for (number, states) in self.path.windows(2).enumerate() {
            let [(before, Some(action)), (after, _)] = states else { continue };
            let step = self.describe(before, *action);
            writeln!(formatter, "{:>3}. {step:<75} {}", number + 1, keys(after))?;
        }
        Ok(())
    }
}

/// Formats the state of the source and the server.
fn keys(world: &World) -> String {
    let key = |key: Key| {
        let slot = world.server.slots[key];
        let entry = slot.entry.map_or("-".to_owned(), |entry| format!("{entry:?}"));
        let lease = slot.lease.map_or("-".to_owned(), |holder| format!("{holder:?}"));
        let (source, promised) = (world.source[key], world.promised[key]);
        format!("source v{source}, promised v{promised}, K {entry}, L {lease}")
    };
    let used = (0..KEYS as u8).map(Key).filter(|key| key.0 == 0 || world.source[*key] > 0);
    used.map(key).collect::<Vec<_>>().join("; ")
}
