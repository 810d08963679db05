//! Simulated processes that can be stopped, can crash, and have their own clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use hotshelf_core::{BoxFuture, Moment, Runtime};

use super::runtime::{SimRuntime, TaskId};

/// A process of a simulation, and the runtime of its engine.
#[derive(Clone)]
pub struct SimProcess {
    runtime: SimRuntime,
    id: ProcessId,
}

pub(super) type ProcessId = usize;

/// The state of a process.
#[derive(Default)]
pub(super) struct ProcessState {
    crashed: bool,
    stopped: bool,
    /// How often it was stopped.
    stalls: u64,
    /// Tasks that are ready while the process is stopped.
    held_back: BTreeSet<TaskId>,
    /// The offset of its clock from that of the runtime.
    ahead: Duration,
}

impl ProcessState {
    pub(super) fn end(&mut self) {
        self.crashed = true;
        self.held_back.clear();
    }

    /// Sets a task aside if the process is stopped, and returns whether it did.
    pub(super) fn hold_back(&mut self, task: TaskId) -> bool {
        if self.stopped {
            self.held_back.insert(task);
        }
        self.stopped
    }
}

impl SimProcess {
    pub(super) fn new(runtime: &SimRuntime, id: ProcessId) -> Self {
        Self { runtime: runtime.clone(), id }
    }

    /// Returns the number of the process, counted from 0.
    #[must_use]
    pub fn number(&self) -> usize {
        self.id
    }

    /// Returns the runtime of the simulation.
    #[must_use]
    pub fn world(&self) -> &SimRuntime {
        &self.runtime
    }

    /// Returns `true` unless the process is stopped or has crashed.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let state = self.runtime.lock();
        let life = &state.processes[self.id];
        !life.crashed && !life.stopped
    }

    /// Drops all tasks of the process. Tasks that they spawn while they are dropped are not
    /// started.
    pub fn crash(&self) {
        let mut state = self.runtime.lock();
        state.processes[self.id].end();
        let tasks = std::mem::take(&mut state.tasks);
        let (mine, others): (BTreeMap<_, _>, _) =
            tasks.into_iter().partition(|(_, task)| task.owner == Some(self.id));
        state.tasks = others;
        let before = state.current.replace((self.id, 0));
        drop(state);
        // Outside of the lock: dropping a task may call the runtime.
        drop(mine);
        self.runtime.lock().current = before;
    }

    /// Like [`crash`](Self::crash), but forgets the tasks: nothing that they guard is cleaned
    /// up.
    pub fn vanish(&self) {
        let mut state = self.runtime.lock();
        state.processes[self.id].end();
        let tasks = std::mem::take(&mut state.tasks);
        let (mine, others): (BTreeMap<_, _>, _) =
            tasks.into_iter().partition(|(_, task)| task.owner == Some(self.id));
        state.tasks = others;
        drop(state);
        std::mem::forget(mine);
    }

    /// Returns `true` if the process has crashed.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.runtime.lock().processes[self.id].crashed
    }

    /// Stops polling the tasks of the process, like `SIGSTOP`. Its timers still fire and its
    /// answers still arrive.
    pub fn stop(&self) {
        let mut state = self.runtime.lock();
        let life = &mut state.processes[self.id];
        life.stopped = true;
        life.stalls += 1;
    }

    /// Returns how often the process was stopped.
    #[must_use]
    pub fn stalls(&self) -> u64 {
        self.runtime.lock().processes[self.id].stalls
    }

    /// Resumes a stopped process.
    pub fn resume(&self) {
        let mut state = self.runtime.lock();
        let life = &mut state.processes[self.id];
        life.stopped = false;
        let held_back = std::mem::take(&mut life.held_back);
        state.ready.extend(held_back);
    }

    /// Sets the clock of the process forward. Running timers are not affected.
    pub fn jump_clock(&self, ahead: Duration) {
        self.runtime.lock().processes[self.id].ahead += ahead;
    }
}

impl Runtime for SimProcess {
    fn now(&self) -> Moment {
        let state = self.runtime.lock();
        Moment::after_start(state.now + state.processes[self.id].ahead)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.runtime.sleep(duration)
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        let mut state = self.runtime.lock();
        if state.processes[self.id].crashed {
            drop(state);
            return drop(future);
        }
        state.spawn(Some(self.id), future);
    }

    fn random(&self) -> u64 {
        self.runtime.random()
    }
}

impl fmt::Debug for SimProcess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimProcess").field("number", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Spawns a task that counts seconds.
    fn counting(process: &SimProcess) -> Arc<AtomicU32> {
        let seconds = Arc::new(AtomicU32::new(0));
        let (counted, sleeper) = (Arc::clone(&seconds), process.clone());
        process.spawn(Box::pin(async move {
            loop {
                sleeper.sleep(SECOND).await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }));
        seconds
    }

    #[test]
    fn resumed_process_continues_its_tasks() {
        let runtime = SimRuntime::new(1);
        let process = runtime.start_process();
        let seconds = counting(&process);
        runtime.block_on(runtime.sleep(SECOND * 5 / 2));
        process.stop();
        assert!(!process.is_running());
        runtime.block_on(runtime.sleep(SECOND * 10));
        assert_eq!(seconds.load(Ordering::Relaxed), 2);
        process.resume();
        runtime.block_on(runtime.sleep(SECOND * 3 / 2));
        assert_eq!(seconds.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn crashed_process_runs_nothing() {
        let runtime = SimRuntime::new(1);
        let (process, other) = (runtime.start_process(), runtime.start_process());
        let (seconds, of_other) = (counting(&process), counting(&other));
        runtime.block_on(runtime.sleep(SECOND * 5 / 2));
        process.crash();
        process.spawn(Box::pin(async { unreachable!("the process has crashed") }));
        runtime.block_on(runtime.sleep(SECOND * 2));
        assert_eq!((Arc::strong_count(&seconds), seconds.load(Ordering::Relaxed)), (1, 2));
        assert_eq!(of_other.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn clock_jump_affects_one_process() {
        let runtime = SimRuntime::new(1);
        let (process, other) = (runtime.start_process(), runtime.start_process());
        process.jump_clock(SECOND);
        assert_eq!(process.now(), Moment::after_start(SECOND));
        assert_eq!(other.now(), runtime.now());
    }
}
