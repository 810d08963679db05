//! The libraries, each in its own file with the same functions.

mod cached;
mod foyer;
mod hitbox;
mod hotshelf;
mod moka;
mod quick_cache;

use std::str::Lines;

use crate::Failure;
use crate::child::{self, Scenario};
use crate::loader::Loader;

/// A library with one of its backends or modes.
///
/// It is used in the documented way to read through the cache, with the option that makes
/// concurrent callers of a key share one load, if there is one.
pub(crate) trait Library: Sized + 'static {
    /// The name of its row.
    const LABEL: &'static str;
    /// Its crates; their versions are those of `Cargo.lock`.
    const CRATES: &'static [&'static str];
    /// The call that reads or loads.
    const CALL: &'static str;
    /// The call that invalidates a group of entries.
    const GROUP: Option<&'static str> = None;
    /// Whether processes share entries on Redis.
    const SHARED: bool = false;

    /// Creates an empty cache, or connects to the shared one.
    async fn open(redis_url: &str) -> Result<Self, Failure>;

    /// Returns the cached value, or loads it.
    async fn get_or_load(&self, key: &str, loader: &Loader) -> Result<u64, Failure>;

    /// Invalidates an entry.
    async fn invalidate(&self, key: &str) -> Result<(), Failure>;

    /// Invalidates the group of all entries whose key begins with `list:`.
    async fn invalidate_lists(&self) -> Result<(), Failure> {
        Err("groups are not supported".into())
    }
}

/// The properties of a [`Library`] that are needed to measure it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contestant {
    pub(crate) label: &'static str,
    pub(crate) crates: &'static [&'static str],
    pub(crate) call: &'static str,
    pub(crate) group: Option<&'static str>,
    pub(crate) shared: bool,
    /// Runs a scenario in this process.
    pub(crate) run: fn(Scenario, &str) -> Result<(), Failure>,
}

impl Contestant {
    /// Returns all contestants, in the order of the table.
    pub(crate) fn all() -> [Self; 10] {
        [
            Self::new::<moka::Moka>(),
            Self::new::<foyer::Foyer>(),
            Self::new::<quick_cache::QuickCache>(),
            Self::new::<cached::ByKey>(),
            Self::new::<cached::Locked>(),
            Self::new::<cached::OnRedis>(),
            Self::new::<hitbox::OnMoka>(),
            Self::new::<hitbox::OnRedis>(),
            Self::new::<hotshelf::InMemory>(),
            Self::new::<hotshelf::OnRedis>(),
        ]
    }

    pub(crate) fn labelled(label: &str) -> Result<Self, String> {
        let found = Self::all().into_iter().find(|contestant| contestant.label == label);
        found.ok_or_else(|| format!("unknown library {label:?}"))
    }

    /// Returns `true` for hotshelf.
    pub(crate) fn is_ours(&self) -> bool {
        self.crates.contains(&"hotshelf")
    }

    /// Returns its version, or those of its crates.
    pub(crate) fn versions(&self) -> String {
        if let [name] = self.crates {
            return locked_version(name).to_owned();
        }
        let versions = self.crates.iter().map(|name| format!("{name} {}", locked_version(name)));
        versions.collect::<Vec<_>>().join(", ")
    }

    fn new<L: Library>() -> Self {
        Self {
            label: L::LABEL,
            crates: L::CRATES,
            call: L::CALL,
            group: L::GROUP,
            shared: L::SHARED,
            run: child::run::<L>,
        }
    }
}

/// Returns the version of a crate in `Cargo.lock`.
fn locked_version(name: &str) -> &'static str {
    let mut lines: Lines<'static> = include_str!("../../../../Cargo.lock").lines();
    let wanted = format!("name = \"{name}\"");
    let version = lines.find(|line| *line == wanted).and_then(|_| lines.next());
    version.and_then(|line| line.split('"').nth(1)).unwrap_or("?")
}
