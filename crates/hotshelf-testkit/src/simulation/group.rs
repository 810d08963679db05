//! A process of several runtimes, each of which can stall or end while the others run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::runtime::RuntimeId;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{BoxFuture, Moment, Runtime};

use super::process::SimProcess;
use super::runtime::SimRuntime;

/// A process whose runtimes share a store. Each of them is a [`SimProcess`]: it can be stopped,
/// and it can end, as a [`crash`](SimProcess::crash), while the others go on.
#[derive(Clone)]
pub struct SimGroup {
    world: SimRuntime,
    members: Arc<Mutex<Vec<SimProcess>>>,
}

impl SimGroup {
    /// Creates a process without runtimes.
    #[must_use]
    pub fn new(world: &SimRuntime) -> Self {
        Self { world: world.clone(), members: Arc::default() }
    }

    /// Starts a runtime.
    #[must_use]
    pub fn start_runtime(&self) -> SimProcess {
        let process = self.world.start_process();
        self.members.lock().push(process.clone());
        process
    }

    /// Returns the runtimes, including those that have ended.
    #[must_use]
    pub fn members(&self) -> Vec<SimProcess> {
        self.members.lock().clone()
    }

    /// Returns the number of the runtime whose task is running, or else of any that has not
    /// ended.
    #[must_use]
    pub fn current_number(&self) -> Option<usize> {
        let running = self.world.lock().current.map(|(process, _)| process);
        let members = self.members();
        let own = members.iter().find(|member| Some(member.number()) == running);
        let any = || members.iter().find(|member| !member.has_crashed());
        own.or_else(any).map(SimProcess::number)
    }

    fn member(&self, number: usize) -> Option<SimProcess> {
        self.members.lock().iter().find(|member| member.number() == number).cloned()
    }
}

impl Runtime for SimGroup {
    /// The clock of the first runtime.
    fn now(&self) -> Moment {
        self.members.lock().first().map_or_else(|| self.world.now(), Runtime::now)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.world.sleep(duration)
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        if let Some(member) = self.current_number().and_then(|number| self.member(number)) {
            member.spawn(future);
        }
    }

    fn random(&self) -> u64 {
        self.world.random()
    }

    fn current(&self) -> Option<RuntimeId> {
        let (running, _) = self.world.lock().current?;
        self.member(running).map(|member| RuntimeId::new(member.number() as u64))
    }

    fn is_running(&self, id: RuntimeId) -> bool {
        let is_it = |member: &&SimProcess| RuntimeId::new(member.number() as u64) == id;
        !self.members.lock().iter().find(is_it).is_some_and(SimProcess::has_crashed)
    }

    fn spawn_elsewhere(
        &self,
        future: BoxFuture<'static, ()>,
    ) -> Result<(), BoxFuture<'static, ()>> {
        let here = self.current();
        let members = self.members();
        let other = members.iter().rev().find(|member| {
            !member.has_crashed() && Some(RuntimeId::new(member.number() as u64)) != here
        });
        match other {
            Some(other) => {
                other.spawn(future);
                Ok(())
            }
            None => Err(future),
        }
    }

    fn task(&self) -> Option<u64> {
        self.world.lock().current.map(|(_, task)| task)
    }
}

impl fmt::Debug for SimGroup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimGroup").field("members", &self.members).finish_non_exhaustive()
    }
}
