//! A deterministic runtime with simulated time.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use hotshelf_core::sync::{Mutex, MutexGuard};
use hotshelf_core::{BoxFuture, Moment, Runtime};

use super::process::{ProcessId, ProcessState, SimProcess};
use crate::random::Random;

/// Runs futures on one thread, in an order determined by a seed.
///
/// Its clock stands still while any task is ready, and then jumps to the next timer: hours
/// pass in microseconds, and the same seed produces the same run.
///
/// Tasks spawned on the runtime run as long as it does; tasks spawned on a [`SimProcess`] stop
/// and end with the process.
#[derive(Clone)]
pub struct SimRuntime {
    state: Arc<Mutex<State>>,
}

pub(super) struct State {
    pub(super) now: Duration,
    random: Random,
    next_id: u64,
    /// Sorted, since a crash drops some of them one by one.
    pub(super) tasks: BTreeMap<TaskId, Task>,
    pub(super) ready: Vec<TaskId>,
    timers: BTreeMap<(Duration, u64), Waker>,
    pub(super) processes: Vec<ProcessState>,
    /// The process and the task that are running.
    pub(super) current: Option<(ProcessId, TaskId)>,
}

pub(super) struct Task {
    pub(super) owner: Option<ProcessId>,
    pub(super) future: BoxFuture<'static, ()>,
}

pub(super) type TaskId = u64;

/// The id of the future of [`SimRuntime::block_on`].
const MAIN: TaskId = 0;

impl SimRuntime {
    /// Creates a runtime. All of its choices follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            now: Duration::ZERO,
            random: Random::new(seed),
            next_id: MAIN + 1,
            tasks: BTreeMap::new(),
            ready: Vec::new(),
            timers: BTreeMap::new(),
            processes: Vec::new(),
            current: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Starts a process.
    #[must_use]
    pub fn start_process(&self) -> SimProcess {
        let mut state = self.lock();
        state.processes.push(ProcessState::default());
        SimProcess::new(self, state.processes.len() - 1)
    }

