//! `hotshelf invalidate`.

use hotshelf_core::cache::{CacheDefinition, CacheOptions, ValueKind};
use hotshelf_core::codec::{Raw, erase};
use hotshelf_core::key::OWN_PREFIX;
use hotshelf_core::{ByteCache, Namespace, Pattern, WireKey};
use serde::Serialize;

use crate::failure::{Failure, NOT_FOUND};
use crate::key_scan::Step;
use crate::names::wire_key;
use crate::output::{counted, escape, separated};
use crate::session::Session;
use crate::terminal::Stream;

/// The number of names that a dry run shows.
const NAMED: usize = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct InvalidateArguments {
    #[command(flatten)]
    target: Target,
    /// The prefix of the caches that use the tags. Can be repeated
    #[arg(long, value_name = "PREFIX", requires = "tag")]
    prefix: Vec<String>,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Don't ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// An exact key. Can be repeated
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// A tag, in the caches of each --prefix. Can be repeated
    #[arg(long, value_name = "TAG", requires = "prefix")]
    tag: Vec<String>,
    /// All entries of a cache, as `prefix:version:name`
    #[arg(long, value_name = "CACHE")]
    cache: Option<String>,
    /// All entries whose exact key matches a glob that begins literally, such as `shop:v1:*`
    #[arg(long, value_name = "GLOB")]
    pattern: Option<String>,
}

/// What is invalidated.
enum What {
    Keys(Vec<WireKey>),
    Tags(Vec<String>),
    Matching(Pattern),
}

#[derive(Serialize)]
struct Invalidated {
    by: &'static str,
    dry_run: bool,
    applied: bool,
    /// The number of entries before; `None` by tag: entries aren't known by their tags.
    matches: Option<usize>,
    /// The first of them, or the tags.
    names: Vec<String>,
    /// The number of removed entries, and by key of leases; `None` by tag.
    removed: Option<u64>,
}

pub(crate) async fn run(arguments: InvalidateArguments, session: &Session) -> Result<u8, Failure> {
    let what = what(&arguments.target, session)?;
    let InvalidateArguments { prefix, dry_run, yes, .. } = arguments;
    let asks = !yes && !dry_run;
    if asks && !session.terminal.is_interactive(Stream::Input) {
        let message =
            "there is nobody to ask: add --yes, or --dry-run to see what would be removed";
        return Err(Failure::Usage(message.to_owned()));
    }
    let by = match what {
        What::Keys(_) => "key",
        What::Tags(_) => "tag",
        What::Matching(_) => "pattern",
    };
    let (matches, names) = match asks || dry_run {
        true => find(&what, session).await?,
        false => (None, Vec::new()),
    };
    let mut invalidated =
        Invalidated { by, dry_run, applied: false, matches, names, removed: None };
    if asks && !confirm(&invalidated, session)? {
        return Err(Failure::NotFound("nothing was invalidated".to_owned()));
    }
    if !dry_run {
        invalidated.removed = carry_out(&what, prefix, session).await?;
        invalidated.applied = true;
    }
    session.show(&invalidated, || text(&invalidated))?;
    let is_missing = dry_run && invalidated.matches == Some(0);
    Ok(if is_missing { NOT_FOUND } else { crate::failure::DONE })
}

fn what(target: &Target, session: &Session) -> Result<What, Failure> {
    if let Some(cache) = &target.cache {
        if cache.matches(':').count() != 2 || cache.starts_with(OWN_PREFIX) {
            let message =
                format!("invalid cache {cache}: use prefix:version:name, as `info` shows it");
            return Err(Failure::Usage(message));
        }
        return Ok(What::Matching(Pattern::new(format!("{}:*", Pattern::escape(cache)))));
    }
    if let Some(glob) = &target.pattern {
        let literal = glob.find(['*', '?', '[', '\\']).unwrap_or(glob.len());
        // It must not match in full or in part.
        let begin = &glob.as_bytes()[..literal.min(OWN_PREFIX.len())];
        let is_own = OWN_PREFIX.as_bytes().starts_with(begin);
        if literal == 0 || is_own {
            let message = format!(
                "invalid pattern {glob}: begin it with the prefix of a cache, as in `shop:v1:*`"
            );
            return Err(Failure::Usage(message));
        }
        return Ok(What::Matching(Pattern::new(glob.clone())));
    }
    if !target.tag.is_empty() {
        return Ok(What::Tags(target.tag.clone()));
    }
    let keys = target.key.iter().map(|key| entry_key(&session.key(key)?));
    Ok(What::Keys(keys.collect::<Result<_, _>>()?))
}

