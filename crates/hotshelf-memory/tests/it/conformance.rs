//! The conformance suite of all backends.

use std::sync::Arc;
use std::time::Duration;

use hotshelf_core::{Backend, BoxFuture, Runtime};
use hotshelf_memory::MemoryBackend;
use hotshelf_testkit::SimRuntime;
use hotshelf_testkit::conformance::{Check, Subject};

hotshelf_testkit::conformance_suite!(run);

fn run(check: Check) {
    let runtime = SimRuntime::new(1);
    let backend = MemoryBackend::new(64 << 20, Arc::new(runtime.clone()));
    let subject = Memory { backend, runtime: runtime.clone() };
    runtime.block_on(check(&subject));
}

struct Memory {
    backend: MemoryBackend,
    runtime: SimRuntime,
}

impl Subject for Memory {
    fn backend(&self) -> &dyn Backend {
        &self.backend
    }

    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    fn pass(&self, duration: Duration) -> BoxFuture<'_, ()> {
        self.runtime.advance(duration);
        Box::pin(std::future::ready(()))
    }
}