    /// Returns a random number below `bound`.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.random() % bound
    }

    /// Returns a random duration of at most `longest`, uniformly distributed.
    #[must_use]
    pub fn up_to(&self, longest: Duration) -> Duration {
        longest.mul_f64(self.share())
    }

    /// Returns a random duration of at most `longest`, usually a small fraction of it.
    #[must_use]
    pub fn mostly_far_below(&self, longest: Duration) -> Duration {
        longest.mul_f64(self.share().powi(6))
    }

    fn share(&self) -> f64 {
        self.lock().random.share()
    }

    /// Advances the time, and wakes the tasks whose timers have fired.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.lock();
        state.now += duration;
        let just_after = state.now + Duration::from_nanos(1);
        let later = state.timers.split_off(&(just_after, 0));
        let due = std::mem::replace(&mut state.timers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// Runs a future, and the spawned tasks, until the future completes.
    ///
    /// # Panics
    /// If there is a deadlock: no task is ready and there is no timer.
    pub fn block_on<F: Future>(&self, main: F) -> F::Output {
        let mut main = pin!(main);
        self.lock().ready.push(MAIN);
        loop {
            while let Some(task) = self.pick() {
                let waker = self.waker(task);
                if task == MAIN {
                    if let Poll::Ready(output) =
                        main.as_mut().poll(&mut Context::from_waker(&waker))
                    {
                        return output;
                    }
                } else {
                    self.poll_spawned(task, &waker);
                }
            }
            self.jump_to_next_timer();
        }
    }

    /// Runs the spawned tasks until none is ready without advancing the time.
    pub fn run_until_idle(&self) {
        while let Some(task) = self.pick() {
            if task != MAIN {
                self.poll_spawned(task, &self.waker(task));
            }
        }
    }

    /// Drops all spawned tasks, and ends all processes.
    ///
    /// Tasks hold the runtime that holds them, and would never be dropped otherwise.
    pub fn shut_down(&self) {
        self.lock().processes.iter_mut().for_each(ProcessState::end);
        // Dropping a task may spawn more.
        while let Some(task) = self.take_first_task() {
            drop(task);
        }
    }

    fn take_first_task(&self) -> Option<Task> {
        self.lock().tasks.pop_first().map(|(_, task)| task)
    }

    fn poll_spawned(&self, id: TaskId, waker: &Waker) {
        let mut state = self.lock();
        let Some(mut task) = state.tasks.remove(&id) else { return };
        state.current = task.owner.map(|owner| (owner, id));
        drop(state);
        let polled = task.future.as_mut().poll(&mut Context::from_waker(waker));
        if polled.is_pending() {
            self.lock().tasks.insert(id, task);
        } else {
            // What it drops belongs to it, too.
            drop(task);
        }
        self.lock().current = None;
    }

    /// Removes and returns a random ready task.
    fn pick(&self) -> Option<TaskId> {
        loop {
            let random = self.random() as usize;
            let mut state = self.lock();
            let count = state.ready.len();
            if count == 0 {
                return None;
            }
            let task = state.ready.swap_remove(random % count);
            if !state.is_held_back(task) {
                return Some(task);
            }
        }
    }

    fn jump_to_next_timer(&self) {
        let state = self.lock();
        let next = state.timers.keys().next().map(|(due, _)| *due);
        let wait = next.expect("deadlock: no task is ready and there is no timer") - state.now;
        drop(state);
        self.advance(wait);
    }

    fn waker(&self, task: TaskId) -> Waker {
        Waker::from(Arc::new(TaskWaker { state: Arc::clone(&self.state), task }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Runtime for SimRuntime {
    fn now(&self) -> Moment {
        Moment::after_start(self.lock().now)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let due = self.lock().now.saturating_add(duration);
        Box::pin(Sleep { state: Arc::clone(&self.state), due, timer: None })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.lock().spawn(None, future);
    }

    fn random(&self) -> u64 {
        self.lock().random.number()
    }
}

impl fmt::Debug for SimRuntime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SimRuntime").field("now", &self.lock().now).finish_non_exhaustive()
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn spawn(&mut self, owner: Option<ProcessId>, future: BoxFuture<'static, ()>) {
        let task = self.next_id();
        self.tasks.insert(task, Task { owner, future });
        self.ready.push(task);
    }

    /// Sets a task aside if its process is stopped, and returns whether it did.
    fn is_held_back(&mut self, task: TaskId) -> bool {
        let owner = self.tasks.get(&task).and_then(|task| task.owner);
        owner.is_some_and(|owner| self.processes[owner].hold_back(task))
    }
}

struct TaskWaker {
    state: Arc<Mutex<State>>,
    task: TaskId,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut state = self.state.lock();
        if !state.ready.contains(&self.task) {
            state.ready.push(self.task);
        }
    }
}

struct Sleep {
    state: Arc<Mutex<State>>,
    due: Duration,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let shared = Arc::clone(&self.state);
        let mut state = shared.lock();
        if state.now >= self.due {
            return Poll::Ready(());
        }
        let timer = *self.timer.get_or_insert_with(|| state.next_id());
        state.timers.insert((self.due, timer), context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            let waker = self.state.lock().timers.remove(&(self.due, timer));
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_runtime_jumps_to_next_timer() {
        let runtime = SimRuntime::new(1);
        runtime.block_on(runtime.sleep(Duration::from_secs(7200)));
        assert_eq!(runtime.now(), Moment::after_start(Duration::from_secs(7200)));
    }

    #[test]
    fn same_seed_gives_same_order() {
        let order = |seed| {
            let runtime = SimRuntime::new(seed);
            let seen = Arc::new(Mutex::new(Vec::new()));
            for task in 0..8 {
                let seen = Arc::clone(&seen);
                runtime.spawn(Box::pin(async move { seen.lock().push(task) }));
            }
            runtime.run_until_idle();
            Arc::try_unwrap(seen).unwrap().into_inner()
        };
        assert_eq!(order(5), order(5));
        assert!((0..9).any(|seed| order(seed) != order(5)));
    }
}
