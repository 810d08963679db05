//! Fault injection, except for network faults.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hotshelf_core::Runtime;
use hotshelf_core::cache::LEASE;
use hotshelf_testkit::simulation::Overlap;

use super::scenario::Fault;
use super::world::{Member, World};

/// The longest stall of a runtime, in addition to 50 ms: what a synchronous call may take.
const LONGEST_STALL: Duration = Duration::from_millis(350);

const SHORT_PAUSE: Duration = Duration::from_millis(80);

/// The longest jump of a clock: a lease may end at once, or last twice as long.
const JUMP: Duration = Duration::from_secs(7);

/// Injects one fault after another for the lifetime of the world.
pub(crate) async fn inject(world: Arc<World>) {
    let faults = &world.scenario.faults;
    loop {
        world.runtime.sleep(world.runtime.up_to(world.scenario.fault_pause)).await;
        match faults[world.runtime.below(faults.len() as u64) as usize] {
            Fault::Eviction => world.server.evict_any(world.runtime.random()),
            Fault::LeaseEviction => world.evict_some_lease(),
            Fault::Pause => world.pause(world.some_member(), world.runtime.up_to(SHORT_PAUSE)),
            Fault::LongPause => world.pause_some_beyond_lease(),
            Fault::Crash => world.crash_some(),
            Fault::ServerClock => {
                let back = world.runtime.below(2) == 0;
                world.server.jump_clock(world.runtime.up_to(JUMP), back);
            }
            Fault::ProcessClock => {
                world.some_member().process.jump_clock(world.runtime.up_to(JUMP));
                world.overlaps.count(Overlap::ProcessClockJumped);
            }
            Fault::Stall => {
                let pause = Duration::from_millis(50) + world.runtime.up_to(LONGEST_STALL);
                world.pause(world.some_member(), pause);
                world.overlaps.count(Overlap::RuntimeStalled);
            }
            Fault::End => world.end_some_runtime(),
            Fault::Silence => world.silence_some(),
            Fault::Flush if world.runtime.below(10) == 0 => world.server.flush(),
            Fault::Flush => {}
        }
    }
}

impl World {
    fn evict_some_lease(&self) {
        let row = self.runtime.below(self.rows.len() as u64) as usize;
        self.server.evict_lease(&self.rows[row].key);
    }

    /// Returns a random process, preferably one whose loader holds a lease: its faults have
    /// the most effects.
    fn some_member(&self) -> Arc<Member> {
        let members = self.members();
        let holders: Vec<_> = members.iter().filter(|member| member.is_holder()).collect();
        let from = if holders.is_empty() { members.iter().collect() } else { holders };
        Arc::clone(from[self.runtime.below(from.len() as u64) as usize])
    }

    fn crash_some(self: &Arc<Self>) {
        // Crashes must be rare enough for processes to make progress.
        if self.runtime.below(4) != 0 {
            return;
        }
        let member = self.some_member();
        if member.is_holder() {
            self.overlaps.count(Overlap::CrashedHolder);
        }
        self.history.note(Some(member.process.number()), &[], || "crashes".to_owned());
        self.crash(&member);
    }

    fn end_some_runtime(self: &Arc<Self>) {
        if self.runtime.below(4) != 0 {
            return;
        }
        let member = self.some_member();
        // The only runtime of a process is the process.
        if self.scenario.runtimes == 1 || !member.process.is_running() {
            return;
        }
        if member.is_holder() {
            self.overlaps.count(Overlap::RuntimeEndedAsHolder);
        }
        self.history.note(Some(member.process.number()), &[], || "ends".to_owned());
        self.end_runtime(&member);
    }

    /// Loses a connection, or silences it, perhaps for longer than a near tier may use what was
    /// read over it. Then it works again, or is lost unnoticed.
    fn silence_some(&self) {
        let bound = self.scenario.near.map_or(SHORT_PAUSE, |near| near.max_staleness);
        let (duration, is_lost) = match self.runtime.below(4) {
            0 => (self.runtime.up_to(3 * bound), false),
            1 => (self.runtime.up_to(3 * bound), true),
            _ => (Duration::ZERO, true),
        };
        let members = self.members();
        let member = &members[self.runtime.below(members.len() as u64) as usize];
        let end = if is_lost { "lost" } else { "working again" };
        let text = || format!("has a connection that is silent for {duration:?}, and then {end}");
        self.history.note(Some(member.process.number()), &[], text);
        member.link.silence(duration, is_lost);
    }

    fn pause_some_beyond_lease(self: &Arc<Self>) {
        if self.runtime.below(4) != 0 {
            return;
        }
        let member = self.some_member();
        if member.process.is_running() && member.is_holder() {
            self.overlaps.count(Overlap::PausedHolderBeyondLease);
        }
        self.pause(member, LEASE + self.runtime.up_to(LEASE));
    }

    /// Pauses a process, unless it is already paused.
    fn pause(self: &Arc<Self>, member: Arc<Member>, pause: Duration) {
        if !member.process.is_running() {
            return;
        }
        member.process.stop();
        let number = Some(member.process.number());
        self.history.note(number, &[], || format!("is paused for {pause:?}"));
        let world = Arc::clone(self);
        self.runtime.spawn(Box::pin(async move {
            world.runtime.sleep(pause).await;
            world.history.note(number, &[], || "resumes".to_owned());
            member.process.resume();
        }));
    }
}

impl Member {
    fn is_holder(&self) -> bool {
        self.holders.load(Ordering::Relaxed) > 0
    }
}
