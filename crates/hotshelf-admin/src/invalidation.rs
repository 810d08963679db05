//! Invalidating: what it would remove first, then by whom it was done.

use hotshelf_core::observe::{EventKind, shortened};
use hotshelf_core::tag::TagId;
use hotshelf_core::{ByteCache, Error, ErrorKind, Pattern, WireKey};
use serde::Deserialize;
use serde_json::json;

use crate::Admin;
use crate::http::{Request, Response};

/// The number of names that are shown, the number of matches up to which a dry run counts them, and
/// the number of steps of its scan.
const NAMED: usize = 20;
const COUNTED: usize = 10_000;
const STEPS: usize = 200;

/// The longest name, in bytes.
const LONGEST: usize = 64 << 10;

/// Records an invalidation in the log and among the events, even if its visitor doesn't wait for the
/// end: it goes on then.
struct Audit<'a> {
    admin: &'a Admin,
    who: &'a str,
    what: String,
    /// What came of it, once it is known.
    done: Option<Result<Option<u64>, Error>>,
}

impl Audit<'_> {
    fn end(mut self, done: Result<Option<u64>, Error>) {
        self.done = Some(done);
    }
}

impl Drop for Audit<'_> {
    fn drop(&mut self) {
        let Self { admin, who, what, done } = self;
        let (verb, outcome) = match done.take() {
            Some(Ok(Some(removed))) => ("invalidated", format!("{removed} removed")),
            Some(Ok(None)) => ("invalidated", "done".to_owned()),
            Some(Err(error)) => ("failed to invalidate", error.to_string()),
            None => ("invalidated", "goes on: the visitor has left".to_owned()),
        };
        let what = format!("{verb} {what}");
        admin.log.add(admin.now(), who, &what, &outcome);
        admin.store.events().add(EventKind::Admin { who: (*who).to_owned(), what });
    }
}

#[derive(Deserialize)]
struct Wanted {
    by: String,
    name: String,
    dry_run: bool,
}

impl Admin {
    pub(crate) async fn invalidate(&self, request: &Request<'_>) -> Response {
        if !self.options.writes {
            return Response::error(403, "the page is read-only");
        }
        let Ok(wanted) = serde_json::from_slice::<Wanted>(request.body) else {
            return Response::error(400, "invalid request");
        };
        if wanted.name.is_empty() || wanted.name.len() > LONGEST {
            return Response::error(400, "name what is to be invalidated");
        }
        match wanted.dry_run {
            true => self.try_out(&wanted).await,
            false => self.carry_out(request.who, &wanted).await,
        }
    }

    /// Finds what an invalidation would remove. What would be refused is an error here, too.
    async fn try_out(&self, wanted: &Wanted) -> Response {
        let name = &wanted.name;
        let found = match wanted.by.as_str() {
            "key" => self.existing(name).await,
            "pattern" => match self.cache_of_pattern(name) {
                Ok(_) => self.matching(name).await,
                Err(error) => Err(error),
            },
            "cache" => match self.cache_by_id(name) {
                Ok(cache) => self.matching(&cache.key_pattern()).await,
                Err(error) => Err(error),
            },
            // Entries aren't known by their tags.
            "tag" => TagId::of(name).map(|_| (None, vec![name.clone()])),
            _ => return Response::error(400, "invalidate by key, tag, cache or pattern"),
        };
        let error = found.as_ref().err().map(ToString::to_string);
        let (matches, names) = found.unwrap_or_default();
        Response::json(&json!({
            "applied": false, "matches": matches, "names": names, "removed": null, "error": error,
        }))
    }

    async fn existing(&self, name: &str) -> Result<(Option<usize>, Vec<String>), Error> {
        let key = WireKey::from(name);
        self.cache_of_key(&key)?;
        let found = self.store.inspect(std::slice::from_ref(&key)).await?;
        let names: Vec<String> = found.into_iter().flatten().map(|found| found.key).collect();
        Ok((Some(names.len()), names))
    }

    async fn matching(&self, pattern: &str) -> Result<(Option<usize>, Vec<String>), Error> {
        let (mut count, mut names) = (0, Vec::new());
        let mut scan = self.store.scan(&Pattern::new(pattern))?;
        for _ in 0..STEPS {
            let Some(keys) = scan.next().await? else { return Ok((Some(count), names)) };
            count += keys.len();
            let further = keys.iter().take(NAMED - names.len()).map(|key| key.as_str().to_owned());
            names.extend(further);
            if count >= COUNTED {
                break;
            }
        }
        Ok((None, names))
    }

    async fn carry_out(&self, who: &str, wanted: &Wanted) -> Response {
        let Wanted { by, name, .. } = wanted;
        if !matches!(by.as_str(), "key" | "tag" | "cache" | "pattern") {
            return Response::error(400, "invalidate by key, tag, cache or pattern");
        }
        let audit =
            Audit { admin: self, who, what: format!("the {by} {}", shortened(name)), done: None };
        let done = match by.as_str() {
            "key" => self.remove_key(name).await,
            "tag" => self.store.invalidate_tags([Ok(name.as_str())], []).await.map(|()| None),
            "cache" => match self.cache_by_id(name) {
                Ok(cache) => cache.invalidate_all().await.map(Some),
                Err(error) => Err(error),
            },
            _ => self.remove_matching(name).await,
        };
        let removed = done.as_ref().ok().copied().flatten();
        let error = done.as_ref().err().map(ToString::to_string);
        audit.end(done);
        Response::json(&json!({
            "applied": error.is_none(), "matches": null, "names": [name], "removed": removed,
            "error": error,
        }))
    }

    async fn remove_key(&self, name: &str) -> Result<Option<u64>, Error> {
        let key = WireKey::from(name);
        let cache = self.cache_of_key(&key)?;
        cache.invalidate(vec![Ok(key.into())]).await.map(Some)
    }

    /// Removes what matches a pattern of exact keys, in the caches that it may be of.
    async fn remove_matching(&self, pattern: &str) -> Result<Option<u64>, Error> {
        let cache = self.cache_of_pattern(pattern)?;
        cache.remove_matching(&Pattern::new(pattern)).await.map(Some)
    }

    fn cache_by_id(&self, id: &str) -> Result<ByteCache, Error> {
        let unknown = || Error::new(ErrorKind::Key, "there is no such cache");
        self.store.caches_by_id(id).into_iter().next().ok_or_else(unknown)
    }

    fn cache_of_key(&self, key: &WireKey) -> Result<ByteCache, Error> {
        let unknown = || Error::new(ErrorKind::Key, "the key is of no cache of this process");
        self.store.cache_of(key).ok_or_else(unknown)
    }

    fn cache_of_pattern(&self, pattern: &str) -> Result<ByteCache, Error> {
        let unknown = || {
            let message = "the pattern has to begin with the prefix, version and name of a cache";
            Error::new(ErrorKind::Key, message)
        };
        self.store.cache_of(&WireKey::from(pattern)).ok_or_else(unknown)
    }
}
