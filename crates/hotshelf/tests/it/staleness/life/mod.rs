//! Any sequence of calls and changes of one key, by two processes, against a model of an entry's
//! life. `PROPTEST_CASES=100000` tries more than the 256 of every run, which take about a second.

mod reference;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hotshelf::testing::TestStore;
use hotshelf::{Cache, LoadContext, LoadError, Store};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseResult;

use super::settle;
use reference::{Change, Given, Load, Options, Process, Reference, Step};

fn options() -> impl Strategy<Value = Options> {
    let windows = || select(vec![0, 2_000, 20_000]);
    (select(vec![1_000, 5_000, 60_000]), windows(), windows(), pauses(), pauses()).prop_map(
        |(time_to_live, revalidate, on_error, throttle, backoff)| Options {
            time_to_live,
            revalidate,
            on_error,
            throttle,
            backoff,
        },
    )
}

fn pauses() -> impl Strategy<Value = u64> {
    select(vec![0, 500, 3_000, 30_000])
}

fn process() -> impl Strategy<Value = Process> {
    0_usize..2
}

fn change() -> impl Strategy<Value = Change> {
    select(vec![Change::Insert, Change::Expire, Change::InvalidateKey, Change::InvalidateTag])
}

fn load() -> impl Strategy<Value = Load> {
    let meanwhile = prop_oneof![
        3 => Just(None),
        1 => (process(), change()).prop_map(Some),
    ];
    (process(), any::<bool>(), any::<bool>(), select(vec![0, 300]), meanwhile).prop_map(
        |(process, apart, fails, takes, meanwhile)| Load {
            process,
            apart,
            fails,
            takes,
            meanwhile,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let time = prop_oneof![
        select(vec![1, 249, 250, 251, 500, 999, 1_000, 2_000, 3_000, 5_000, 20_000, 60_000]),
        0_u64..6_000,
    ];
    prop_oneof![
        4 => time.prop_map(Step::Advance),
        6 => load().prop_map(Step::Load),
        2 => (process(), change()).prop_map(|(process, change)| Step::Change(process, change)),
        1 => process().prop_map(Step::Get),
        1 => process().prop_map(Step::Remaining),
    ]
}

/// Two processes, and the values that they load and insert, which are counted.
#[derive(Clone)]
struct World {
    test: Arc<TestStore>,
    caches: [Cache<u32>; 2],
    last: Arc<AtomicU32>,
    loads: Arc<AtomicU32>,
}

impl World {
    fn new(options: Options) -> Self {
        let build = |store: &Store| {
            let builder = store.cache::<u32>("numbers").tags(|_| ["all"]);
            let builder = builder.time_to_live(Duration::from_millis(options.time_to_live));
            builder
                .stale_while_revalidate(Duration::from_millis(options.revalidate))
                .stale_if_error(Duration::from_millis(options.on_error))
                .error_throttle(Duration::from_millis(options.throttle))
                .error_backoff(Duration::from_millis(options.backoff))
                .build()
                .unwrap()
        };
        let test = TestStore::new();
        let caches = [build(test.store()), build(&test.another_store())];
        Self { test: Arc::new(test), caches, last: Arc::default(), loads: Arc::default() }
    }

    fn next(&self) -> u32 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    async fn change(&self, process: Process, change: Change) -> bool {
        let cache = &self.caches[process];
        match change {
            Change::Expire => cache.expire("k").await.unwrap(),
            Change::InvalidateKey => cache.invalidate("k").await.is_ok(),
            Change::InvalidateTag => cache.invalidate_tag("all").await.is_ok(),
            Change::Insert => cache.insert("k", self.next()).await,
        }
    }

    async fn run(self, load: Load) -> Result<u32, ()> {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.test.advance(Duration::from_millis(load.takes));
        if let Some((process, change)) = load.meanwhile {
            self.change(process, change).await;
        }
        if load.fails { Err(()) } else { Ok(self.next()) }
    }

    async fn load(&self, load: Load) -> Given {
        let entry = self.caches[load.process].entry("k");
        let run = self.clone().run(load);
        let loaded = match load.apart {
            true => entry.or_refresh_with(move |_| run).await,
            false => entry.or_load(async |_: LoadContext<u32>| run.await).await,
        };
        match loaded {
            Ok(value) => Given::Value(*value),
            Err(LoadError::Failed(_)) => Given::Failed,
            Err(LoadError::BackingOff(left)) => Given::BackingOff(left),
            Err(error) => panic!("no timeout is set: {error:?}"),
        }
    }

    /// Does the same to the caches and to their model, and compares what both say.
    async fn step(&self, step: Step, model: &mut Reference) -> TestCaseResult {
        match step {
            Step::Advance(millis) => {
                self.test.advance(Duration::from_millis(millis));
                model.now += millis;
            }
            Step::Change(process, change) => {
                prop_assert_eq!(self.change(process, change).await, model.change(change));
            }
            Step::Get(process) => {
                prop_assert_eq!(
                    self.caches[process].get("k").await.as_deref().copied(),
                    model.get()
                );
            }
            Step::Remaining(process) => {
                prop_assert_eq!(self.caches[process].remaining("k").await, model.remaining());
            }
            Step::Load(load) => {
                let before = self.loads.load(Ordering::Relaxed);
                let given = self.load(load).await;
                settle().await;
                let loads = self.loads.load(Ordering::Relaxed) - before;
                let (expected, runs) = model.load(load);
                prop_assert_eq!((given, loads), (expected, u32::from(runs)));
                prop_assert_eq!(self.last.load(Ordering::Relaxed), model.last);
            }
        }
        Ok(())
    }
}

async fn lives(options: Options, steps: Vec<Step>) -> TestCaseResult {
    let (world, mut model) = (World::new(options), Reference::new(options));
    for (number, step) in steps.into_iter().enumerate() {
        let stepped = world.step(step, &mut model).await;
        stepped
            .map_err(|error| TestCaseError::fail(format!("step {number}, {step:?}: {error}")))?;
        for cache in &world.caches {
            let found = cache.get("k").await.as_deref().copied();
            prop_assert_eq!(found, model.get(), "after step {}, {:?}", number, step);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn entries_live_as_promised(
        options in options(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(lives(options, steps))?;
    }
}
