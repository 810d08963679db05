//! `hotshelf key`.

use clap::ValueEnum;
use hotshelf_core::{Key, KeyLayout, Namespace, Params};
use serde_json::json;

use crate::failure::{DONE, Failure};
use crate::output::escape;
use crate::terminal::Terminal;

#[derive(Debug, clap::Args)]
pub(crate) struct KeyArguments {
    /// The prefix of the cache
    #[arg(long, default_value = "cache")]
    prefix: String,
    /// The version of the cache; empty for a cache without one
    #[arg(long, default_value = "v1")]
    version: String,
    /// The layout of its keys
    #[arg(long, value_enum, default_value_t = Layout::Injective)]
    layout: Layout,
    /// The name of the cache
    name: String,
    /// The identifier; the elements of a tuple, separated by commas, with --tuple
    identifier: String,
    /// The parameters, as JSON
    params: Option<String>,
    /// The identifier is a tuple, as in `key --tuple users acme,7`
    #[arg(long)]
    tuple: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Layout {
    Injective,
    FastapiRc,
}

pub(crate) fn run(
    arguments: &KeyArguments,
    json: bool,
    terminal: &dyn Terminal,
) -> Result<u8, Failure> {
    if arguments.tuple && arguments.name.contains(',') && !arguments.identifier.contains(',') {
        let KeyArguments { name, identifier, .. } = arguments;
        return Err(Failure::Usage(format!(
            "the name of the cache comes first: hotshelf key --tuple {identifier} {name}"
        )));
    }
    let layout = match arguments.layout {
        Layout::Injective => KeyLayout::Injective,
        Layout::FastapiRc => KeyLayout::FastapiRc,
    };
    let namespace = Namespace::new(arguments.name.clone()).prefix(arguments.prefix.clone());
    let namespace = match arguments.version.as_str() {
        "" => namespace.without_version(),
        version => namespace.version(version.to_owned()),
    };
    let identifier = arguments.identifier.as_str();
    let key = match arguments.tuple {
        true => Key::from_elements(identifier.split(',').map(Key::new).collect()),
        false => Some(Key::new(identifier)),
    };
    let key = key.expect("a split text has parts");
    let key = match &arguments.params {
        None => key,
        Some(params) => key.params(Params::from_json(params).map_err(|error| {
            Failure::Usage(format!("invalid parameters: {error}; use JSON, as '{{\"page\": 2}}'"))
        })?),
    };
    let wire = namespace.layout(layout).wire_key(&key)?;
    let text = match json {
        true => format!("{}\n", json!({ "key": wire.as_str() })),
        false => format!("{}\n", escape(wire.as_bytes())),
    };
    terminal.write(text.as_bytes())?;
    Ok(DONE)
}
