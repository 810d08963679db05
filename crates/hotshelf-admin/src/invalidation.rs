//! Invalidating: what it would remove first, then by whom it was done.

use hotshelf_core::observe::EventKind;
use hotshelf_core::{Error, ErrorKind, Pattern, WireKey};
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

    /// Finds what an invalidation would remove.
    async fn try_out(&self, wanted: &Wanted) -> Response {
        let found = match wanted.by.as_str() {
            "key" => self.existing(&WireKey::from(wanted.name.as_str())).await,
            "pattern" => self.matching(&wanted.name).await,
            "cache" => match self.store.caches_by_id(&wanted.name).into_iter().next() {
                Some(cache) => self.matching(&cache.key_pattern()).await,
                None => Err(Error::new(ErrorKind::Key, "there is no such cache")),
            },
            // Entries aren't known by their tags.
            "tag" => Ok((None, vec![wanted.name.clone()])),
            _ => return Response::error(400, "invalidate by key, tag, cache or pattern"),
        };
        let error = found.as_ref().err().map(ToString::to_string);
        let (matches, names) = found.unwrap_or_default();
        Response::json(&json!({
            "applied": false, "matches": matches, "names": names, "removed": null, "error": error,
        }))
    }

    async fn existing(&self, key: &WireKey) -> Result<(Option<usize>, Vec<String>), Error> {
        let found = self.store.inspect(std::slice::from_ref(key)).await?;
        Ok((Some(found.into_iter().flatten().count()), vec![key.as_str().to_owned()]))
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
        let done = match by.as_str() {
            "key" => self.remove_key(name).await,
            "tag" => self.store.invalidate_tags([Ok(name.as_str())], []).await.map(|()| None),
            "cache" => match self.store.caches_by_id(name).into_iter().next() {
                Some(cache) => cache.invalidate_all().await.map(Some),
                None => Err(Error::new(ErrorKind::Key, "there is no such cache")),
            },
            "pattern" => self.remove_matching(name).await,
            _ => return Response::error(400, "invalidate by key, tag, cache or pattern"),
        };
        let (removed, error) = match done {
            Ok(removed) => (removed, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let what = format!("invalidated the {by} {name}");
        let outcome = match (&error, removed) {
            (Some(error), _) => error.clone(),
            (None, Some(removed)) => format!("{removed} removed"),
            (None, None) => "done".to_owned(),
        };
        self.log.add(self.now(), who, &what, &outcome);
        self.store.events().add(EventKind::Admin { who: who.to_owned(), what });
        Response::json(&json!({
            "applied": error.is_none(), "matches": null, "names": [name], "removed": removed,
            "error": error,
        }))
    }

    async fn remove_key(&self, name: &str) -> Result<Option<u64>, Error> {
        let key = WireKey::from(name);
        let unknown = || Error::new(ErrorKind::Key, "the key is of no cache of this process");
        let cache = self.store.cache_of(&key).ok_or_else(unknown)?;
        cache.invalidate(vec![Ok(key.into())]).await.map(Some)
    }

    /// Removes what matches a pattern of exact keys, in the caches that it may be of.
    async fn remove_matching(&self, pattern: &str) -> Result<Option<u64>, Error> {
        let unknown = || {
            let message = "the pattern has to begin with the prefix, version and name of a cache";
            Error::new(ErrorKind::Key, message)
        };
        let cache = self.store.cache_of(&WireKey::from(pattern)).ok_or_else(unknown)?;
        cache.remove_matching(&Pattern::new(pattern)).await.map(Some)
    }
}
