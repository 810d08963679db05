//! One run: concurrent callers that read values, and the cost for their process.

use std::error::Error;
use std::future::Future;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The number of reads before the measurement.
const WARM_UP: usize = 4096;

/// A client or cache that reads values.
pub(crate) trait Reader: Clone + Send + Sync + Sized + 'static {
    fn connect(port: u16) -> impl Future<Output = Result<Self, Box<dyn Error>>>;

    /// Reads a value and returns its length.
    fn get(&self, key: &Key) -> impl Future<Output = usize> + Send;
}

/// A key. All keys are created before the measurement, since that is not a cost of the client.
pub(crate) type Key = String;

/// The number of keys of each size.
pub(crate) const KEYS: usize = 1000;

/// Returns a key in the format of redis-benchmark.
pub(crate) fn key(size: usize, number: usize) -> Key {
    format!("{size}:{number:012}")
}

/// The load of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) size: usize,
    pub(crate) callers: usize,
    pub(crate) workers: usize,
}

/// The cost of one run.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) cpu_micros: f64,
    pub(crate) per_second: f64,
}

impl Load {
    /// Runs the callers on one runtime with all workers, and one client.
    pub(crate) fn run<R: Reader>(self, port: u16, calls: usize) -> Result<Cost, Box<dyn Error>> {
        let mut tokio = match self.workers {
            1 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let tokio = tokio.worker_threads(self.workers).enable_all().build()?;
        tokio.block_on(async {
            let client = R::connect(port).await?;
            self.call(&client, WARM_UP).await?;
            let (wall, cpu) = (clock(ClockId::Monotonic), clock(ClockId::ProcessCPUTime));
            self.call(&client, calls).await?;
            let wall = clock(ClockId::Monotonic) - wall;
            let cpu = clock(ClockId::ProcessCPUTime) - cpu;
            let calls = (calls / self.callers * self.callers) as f64;
            Ok(Cost {
                cpu_micros: cpu.as_secs_f64() * 1e6 / calls,
                per_second: calls / wall.as_secs_f64(),
            })
        })
    }

    /// Runs the callers on a runtime for each worker, each with a client of its own.
    pub(crate) fn run_apart<R: Reader>(
        self,
        port: u16,
        calls: usize,
    ) -> Result<Cost, Box<dyn Error>> {
        let workers = self.workers;
        let own = Self { callers: self.callers.div_ceil(workers), workers: 1, ..self };
        let (calls, together) = (calls / workers, Barrier::new(workers + 1));
        let work = || -> Result<(), Box<dyn Error>> {
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let client = tokio.block_on(R::connect(port));
            let warmed = client
                .and_then(|client| tokio.block_on(own.call(&client, WARM_UP)).map(|()| client));
            together.wait();
            let done = warmed.and_then(|client| tokio.block_on(own.call(&client, calls)));
            together.wait();
            done
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..workers)
                .map(|_| scope.spawn(|| work().map_err(|error| error.to_string())))
                .collect();
            together.wait();
            let (wall, cpu) = (clock(ClockId::Monotonic), clock(ClockId::ProcessCPUTime));
            together.wait();
            let wall = clock(ClockId::Monotonic) - wall;
            let cpu = clock(ClockId::ProcessCPUTime) - cpu;
            for worker in running {
                worker.join().map_err(|_| "a worker panicked")??;
            }
            let calls = (calls / own.callers * own.callers * workers) as f64;
            Ok(Cost {
                cpu_micros: cpu.as_secs_f64() * 1e6 / calls,
                per_second: calls / wall.as_secs_f64(),
            })
        })
    }

    async fn call<R: Reader>(self, client: &R, calls: usize) -> Result<(), Box<dyn Error>> {
        let Self { size, callers, .. } = self;
        let keys: Arc<[Key]> = (0..KEYS).map(|number| key(size, number)).collect();
        let callers: Vec<_> = (0..callers)
            .map(|caller| {
                let (client, keys) = (client.clone(), Arc::clone(&keys));
                tokio::spawn(async move {
                    for call in 0..calls / callers {
                        if client.get(&keys[(caller * 31 + call) % KEYS]).await != size {
                            return Err("a value differs from the written one");
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        Ok(())
    }
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
