//! Tags as an option of a cache.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use crate::error::Error;
use crate::key::Key;
use crate::sync::RwLock;
use crate::tag::{TagId, Tags};

/// A rule that returns the tags of an entry from its key.
#[derive(Clone)]
pub struct TagRule {
    names: Arc<Names>,
    /// The function, unless it captures values: then two of one type may differ.
    identity: Option<TypeId>,
}

type Names = dyn Fn(&Key<'_>) -> Vec<String> + Send + Sync;

impl TagRule {
    /// Creates a rule from a function that returns the names of an entry's tags. The function
    /// runs in every call.
    pub fn new<F: Fn(&Key<'_>) -> Vec<String> + Send + Sync + 'static>(names: F) -> Self {
        let identity = (size_of::<F>() == 0).then(TypeId::of::<F>);
        Self { names: Arc::new(names), identity }
    }

    /// Returns `true` if both rules are known to return the same tags.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let is_shared = Arc::ptr_eq(&self.names, &other.names);
        is_shared || self.identity.is_some() && self.identity == other.identity
    }

    /// Returns the names of an entry's tags.
    pub(crate) fn names(&self, key: &Key<'_>) -> Vec<String> {
        (self.names)(key)
    }
}

/// The sets of tags that a cache's rule has returned, and those that calls have named: to make
/// one again would take longer than a hit in memory.
#[derive(Default)]
pub(crate) struct TagSets {
    of_rule: RwLock<HashMap<Vec<String>, Arc<Tags>>>,
    of_calls: RwLock<HashMap<Vec<TagId>, Arc<Tags>>>,
}

/// The number of sets after which all of a kind are forgotten: a rule may name a tag for each key.
const MOST_SETS: usize = 1_024;

/// How long the names of a set are at most that is remembered, in bytes.
const LONGEST_NAMES: usize = 2_048;

impl TagSets {
    /// Returns a cache's own tags together with those of these names.
    ///
    /// # Errors
    /// As [`TagId::of`] and [`Tags::with`].
    pub(crate) fn of(&self, own: &Tags, names: Vec<String>) -> Result<Arc<Tags>, Error> {
        let make = |names: &Vec<String>| {
            let ids = names.iter().map(|name| TagId::of(name));
            own.with(ids.collect::<Result<Vec<_>, _>>()?)
        };
        match names.iter().map(String::len).sum::<usize>() {
            0..=LONGEST_NAMES => known(&self.of_rule, names, make),
            _ => make(&names).map(Arc::new),
        }
    }

    /// Returns the tags of a key together with those that a call names: an entry must carry these,
    /// and no others.
    ///
    /// # Errors
    /// As [`Tags::with`].
    pub(crate) fn of_call(&self, own: &Tags, named: &[TagId]) -> Result<Arc<Tags>, Error> {
        let all = [own.ids(), named].concat();
        known(&self.of_calls, all, |_| Ok(own.with(named.iter().copied())?.exactly()))
    }
}

/// Returns the set of this name, or makes it.
fn known<N: Eq + Hash>(
    sets: &RwLock<HashMap<N, Arc<Tags>>>,
    name: N,
    make: impl FnOnce(&N) -> Result<Tags, Error>,
) -> Result<Arc<Tags>, Error> {
    if let Some(known) = sets.read().get(&name) {
        return Ok(Arc::clone(known));
    }
    let tags = Arc::new(make(&name)?);
    let mut sets = sets.write();
    if sets.len() >= MOST_SETS {
        sets.clear();
    }
    sets.insert(name, Arc::clone(&tags));
    Ok(tags)
}

impl fmt::Debug for TagRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TagRule")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_remembered_up_to_a_bound() {
        let (sets, own) = (TagSets::default(), Tags::none("p".into()));
        let set = |name: &str| sets.of(&own, vec![name.to_owned(), "all".to_owned()]);
        let first = set("a").unwrap();
        assert_eq!(*first, own.with(["a", "all"].map(|name| TagId::of(name).unwrap())).unwrap());
        assert!(Arc::ptr_eq(&first, &set("a").unwrap()));
        for number in 0..MOST_SETS {
            set(&format!("b{number}")).unwrap();
        }
        assert_eq!(set("a").unwrap(), first);
        assert!(sets.of_rule.read().len() <= MOST_SETS);
        assert!(set("").is_err());
    }

    #[test]
    fn tags_of_a_call_are_those_of_its_key_and_its_own() {
        let id = |name: &str| TagId::of(name).unwrap();
        let sets = TagSets::default();
        let (none, some) = (Tags::none("p".into()), Tags::new("p".into(), [id("own")]).unwrap());
        for own in [&none, &some, &none] {
            let of_call = sets.of_call(own, &[id("b"), id("a"), id("b")]).unwrap();
            assert_eq!(*of_call, own.with([id("a"), id("b")]).unwrap().exactly());
        }
        let many: Vec<TagId> = (0..200).map(|number| id(&number.to_string())).collect();
        assert!(sets.of_call(&none, &many).is_err());
    }
}