/// Returns the key of an entry: a lease goes with its entry, and a tag has a name of its own.
fn entry_key(key: &[u8]) -> Result<WireKey, Failure> {
    if key.starts_with(OWN_PREFIX.as_bytes()) {
        let key = escape(key);
        return Err(Failure::Usage(format!(
            "invalid key {key}: it is a lease or a tag; use the key of an entry, or --tag"
        )));
    }
    wire_key(key)
}

/// Counts the entries, and returns the first of them.
async fn find(what: &What, session: &Session) -> Result<(Option<usize>, Vec<String>), Failure> {
    match what {
        What::Tags(tags) => Ok((None, tags.clone())),
        What::Keys(keys) => {
            let commands: Vec<_> = keys.iter().map(|key| ["EXISTS", key.as_str()]).collect();
            let (mut count, mut names) = (0, Vec::new());
            for (key, reply) in keys.iter().zip(session.pipeline(&commands).await?) {
                if reply.count()? > 0 {
                    count += 1;
                    names.push(key.as_str().to_owned());
                }
            }
            names.truncate(NAMED);
            Ok((Some(count), names))
        }
        What::Matching(pattern) => {
            let mut scan = session.scan(pattern.as_str()).await?;
            let (mut count, mut names) = (0, Vec::new());
            loop {
                let keys = match scan.next().await? {
                    Step::Keys(keys) => keys,
                    Step::Restarted => {
                        (count, names) = (0, Vec::new());
                        continue;
                    }
                    Step::End => break,
                };
                // Others are left alone: hotshelf didn't write them.
                let keys: Vec<&str> =
                    keys.iter().filter_map(|key| std::str::from_utf8(key).ok()).collect();
                count += keys.len();
                let room = NAMED - names.len();
                names.extend(keys.into_iter().take(room).map(str::to_owned));
            }
            Ok((Some(count), names))
        }
    }
}

/// Asks on the error output, so that the output holds the result alone.
fn confirm(found: &Invalidated, session: &Session) -> Result<bool, Failure> {
    let what = match found.matches {
        Some(count) => counted(count as u64, "entry", "entries"),
        None => "all entries with these tags".to_owned(),
    };
    let mut question = String::new();
    push_names(&mut question, found);
    let address = &session.redis_options;
    question.push_str(&format!("Invalidate {what} on {address}? [y/N] "));
    session.terminal.write_error(&question);
    let answer = session.terminal.read_line()?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

async fn carry_out(
    what: &What,
    prefixes: Vec<String>,
    session: &Session,
) -> Result<Option<u64>, Failure> {
    match what {
        What::Tags(tags) => {
            session.store.invalidate_tags(tags.iter().map(Ok), prefixes).await?;
            Ok(None)
        }
        What::Keys(keys) => {
            let keys = keys.iter().map(|key| Ok(key.clone().into())).collect();
            Ok(Some(any_cache(session)?.invalidate(keys).await?))
        }
        What::Matching(pattern) => Ok(Some(any_cache(session)?.remove_matching(pattern).await?)),
    }
}

/// Returns a cache, through which exact keys of every cache are invalidated.
fn any_cache(session: &Session) -> Result<ByteCache, Failure> {
    Ok(session.store.cache(definition(Namespace::new("any").prefix("hotshelf-cli")))?)
}

/// Returns the definition of a cache whose values aren't decoded.
pub(super) fn definition(namespace: Namespace) -> CacheDefinition {
    CacheDefinition {
        namespace,
        kind: ValueKind::named("unknown"),
        options: CacheOptions::default(),
        codec: erase::<Vec<u8>>(Raw),
        tag_rule: None,
    }
}

fn text(invalidated: &Invalidated) -> String {
    if let Some(removed) = invalidated.removed {
        return format!("removed {}\n", counted(removed, "entry or lease", "entries and leases"));
    }
    if invalidated.applied {
        return "invalidated the tags\n".to_owned();
    }
    let mut text = match invalidated.matches {
        Some(count) => format!("would remove {}\n", counted(count as u64, "entry", "entries")),
        None => "would invalidate all entries with these tags\n".to_owned(),
    };
    push_names(&mut text, invalidated);
    text
}

fn push_names(text: &mut String, found: &Invalidated) {
    for name in &found.names {
        text.push_str(&format!("  {}\n", escape(name.as_bytes())));
    }
    match found.matches.map_or(0, |count| count - found.names.len()) {
        0 => {}
        more => text.push_str(&format!("  and {} more\n", separated(more as u64))),
    }
}
