//! The caches of a store. Each is registered once, however often it is built.

use std::any::{TypeId, type_name};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::codec::ErasedCodec;
use crate::context::{CacheContext, CacheOptions, TagRule};
use crate::error::{Error, ErrorKind};
use crate::key::{KeyLayout, Namespace};
use crate::observe::CacheMetrics;
use crate::stats::CacheStats;
use crate::sync::Mutex;

/// The prefixes that were declared in this process, for all its stores.
static DECLARED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Declares a prefix: invalidations by tag reach all its caches, on every store, whether or
/// not this process builds any of them.
pub fn declare_prefix(prefix: &str) {
    let mut declared = DECLARED.lock();
    if !declared.contains(prefix) {
        declared.insert(prefix.to_owned());
    }
}

/// The caches that were built, and whether they are enabled.
///
/// A cache stays registered for as long as the store, and takes about 1.2 KB: build one for each
/// kind of value, not one for each tenant or user.
pub(crate) struct Registry {
    caches: Mutex<BTreeMap<CacheId, Arc<CacheContext>>>,
    /// The distinct prefixes of the caches. An invalidation by tag shares them.
    prefixes: Mutex<Arc<BTreeSet<String>>>,
    pub(crate) enabled: Arc<AtomicBool>,
    /// Whether an invalid tag was logged.
    pub(crate) logged_tag: AtomicBool,
}

/// Prefix, version, name and kind of values.
type CacheId = (String, Option<String>, String, ValueKind);

/// The kind of a cache's values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValueKind {
    name: Cow<'static, str>,
    type_id: Option<TypeId>,
}

/// The definition of a cache.
#[derive(Clone, Debug)]
pub struct CacheDefinition {
    /// The namespace of its keys.
    pub namespace: Namespace,
    /// The kind of its values.
    pub kind: ValueKind,
    /// Its options.
    pub options: CacheOptions,
    /// Encodes and decodes its values.
    pub codec: Arc<dyn ErasedCodec>,
    /// The tags that its entries get from their keys, in addition to those of each call.
    pub tag_rule: Option<TagRule>,
}

/// One cache of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheInfo {
    /// The prefix of its keys.
    pub prefix: String,
    /// The version in its keys.
    pub version: Option<String>,
    /// Its name.
    pub name: String,
    /// The kind of its values.
    pub value_type: Cow<'static, str>,
    /// How its values are encoded.
    pub codec: Cow<'static, str>,
    /// Its counters in this process.
    pub stats: CacheStats,
}

impl CacheInfo {
    /// Returns the [id](super::ByteCache::id) of the cache.
    #[must_use]
    pub fn id(&self) -> String {
        super::cache_id(&self.prefix, self.version.as_deref(), &self.name)
    }
}

impl ValueKind {
    /// Returns the kind of the values of a Rust type.
    #[must_use]
    pub fn of<T: 'static>() -> Self {
        Self { name: type_name::<T>().into(), type_id: Some(TypeId::of::<T>()) }
    }

    /// Returns a kind that is distinguished by its name alone.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), type_id: None }
    }
}

impl Registry {
    pub(crate) fn new(enabled: bool) -> Self {
        let enabled = Arc::new(AtomicBool::new(enabled));
        let (caches, prefixes) = (Mutex::default(), Mutex::default());
        Self { caches, prefixes, enabled, logged_tag: AtomicBool::new(false) }
    }

    /// Returns the cache that was built with this definition before, or builds it.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Configuration`] if the options are invalid, or if
    /// the cache was built with other options or another kind of values before, unless they
    /// `may_differ`. In that case its views share flights and counters anyway, and caches of
    /// different kinds are different caches. So are they in fastapi-rc's layout, where
    /// services keep values of several kinds under one name.
    pub(crate) fn get_or_build(
        &self,
        definition: CacheDefinition,
        may_differ: bool,
    ) -> Result<Arc<CacheContext>, Error> {
        let CacheDefinition { namespace, kind, .. } = &definition;
        let id = (
            namespace.prefix_name().to_owned(),
            namespace.version_name().map(str::to_owned),
            namespace.name().to_owned(),
            kind.clone(),
        );
        let mut caches = self.caches.lock();
        if namespace.layout_in_use() == KeyLayout::Injective && !caches.contains_key(&id) {
            let names = |(prefix, version, name, _): &&CacheId| {
                (prefix, version, name) == (&id.0, &id.1, &id.2)
            };
            if let Some((.., other)) = caches.keys().find(names) {
                let error = kind_conflict(namespace, other, kind);
                if !may_differ {
                    return Err(error);
                }
                tracing::warn!("{error}; their entries are misses to each other");
            }
        }
        match caches.get(&id) {
            Some(registered) if is_same(registered, &definition) => Ok(Arc::clone(registered)),
            Some(registered) if !may_differ => Err(options_conflict(registered, &definition)),
            Some(registered) => {
                let mut view = definition.into_context(registered.number, &self.enabled)?;
                view.stats = Arc::clone(&registered.stats);
                view.logged = Arc::clone(&registered.logged);
                Ok(Arc::new(view))
            }
            None => {
                let number = caches.len() as u64;
                let context = definition.into_context(number, &self.enabled)?;
                let context = Arc::new(context);
                let mut prefixes = self.prefixes.lock();
                if !prefixes.contains(&id.0) {
                    Arc::make_mut(&mut prefixes).insert(id.0.clone());
                }
                drop(prefixes);
                caches.insert(id, Arc::clone(&context));
                Ok(context)
            }
        }
    }

