//! One measurement of one library, in its own process.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Stdin};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::{runtime, time};

use crate::Failure;
use crate::library::Library;
use crate::loader::Loader;

/// The number of races of each kind, each on a new key.
pub(crate) const ROUNDS: u64 = 10;

/// The number of callers of the cold key in each process.
pub(crate) const CALLERS: u64 = 1_000;

/// How much longer a load of the cold key takes after all callers have asked. By then the
/// libraries that first read Redis have seen the miss, and callers load or wait for a load:
/// the case that they are designed for.
const LOAD: Duration = Duration::from_secs(1);

/// A timeout longer than any step that does not hang.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How long an invalidation may wait for a suspended load before the load is resumed.
const HELD: Duration = Duration::from_millis(500);

/// A measured scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// The race, with an invalidation by key.
    Key,
    /// The race, with an invalidation of a group.
    Group,
    /// Concurrent callers of one cold key.
    Cold,
}

impl Scenario {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Group => "group",
            Self::Cold => "cold",
        }
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let scenario =
            [Self::Key, Self::Group, Self::Cold].into_iter().find(|it| it.name() == name);
        scenario.ok_or_else(|| format!("unknown scenario {name:?}"))
    }
}

/// Runs one scenario and prints its figures: `STALE BLOCKED` of a race, or `LOADS`.
///
/// There is only one thread: between two awaits of a task no other task runs.
pub(crate) fn run<L: Library>(scenario: Scenario, redis_url: &str) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let result = LocalSet::new().block_on(&runtime, async {
        let library = Rc::new(within(L::open(redis_url)).await??);
        match scenario {
            Scenario::Key | Scenario::Group => races(&library, scenario).await,
            Scenario::Cold => cold(&library).await,
        }
    });
    // A pending read of the standard input must not keep the process running.
    runtime.shutdown_background();
    result
}

async fn races<L: Library>(library: &Rc<L>, scenario: Scenario) -> Result<(), Failure> {
    let (mut stale, mut blocked) = (0, 0);
    for round in 0..ROUNDS {
        let race = race(library, scenario, round).await?;
        stale += u64::from(race.stale);
        blocked += u64::from(race.blocked);
    }
    println!("{stale} {blocked}");
    Ok(())
}

/// The result of a race.
struct Race {
    /// The read after the invalidation returned the old value.
    stale: bool,
    /// The invalidation did not return before the load had ended.
    blocked: bool,
}

/// Invalidates while a load is in flight, and reads afterwards.
async fn race<L: Library>(
    library: &Rc<L>,
    scenario: Scenario,
    round: u64,
) -> Result<Race, Failure> {
    let loader = Loader::new();
    let key = if scenario == Scenario::Group { "list" } else { "item" };
    let key = format!("{key}:{round}");

    let load = spawn_load(library, &key, &loader);
    within(loader.begun()).await?;
    let current = loader.change();

    let mut invalidation = spawn_invalidation(library, &key, scenario);
    let answered = time::timeout(HELD, &mut invalidation).await;
    loader.finish();
    let blocked = answered.is_err();
    match answered {
        Ok(answer) => answer??,
        Err(_) => within(invalidation).await???,
    }
    within(load).await???;

    let read = within(library.get_or_load(&key, &loader)).await??;
    Ok(Race { stale: read < current, blocked })
}

fn spawn_load<L: Library>(
    library: &Rc<L>,
    key: &str,
    loader: &Loader,
) -> JoinHandle<Result<u64, Failure>> {
    let (library, key, loader) = (Rc::clone(library), key.to_owned(), loader.clone());
    spawn_local(async move { library.get_or_load(&key, &loader).await })
}

fn spawn_invalidation<L: Library>(
    library: &Rc<L>,
    key: &str,
    scenario: Scenario,
) -> JoinHandle<Result<(), Failure>> {
    let (library, key) = (Rc::clone(library), key.to_owned());
    spawn_local(async move {
        match scenario {
            Scenario::Group => library.invalidate_lists().await,
            _ => library.invalidate(&key).await,
        }
    })
}

/// Runs concurrent calls for one cold key. No load ends before all callers in all processes
/// have asked: the parent ensures that, by a line in each direction.
async fn cold<L: Library>(library: &Rc<L>) -> Result<(), Failure> {
    let mut parent = BufReader::new(tokio::io::stdin());
    exchange("ready", &mut parent).await?;

    let loader = Loader::new();
    let (asked, all_asked) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
    let callers = (0..CALLERS).map(|_| {
        let (library, loader) = (Rc::clone(library), loader.clone());
        let (asked, all_asked) = (Rc::clone(&asked), Rc::clone(&all_asked));
        spawn_local(async move {
            asked.set(asked.get() + 1);
            if asked.get() == CALLERS {
                all_asked.notify_one();
            }
            library.get_or_load("cold", &loader).await
        })
    });
    let callers: Vec<_> = callers.collect();
    within(all_asked.notified()).await?;

    exchange("asked", &mut parent).await?;
    take(LOAD).await;
    loader.finish();
    for caller in callers {
        let value = within(caller).await???;
        if value != 1 {
            return Err(format!("a caller got {value}, which was never stored").into());
        }
    }
    println!("{}", loader.loads());
    Ok(())
}

/// Sends the parent a word and waits for its answer.
async fn exchange(word: &str, parent: &mut BufReader<Stdin>) -> Result<(), Failure> {
    println!("{word}");
    let mut answer = String::new();
    within(parent.read_line(&mut answer)).await??;
    if answer.is_empty() { Err("the parent has exited".into()) } else { Ok(()) }
}

#[expect(clippy::disallowed_methods, reason = "libraries that only support real time")]
async fn take(time: Duration) {
    time::sleep(time).await;
}

/// Limits a wait, so that nothing hangs.
async fn within<F: Future>(future: F) -> Result<F::Output, Failure> {
    let answer = time::timeout(TIMEOUT, future).await;
    answer.map_err(|_| format!("no answer within {TIMEOUT:?}").into())
}
