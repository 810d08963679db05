//! Namespaces and the two layouts of keys.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Key, Pattern, WireKey, hash_hex};
use crate::error::{Error, ErrorKind};

/// How keys are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyLayout {
    /// `prefix:version:namespace:identifier[:12 hex digits]`, as fastapi-rc writes it.
    ///
    /// Nothing is escaped, shortened or rejected.
    #[default]
    V1,

    /// An injective layout: different identifiers and parameters make different keys.
    ///
    /// Its fields are `prefix:version:namespace:identifier[:p:32 hex digits]`. Within a
    /// field everything outside of `[A-Za-z0-9._~-]` is percent-encoded; parameters are
    /// hashed to 128 bits. A key that would pass 512 bytes carries `h:` and 128 bits of
    /// SHA-256 in place of its identifier. Control characters are an error.
    V2,
}

/// The longest key of layout v2, in bytes.
const LONGEST_KEY: usize = 512;

/// What layout v2 leaves as it is (RFC 3986 calls these characters unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'~').remove(b'-');

/// The part of keys that all entries of one cache share.
///
/// The defaults are fastapi-rc's: the prefix `cache`, the version `v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace {
    prefix: Cow<'static, str>,
    version: Option<Cow<'static, str>>,
    name: Cow<'static, str>,
    layout: KeyLayout,
}

impl Namespace {
    /// Makes the namespace `cache:v1:{name}`.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            prefix: Cow::Borrowed("cache"),
            version: Some(Cow::Borrowed("v1")),
            name: name.into(),
            layout: KeyLayout::V1,
        }
    }

    /// Sets the prefix, usually the application's name. Default: `cache`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the version; change it when the values' schema changes. Default: `v1`.
    #[must_use]
    pub fn version(mut self, version: impl Into<Cow<'static, str>>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Leaves the version out of the keys.
    #[must_use]
    pub fn without_version(mut self) -> Self {
        self.version = None;
        self
    }

    /// Sets the layout of the keys. Default: [`KeyLayout::V1`].
    #[must_use]
    pub fn layout(mut self, layout: KeyLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Gives the namespace's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives the prefix.
    #[must_use]
    pub fn prefix_name(&self) -> &str {
        &self.prefix
    }

    /// Gives the version, unless it was left out.
    #[must_use]
    pub fn version_name(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Gives the layout of the keys.
    #[must_use]
    pub fn layout_in_use(&self) -> KeyLayout {
        self.layout
    }

    /// Says what all keys of this namespace begin with, the last colon included.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Configuration`] for the prefix `hs`, under which leases and tags
    /// have their keys. In layout v2, of kind [`ErrorKind::Key`] if a part holds control
    /// characters or if no room is left for identifiers.
    pub fn stem(&self) -> Result<String, Error> {
        if self.prefix == "hs" || self.prefix.starts_with("hs:") {
            let prefix = &self.prefix;
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("the prefix {prefix:?} is reserved for leases and tags: choose another"),
            ));
        }
        match self.layout {
            KeyLayout::V1 => Ok(self.stem_v1()),
            KeyLayout::V2 => self.stem_v2(),
        }
    }

    /// Makes the key of an entry.
    ///
    /// # Errors
    /// In layout v2, of kind [`ErrorKind::Key`] for control characters. Layout v1 takes
    /// every identifier.
    pub fn wire_key(&self, key: &Key<'_>) -> Result<WireKey, Error> {
        self.wire_key_after(&self.stem()?, key)
    }

    /// Makes the key of an entry from the namespace's [stem](Self::stem), computed before.
    ///
    /// # Errors
    /// As [`Namespace::wire_key`].
    pub fn wire_key_after(&self, stem: &str, key: &Key<'_>) -> Result<WireKey, Error> {
        match self.layout {
            KeyLayout::V1 => Ok(wire_key_v1(stem, key)),
            KeyLayout::V2 => wire_key_v2(stem, key),
        }
    }

    /// Makes the pattern of all entries whose identifier matches a glob.
    ///
    /// In layout v2 the literal parts of the glob are encoded as identifiers are; `?` and
    /// `[…]` match characters that need no encoding, and an identifier that was hashed for
    /// its length is matched by nothing.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Key`] for a glob without a literal beginning; in layout v2,
    /// also for control characters and for classes of characters that need encoding.
    pub fn pattern(&self, stem: &str, glob: &str) -> Result<Pattern, Error> {
        if glob.is_empty() || glob.starts_with(['*', '?', '[']) {
            let message =
                "the pattern could match every key: begin it with a literal part, as in `list:*`";
            return Err(Error::new(ErrorKind::Key, message));
        }
        let stem = Pattern::escape(stem);
        match self.layout {
            KeyLayout::V1 => Ok(Pattern::new(format!("{stem}{glob}"))),
            KeyLayout::V2 => Ok(Pattern::new(format!("{stem}{}", glob_v2(glob)?))),
        }
    }

    fn stem_v1(&self) -> String {
        match &self.version {
            Some(version) => format!("{}:{version}:{}:", self.prefix, self.name),
            None => format!("{}:{}:", self.prefix, self.name),
        }
    }

    /// A version left out is an empty field here, so that fields can't be mistaken.
    fn stem_v2(&self) -> Result<String, Error> {
        let version = self.version.as_deref().unwrap_or_default();
        let stem = format!("{}:{}:{}:", field(&self.prefix)?, field(version)?, field(&self.name)?);
        let hashed_identifier_and_params = "h:".len() + 32 + ":p:".len() + 32;
        if stem.len() + hashed_identifier_and_params > LONGEST_KEY {
            let message =
                "prefix, version and name together are too long: shorten them to 400 bytes";
            return Err(Error::new(ErrorKind::Key, message));
        }
        Ok(stem)
    }
}