    /// Returns the prefixes of all caches, and the declared ones that are not among them.
    pub(crate) fn prefixes(&self) -> (Arc<BTreeSet<String>>, Vec<String>) {
        let own = Arc::clone(&self.prefixes.lock());
        let declared = DECLARED.lock();
        let others = declared.iter().filter(|prefix| !own.contains(*prefix)).cloned().collect();
        (own, others)
    }

    /// Returns the contexts of all caches.
    pub(crate) fn contexts(&self) -> Vec<Arc<CacheContext>> {
        self.caches.lock().values().cloned().collect()
    }

    /// Returns the metrics of the caches. Those of several kinds of values under one name are one.
    pub(crate) fn metrics(&self) -> Vec<CacheMetrics> {
        let mut metrics: Vec<CacheMetrics> = Vec::new();
        for (id, context) in &*self.caches.lock() {
            let of_one = CacheMetrics::new(info(id, context), context);
            match metrics.last_mut().filter(|last| last.is_same_name(&of_one)) {
                Some(last) => last.add(&of_one),
                None => metrics.push(of_one),
            }
        }
        metrics
    }

    /// Returns the caches, ordered by prefix, version and name.
    pub(crate) fn infos(&self) -> Vec<CacheInfo> {
        self.caches.lock().iter().map(|(id, context)| info(id, context)).collect()
    }
}

impl CacheDefinition {
    fn into_context(self, number: u64, enabled: &Arc<AtomicBool>) -> Result<CacheContext, Error> {
        let Self { namespace, options, codec, tag_rule, .. } = self;
        CacheContext::new(namespace, options, codec, tag_rule, number, enabled)
    }
}

fn info((prefix, version, name, kind): &CacheId, context: &CacheContext) -> CacheInfo {
    CacheInfo {
        prefix: prefix.clone(),
        version: version.clone(),
        name: name.clone(),
        value_type: kind.name.clone(),
        codec: context.codec.name(),
        stats: context.stats.read(),
    }
}

fn is_same(registered: &CacheContext, definition: &CacheDefinition) -> bool {
    registered.options == definition.options
        && registered.codec.name() == definition.codec.name()
        && registered.namespace.layout_in_use() == definition.namespace.layout_in_use()
        && is_same_rule(registered, definition)
}

fn is_same_rule(registered: &CacheContext, definition: &CacheDefinition) -> bool {
    match (&registered.tag_rule, &definition.tag_rule) {
        (None, None) => true,
        (Some(one), Some(other)) => one.is_same(other),
        _ => false,
    }
}

fn kind_conflict(namespace: &Namespace, registered: &ValueKind, kind: &ValueKind) -> Error {
    let name = namespace.name();
    let (registered, kind) = (&registered.name, &kind.name);
    let message = format!(
        "cache {name:?} holds values of type {registered}, not {kind}: give one of them \
         another name or version"
    );
    Error::new(ErrorKind::Configuration, message)
}

fn options_conflict(registered: &CacheContext, definition: &CacheDefinition) -> Error {
    let name = definition.namespace.name();
    let lines = |namespace: &Namespace, codec: &dyn ErasedCodec, options: &CacheOptions| {
        let (layout, codec) = (namespace.layout_in_use(), codec.name());
        format!("layout: {layout:?},\ncodec: {codec},\n{options:#?}")
    };
    let (before, now) = (
        lines(&registered.namespace, &*registered.codec, &registered.options),
        lines(&definition.namespace, &*definition.codec, &definition.options),
    );
    let trimmed = |line: &str| line.trim().trim_end_matches(',').to_owned();
    let mut differences: Vec<String> = before
        .lines()
        .zip(now.lines())
        .filter(|(before, now)| before != now)
        .map(|(before, now)| format!("{}, now {}", trimmed(before), trimmed(now)))
        .collect();
    if !is_same_rule(registered, definition) {
        differences.push("other `tags`, or tags by a closure that captures values".to_owned());
    }
    let differences = differences.join("; ");
    Error::new(
        ErrorKind::Configuration,
        format!(
            "cache {name:?} was already built with other options ({differences}): build it once \
             and clone the handle, or give it another name"
        ),
    )
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let caches = self.caches.lock();
        let names = caches.values().map(|cache| (cache.number, cache.namespace.name().to_owned()));
        formatter.debug_map().entries(names).finish()
    }
}
