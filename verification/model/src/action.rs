//! The steps of all parties, and the model that the checker explores.

use stateright::{Model, Property as Check};

use crate::client::{CallStep, FlightId, FlightStep, NearStep, WriterStep};
use crate::configurations::Configuration;
use crate::environment::Fault;
use crate::properties::{Coverage, Event, Property};
use crate::request::{Reply, Request};
use crate::server::{Key, Version};
use crate::world::World;

/// One step of one party. Between any two steps, every other party may take steps of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Call { process: usize, step: CallStep },
    Flight { id: FlightId, step: FlightStep },
    Writer { writer: usize, step: WriterStep },
    Near { process: usize, step: NearStep },
    Fault(Fault),
}

/// The model of a configuration.
#[derive(Debug)]
pub(crate) struct Protocol {
    pub(crate) configuration: Configuration,
    pub(crate) coverage: Coverage,
}

impl Protocol {
    pub(crate) fn new(configuration: Configuration) -> Self {
        Self { configuration, coverage: Coverage::default() }
    }

    pub(crate) fn possible_actions(&self, world: &World) -> Vec<Action> {
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        actions
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.configuration)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.broken.is_some() {
            return;
        }
        let view = View { configuration: &self.configuration, world };
        view.call_steps(actions);
        view.flight_steps(actions);
        view.writer_steps(actions);
        view.near_steps(actions);
        view.faults(actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        let mut turn =
            Turn { configuration: &self.configuration, coverage: &self.coverage, world: &mut next };
        match action {
            Action::Call { process, step } => turn.call(process, step),
            Action::Flight { id, step } => turn.flight(id, step),
            Action::Writer { writer, step } => turn.writer(writer, step),
            Action::Near { process, step } => turn.near(process, step),
            Action::Fault(fault) => turn.fault(fault),
        }
        turn.push_changes(&world.server);
        turn.update_scans();
        Some(next)
    }

    fn properties(&self) -> Vec<Check<Self>> {
        Property::checks()
    }
}

/// The read-only state that determines the possible steps of a party.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) world: &'a World,
}

/// The mutable state during a step.
pub(crate) struct Turn<'a> {
    pub(crate) configuration: &'a Configuration,
    pub(crate) coverage: &'a Coverage,
    pub(crate) world: &'a mut World,
}

impl Turn<'_> {
    /// Executes a request at the server.
    pub(crate) fn execute(&mut self, request: Request) -> Reply {
        self.world.execute(self.configuration, request)
    }

    /// Answers a caller with a version. Violates the property if the version is older than
    /// needed.
    pub(crate) fn answer(&mut self, version: Version, needed: Version, property: Property) {
        if version < needed {
            self.world.broken.get_or_insert(property);
        }
    }

    /// Counts the beginning of a load of a key.
    pub(crate) fn count_load(&mut self, key: Key) {
        if !self.configuration.counts_loads() {
            return;
        }
        match self.world.loads_left[key].checked_sub(1) {
            Some(left) => self.world.loads_left[key] = left,
            None => {
                self.world.broken.get_or_insert(Property::SingleFlight);
            }
        }
    }

    /// Allows one more load, since one was lost.
    pub(crate) fn allow_load(&mut self, key: Key) {
        if self.configuration.counts_loads() {
            self.world.loads_left[key] += 1;
        }
    }

    pub(crate) fn met(&self, event: Event) {
        self.coverage.met(event);
    }
}