fn wire_key_v1(stem: &str, key: &Key<'_>) -> WireKey {
    let hash = key.params_hash::<6>();
    let hash_length = hash.as_ref().map_or(0, |hash| 1 + hash.len());
    let mut text = String::with_capacity(stem.len() + key.identifier.len() + hash_length);
    text.push_str(stem);
    text.push_str(&key.identifier);
    if let Some(hash) = hash {
        text.push(':');
        text.push_str(&hash);
    }
    WireKey::from(text)
}

fn wire_key_v2(stem: &str, key: &Key<'_>) -> Result<WireKey, Error> {
    let params = key.params_hash::<16>().map_or_else(String::new, |hash| format!(":p:{hash}"));
    let identifier = field(&key.identifier)?;
    let text = if stem.len() + identifier.len() + params.len() <= LONGEST_KEY {
        format!("{stem}{identifier}{params}")
    } else {
        format!("{stem}h:{}{params}", hash_hex::<16>(&key.identifier))
    };
    Ok(WireKey::from(text))
}

/// Encodes the literal parts of a glob.
fn glob_v2(glob: &str) -> Result<String, Error> {
    let mut encoded = String::with_capacity(glob.len());
    let mut rest = glob.chars();
    while let Some(character) = rest.next() {
        match character {
            '*' | '?' => encoded.push(character),
            '[' => {
                let class: String =
                    rest.by_ref().take_while(|&character| character != ']').collect();
                let unreserved = class.trim_start_matches('^');
                if field(unreserved)? != unreserved {
                    let message = "in layout v2 a class holds letters, digits and `-._~` only";
                    return Err(Error::new(ErrorKind::Key, message));
                }
                encoded.extend(["[", &class, "]"]);
            }
            '\\' => {
                let literal = rest.next().unwrap_or('\\');
                encoded.push_str(&field(literal.encode_utf8(&mut [0; 4]))?);
            }
            literal => encoded.push_str(&field(literal.encode_utf8(&mut [0; 4]))?),
        }
    }
    Ok(encoded)
}

