//! The names in keys.

use std::borrow::Cow;

use hotshelf_core::tag::TAG_PREFIX;
use hotshelf_core::{Namespace, WireKey};
use hotshelf_redis::LEASE_PREFIX;
use percent_encoding::percent_decode;

use crate::failure::Failure;
use crate::output::{escape, unescape};

/// What a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// `prefix:version:name`, as it is written in keys.
    Cache(String),
    /// Leases and marks.
    Leases,
    /// The versions of tags.
    Tags,
    /// No key of this form.
    Others,
}

impl Group {
    /// Returns the group of a key.
    pub(crate) fn of(key: &[u8]) -> Self {
        if key.starts_with(LEASE_PREFIX.as_bytes()) {
            return Self::Leases;
        }
        if key.starts_with(TAG_PREFIX.as_bytes()) {
            return Self::Tags;
        }
        let mut colons = key.iter().enumerate().filter(|(_, byte)| **byte == b':');
        let cache = colons.nth(2).and_then(|(end, _)| std::str::from_utf8(&key[..end]).ok());
        cache.map_or(Self::Others, |cache| Self::Cache(cache.to_owned()))
    }

    /// Returns the name that is shown.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Cache(name) => escape(name.as_bytes()),
            Self::Leases => "(leases)".to_owned(),
            Self::Tags => "(tags)".to_owned(),
            Self::Others => "(others)".to_owned(),
        }
    }

    /// Returns `cache`, `leases`, `tags` or `others`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Cache(_) => "cache",
            Self::Leases => "leases",
            Self::Tags => "tags",
            Self::Others => "others",
        }
    }
}

/// Returns the namespace of a cache by `prefix:version:name` as it is written in keys; `None` if
/// hotshelf would write it in another way.
pub(crate) fn namespace(cache: &str) -> Option<Namespace> {
    let mut fields = cache.split(':').map(decoded);
    let (prefix, version, name) = (fields.next()??, fields.next()??, fields.next()??);
    let namespace = Namespace::new(name).prefix(prefix);
    let namespace = match version.is_empty() {
        true => namespace.without_version(),
        false => namespace.version(version),
    };
    let written = namespace.key_prefix().ok()?;
    (written.strip_suffix(':') == Some(cache)).then_some(namespace)
}

/// Decodes a field of a key.
pub(crate) fn decoded(field: &str) -> Option<String> {
    percent_decode(field.as_bytes()).decode_utf8().ok().map(Cow::into_owned)
}

/// Returns the bytes of a key in an argument.
pub(crate) fn key(argument: &str, is_escaped: bool) -> Result<Vec<u8>, Failure> {
    if !is_escaped {
        return Ok(argument.as_bytes().to_vec());
    }
    let invalid = || {
        Failure::Usage(format!("invalid key {argument}: --escaped takes keys as `ls` shows them"))
    };
    unescape(argument).ok_or_else(invalid)
}

/// Returns a key as the protocol takes it.
pub(crate) fn wire_key(key: &[u8]) -> Result<WireKey, Failure> {
    let invalid = |_| {
        let key = escape(key);
        Failure::Usage(format!(
            "invalid key {key}: it isn't UTF-8, so that hotshelf didn't write it"
        ))
    };
    std::str::from_utf8(key).map(WireKey::from).map_err(invalid)
}

/// Returns a key as JSON shows it: as it is, or escaped if it isn't UTF-8.
pub(crate) fn shown(key: &[u8]) -> String {
    std::str::from_utf8(key).map_or_else(|_| escape(key), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_groups() {
        assert_eq!(Group::of(b"shop:v1:products:7"), Group::Cache("shop:v1:products".into()));
        assert_eq!(Group::of(b"shop::products:a:p:00"), Group::Cache("shop::products".into()));
        assert_eq!(Group::of(b"hs:l:{shop:v1:products:7}"), Group::Leases);
        assert_eq!(Group::of(b"hs:t:shop:0123456789ab"), Group::Tags);
        for other in [&b""[..], b"a:b:c", b"\xff:v1:products:7"] {
            assert_eq!(Group::of(other), Group::Others);
        }
    }

    #[test]
    fn namespaces_are_read_as_they_are_written() {
        let found = namespace("my%20shop:v1:products").unwrap();
        assert_eq!((found.prefix_name(), found.version_name()), ("my shop", Some("v1")));
        assert_eq!(namespace("shop::products").unwrap().version_name(), None);
        for other in ["a", "a:b", "my shop:v1:products", "a:b:c:d", "hs:l:x", "%zz:v1:a"] {
            assert!(namespace(other).is_none(), "{other}");
        }
    }
}
