//! The links of a process: one for each of its runtimes.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_core::backend::{Answer, Layer, Operation, Result};
use hotshelf_core::near::NearTier;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Backend, BoxFuture, Error, ErrorKind, Runtime};
use hotshelf_testkit::simulation::{SimGroup, SimProcess};

/// How long an operation may take: the longest deadline, and a tolerance.
const LONGEST_WAIT: Duration = Duration::from_millis(270);

/// Sends each operation over the link of the runtime that runs it.
pub(crate) struct Links {
    runtimes: SimGroup,
    /// Whether all runtimes use the link of the first one. For a mutant.
    shared: bool,
    links: Mutex<BTreeMap<usize, Arc<dyn Backend>>>,
    near: Mutex<Option<Arc<NearTier>>>,
    long_waits: Arc<AtomicU64>,
}

impl Links {
    pub(crate) fn new(runtimes: &SimGroup, shared: bool, long_waits: &Arc<AtomicU64>) -> Self {
        let (runtimes, long_waits) = (runtimes.clone(), Arc::clone(long_waits));
        let (links, near) = (Mutex::default(), Mutex::default());
        Self { runtimes, shared, links, near, long_waits }
    }

    pub(crate) fn add(&self, runtime: &SimProcess, link: Arc<dyn Backend>) {
        if let Some(near) = &*self.near.lock() {
            assert!(link.report_to(near), "the link reports changes");
        }
        self.links.lock().insert(runtime.number(), link);
    }

    /// Returns the runtime that runs this, unless it is stalled.
    fn responsive(&self) -> Option<SimProcess> {
        let number = self.runtimes.current_number()?;
        let members = self.runtimes.members();
        members.into_iter().find(|member| member.number() == number && member.is_running())
    }
}

impl Layer for Links {
    type Inner = dyn Backend;

    fn inner(&self) -> Result<impl Deref<Target = dyn Backend> + Send> {
        let links = self.links.lock();
        let number = match self.shared {
            true => links.keys().next().copied(),
            false => self.runtimes.current_number(),
        };
        let link = number.and_then(|number| links.get(&number)).cloned();
        link.ok_or_else(|| Error::new(ErrorKind::Unavailable, "no runtime is left"))
    }

    fn on_name(&self) -> &'static str {
        "simulated"
    }

    /// Reports the changes on all links that are added later. The store that was created last on
    /// these links is the one in use.
    fn on_report_to(&self, near: &Arc<NearTier>) -> bool {
        *self.near.lock() = Some(Arc::clone(near));
        true
    }

    /// Counts operations that take too long although their own runtime did not stall.
    fn around<'a, A: Answer + 'a>(
        &'a self,
        operation: Operation<'a>,
        run: BoxFuture<'a, A>,
    ) -> BoxFuture<'a, A> {
        // Each of its scans has a deadline.
        if matches!(operation, Operation::InvalidateMatching(_)) {
            return run;
        }
        Box::pin(async move {
            let began = self.runtimes.now();
            let stalls = self.responsive().map(|runtime| runtime.stalls());
            let answer = run.await;
            let undisturbed =
                stalls.is_some() && self.responsive().map(|runtime| runtime.stalls()) == stalls;
            if undisturbed && self.runtimes.now().since(began) > LONGEST_WAIT {
                self.long_waits.fetch_add(1, Ordering::Relaxed);
            }
            answer
        })
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Links").field("runtimes", &self.runtimes).finish_non_exhaustive()
    }
}