/// Writes one field of layout v2.
fn field(text: &str) -> Result<Cow<'_, str>, Error> {
    if text.chars().any(char::is_control) {
        let message = "an identifier holds control characters: encode them, or use layout v1";
        return Err(Error::new(ErrorKind::Key, message));
    }
    Ok(utf8_percent_encode(text, RESERVED).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2() -> Namespace {
        Namespace::new("products").prefix("api").layout(KeyLayout::V2)
    }

    #[test]
    fn v1_takes_everything_as_it_is() {
        let namespace = Namespace::new("users");
        let key = |identifier: &str| namespace.wire_key(&Key::from(identifier)).unwrap();
        assert_eq!(key("a b\n*?[x]").as_str(), "cache:v1:users:a b\n*?[x]");
        assert_eq!(key("").as_str(), "cache:v1:users:");
    }

    #[test]
    fn integers_are_identifiers() {
        let key = Namespace::new("users").without_version().wire_key(&Key::from(-42)).unwrap();
        assert_eq!(key.as_str(), "cache:users:-42");
    }

    #[test]
    fn v2_encodes_what_separates_fields() {
        let key = |key: Key<'_>| v2().wire_key(&key).unwrap().as_str().to_owned();
        let list = Key::from("list").with_params(&[1]).unwrap();
        assert_eq!(key(list), "api:v1:products:list:p:080a9ed428559ef602668b4c00f114f1");
        assert_eq!(key("list:p:0{é}".into()), "api:v1:products:list%3Ap%3A0%7B%C3%A9%7D");
    }

    #[test]
    fn v2_rejects_control_characters_with_the_cure() {
        let error = v2().wire_key(&Key::from("a\nb")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(error.to_string().contains("layout v1"), "{error}");
    }

    #[test]
    fn v2_needs_room_for_identifiers() {
        let long = v2().prefix("p".repeat(500));
        assert_eq!(long.wire_key(&Key::from("1")).unwrap_err().kind(), ErrorKind::Key);
    }

    #[test]
    fn a_pattern_matches_identifiers_in_either_layout() {
        let matches = |namespace: &Namespace, glob: &str, identifier: &str| {
            let pattern = namespace.pattern(&namespace.stem().unwrap(), glob).unwrap();
            pattern.matches(&namespace.wire_key(&Key::from(identifier)).unwrap())
        };
        for namespace in [Namespace::new("p[1]"), v2()] {
            for (glob, identifier, expected) in [
                ("list:*", "list:1", true),
                ("list:*", "lists", false),
                ("user@x:*", "user@x:7", true),
                ("a[bc]?", "abd", true),
                ("a[^bc]", "ab", false),
                (&format!("{}*", Pattern::escape("a*é:")), "a*é:1", true),
                (&format!("{}*", Pattern::escape("a*")), "ab", false),
            ] {
                assert_eq!(matches(&namespace, glob, identifier), expected, "{glob} {identifier}");
            }
        }
        let stem = v2().stem().unwrap();
        for glob in ["*", "", "?x", "[a]", "a[:]", "a\nb"] {
            assert_eq!(v2().pattern(&stem, glob).unwrap_err().kind(), ErrorKind::Key, "{glob:?}");
        }
    }

    proptest! {
        #[test]
        fn v2_is_injective(
            one in ("[a-c:%hp{}é]{0,6}", proptest::option::of(0_u8..3)),
            other in ("[a-c:%hp{}é]{0,6}", proptest::option::of(0_u8..3)),
        ) {
            let key = |(identifier, params): &(String, Option<u8>)| {
                let key = Key::from(identifier.as_str()).with_params(&params.map(|n| [n])).unwrap();
                v2().wire_key(&key).unwrap()
            };
            prop_assert_eq!(key(&one) == key(&other), one == other);
        }

        #[test]
        fn v2_stays_within_512_bytes(identifier in "\\PC{0,900}") {
            let key = Key::from(identifier).with_params(&["x"]).unwrap();
            prop_assert!(v2().wire_key(&key).unwrap().as_str().len() <= LONGEST_KEY);
        }
    }
}
