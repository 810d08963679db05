//! Namespaces and the layouts of keys.

use std::borrow::Cow;
use std::cell::RefCell;

#[cfg(test)]
use super::{IntoKey, Params};
use super::{Key, OWN_PREFIX, Pattern, WireKey, hash_hex};
use crate::error::{Error, ErrorKind};

/// The layout of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyLayout {
    /// Different identifiers and parameters have different keys.
    ///
    /// The fields are `prefix:version:namespace:identifier[:p:32 hex digits]`. In each field
    /// every byte outside of `[A-Za-z0-9._~-]` is percent-encoded. The elements of a tuple are
    /// separated by commas; an element that is itself a tuple or has parameters is enclosed in
    /// parentheses. Parameters are hashed to 128 bits of SHA-256; `0`, `false`, `""`, `[]` and
    /// no parameters have different keys. In a key that would exceed 512 bytes, the identifier
    /// is replaced by `h:` and 128 bits of its SHA-256.
    #[default]
    Injective,

    /// `prefix:version:namespace:identifier[:12 hex digits]`, byte for byte as the Python
    /// library fastapi-rc writes it, for services that share its entries.
    ///
    /// Nothing is escaped, shortened or rejected, so different entries may share a key: the
    /// identifier `list:41a83e11527e` collides with `list` and the parameters that hash to
    /// `41a83e11527e`. Empty parameters (`null`, `false`, 0, `""`, `[]`, `{}`) add nothing.
    /// The hash has 48 bits, so collisions can be searched for: `[["q", 28704732]]` and
    /// `[["q", 34852570]]` share `3f84152fe5dc`, found in 22 seconds. If users choose the
    /// parameters, one of them can thus get an entry of another. The elements of a tuple are
    /// separated by colons.
    FastapiRc,
}

/// The maximum length of a key in the injective layout, in bytes.
const LONGEST_KEY: usize = 512;

/// The capacity that a thread keeps for writing keys.
const LONGEST_BUFFER: usize = 4 * LONGEST_KEY;

/// The part of the key that all entries of a cache share.
///
/// The defaults are those of fastapi-rc: the prefix `cache` and the version `v1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace {
    prefix: Cow<'static, str>,
    version: Option<Cow<'static, str>>,
    name: Cow<'static, str>,
    layout: KeyLayout,
}

impl Namespace {
    /// Creates the namespace `cache:v1:{name}`.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            prefix: Cow::Borrowed("cache"),
            version: Some(Cow::Borrowed("v1")),
            name: name.into(),
            layout: KeyLayout::default(),
        }
    }

    /// Sets the prefix, usually the application's name. Default: `cache`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the version. Change it when the schema of the values changes. Default: `v1`.
    #[must_use]
    pub fn version(mut self, version: impl Into<Cow<'static, str>>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Omits the version from the keys.
    #[must_use]
    pub fn without_version(mut self) -> Self {
        self.version = None;
        self
    }

    /// Sets the layout of the keys. Default: [`KeyLayout::Injective`].
    #[must_use]
    pub fn layout(mut self, layout: KeyLayout) -> Self {
        self.layout = layout;
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the prefix.
    #[must_use]
    pub fn prefix_name(&self) -> &str {
        &self.prefix
    }

    /// Returns the version, or `None` if it is omitted.
    #[must_use]
    pub fn version_name(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Returns the layout of the keys.
    #[must_use]
    pub fn layout_in_use(&self) -> KeyLayout {
        self.layout
    }

    /// Returns the prefix of all keys of this namespace, including the last colon.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Configuration`] for the prefix `hs`, which is
    /// reserved for the keys of leases and tags. In the injective layout, also if prefix,
    /// version and name leave no room for an identifier.
    pub fn key_prefix(&self) -> Result<String, Error> {
        if self.prefix.split(':').next() == OWN_PREFIX.strip_suffix(':') {
            let prefix = &self.prefix;
            return Err(Error::new(
                ErrorKind::Configuration,
                format!("prefix {prefix:?} is reserved for leases and tags: choose another"),
            ));
        }
        match self.layout {
            KeyLayout::FastapiRc => Ok(self.fastapi_rc_prefix()),
            KeyLayout::Injective => self.injective_prefix(),
        }
    }

    /// Builds the key of an entry.
    ///
    /// # Errors
    /// Same as [`Namespace::key_prefix`]. No identifier is rejected.
    pub fn wire_key(&self, key: &Key<'_>) -> Result<WireKey, Error> {
        Ok(self.wire_key_after(&self.key_prefix()?, key))
    }

    /// Builds the key of an entry from the [prefix](Self::key_prefix) of the namespace.
    #[must_use]
    pub fn wire_key_after(&self, prefix: &str, key: &Key<'_>) -> WireKey {
        match self.layout {
            KeyLayout::FastapiRc => fastapi_rc_key(prefix, key),
            KeyLayout::Injective => injective_key(prefix, key),
        }
    }

    /// Builds the pattern of all entries whose identifier matches a glob.
    ///
    /// In the injective layout the literal parts of the glob are encoded like identifiers,
    /// except for commas, which separate the elements of a tuple: `\\,` is a comma within an
    /// identifier. Parameters are no part of an identifier: `list:*` doesn't match `list` with
    /// parameters, and `list*` does. The text of an identifier that was hashed because of its
    /// length is not matched.
    ///
    /// # Errors
    /// Returns an error of kind [`ErrorKind::Key`] if the glob does not begin with a literal.
    /// In the injective layout, also for `?`, for negated classes, and for classes of characters
    /// that need encoding: encoded characters would not match.
    pub fn pattern(&self, prefix: &str, glob: &str) -> Result<Pattern, Error> {
        if glob.is_empty() || glob.starts_with(['*', '?', '[']) {
            let message = "invalid pattern: begin it with a literal part, as in `list:*`";
            return Err(Error::new(ErrorKind::Key, message));
        }
        let prefix = Pattern::escape(prefix);
        match self.layout {
            KeyLayout::FastapiRc => Ok(Pattern::new(format!("{prefix}{glob}"))),
            KeyLayout::Injective => Ok(Pattern::new(format!("{prefix}{}", injective_glob(glob)?))),
        }
    }

    fn fastapi_rc_prefix(&self) -> String {
        match &self.version {
            Some(version) => format!("{}:{version}:{}:", self.prefix, self.name),
            None => format!("{}:{}:", self.prefix, self.name),
        }
    }

    /// An omitted version is an empty field, so that fields cannot be confused.
    fn injective_prefix(&self) -> Result<String, Error> {
        let version = self.version.as_deref().unwrap_or_default();
        let mut prefix = String::new();
        for field in [&self.prefix, version, &self.name] {
            push_field(&mut prefix, field);
            prefix.push(':');
        }
        let hashed_identifier_and_params = "h:".len() + 32 + ":p:".len() + 32;
        if prefix.len() + hashed_identifier_and_params > LONGEST_KEY {
            let message = "prefix, version and name are too long: use at most 400 bytes in total";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        Ok(prefix)
    }
}

fn fastapi_rc_key(prefix: &str, key: &Key<'_>) -> WireKey {
    written(|text| {
        text.push_str(prefix);
        push_fastapi_rc(text, key);
    })
}

/// Returns the key that a function writes: in a buffer of this thread, so that the key is its
/// only allocation.
fn written(write: impl FnOnce(&mut String)) -> WireKey {
    thread_local! {
        static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
    }
    // The buffer is taken out. While the thread ends it may be gone, and a new one is used.
    let mut buffer = BUFFER.try_with(RefCell::take).unwrap_or_default();
    buffer.clear();
    write(&mut buffer);
    let key = WireKey::from(buffer.as_str());
    buffer.shrink_to(LONGEST_BUFFER);
    let _ = BUFFER.try_with(|own| own.replace(buffer));
    key
}

fn push_fastapi_rc(text: &mut String, key: &Key<'_>) {
    text.push_str(key.identifier.as_deref().unwrap_or_default());
    for (position, element) in key.elements().iter().enumerate() {
        if position > 0 || key.identifier.is_some() {
            text.push(':');
        }
        push_fastapi_rc(text, element);
    }
    if let Some(params) = key.parameters().filter(|params| !params.is_empty()) {
        text.push(':');
        text.push_str(&hash_hex::<6>(params.as_str()));
    }
}

fn injective_key(prefix: &str, key: &Key<'_>) -> WireKey {
    const PARAMS: usize = ":p:".len() + 32;
    let room = if key.parameters().is_some() { PARAMS } else { 0 };
    written(|text| {
        text.push_str(prefix);
        push_elements(text, key);
        if text.len() + room > LONGEST_KEY {
            let hash = hash_hex::<16>(&text[prefix.len()..]);
            text.truncate(prefix.len());
            text.push_str("h:");
            text.push_str(&hash);
        }
        push_params(text, key);
    })
}

/// Writes the elements of a tuple, or the identifier alone.
#[inline]
fn push_elements(text: &mut String, key: &Key<'_>) {
    push_field(text, key.identifier.as_deref().unwrap_or_default());
    if key.rest.is_some() {
        push_further(text, key);
    }
}

fn push_further(text: &mut String, key: &Key<'_>) {
    for (position, element) in key.elements().iter().enumerate() {
        if position > 0 || key.identifier.is_some() {
            text.push(',');
        }
        if element.is_identifier() {
            push_field(text, element.identifier());
        } else {
            text.push('(');
            push_elements(text, element);
            push_params(text, element);
            text.push(')');
        }
    }
}

fn push_params(text: &mut String, key: &Key<'_>) {
    if let Some(params) = key.parameters() {
        text.push_str(":p:");
        text.push_str(&hash_hex::<16>(params.as_str()));
    }
}

/// Encodes the literal parts of a glob.
fn injective_glob(glob: &str) -> Result<String, Error> {
    let mut encoded = String::with_capacity(glob.len());
    let mut rest = glob.chars();
    while let Some(character) = rest.next() {
        match character {
            '*' | ',' => encoded.push(character),
            // An encoded character is three, so that these would miss some of them.
            '?' => return Err(unmatched("`?`")),
            '[' => {
                let mut class = String::new();
                loop {
                    match rest.next() {
                        Some(']') => break,
                        Some(character) => class.push(character),
                        None => return Err(unmatched("an unclosed `[`")),
                    }
                }
                if class.starts_with('^') {
                    return Err(unmatched("a negated class"));
                }
                if !class.bytes().all(|byte| UNRESERVED[usize::from(byte)]) {
                    let message = "invalid class in a pattern: use letters, digits and `-._~`";
                    return Err(Error::new(ErrorKind::Key, message));
                }
                encoded.extend(["[", &class, "]"]);
            }
            '\\' => {
                let literal = rest.next().unwrap_or('\\');
                push_field(&mut encoded, literal.encode_utf8(&mut [0; 4]));
            }
            literal => push_field(&mut encoded, literal.encode_utf8(&mut [0; 4])),
        }
    }
    Ok(encoded)
}

fn unmatched(part: &str) -> Error {
    let message = format!(
        "invalid pattern: {part} doesn't match every character in this key layout: use `*`, or a \
         class of letters, digits and `-._~`"
    );
    Error::new(ErrorKind::Key, message)
}

/// Writes one field of the injective layout, percent-encoded (RFC 3986, section 2.1).
fn push_field(text: &mut String, field: &str) {
    // Most identifiers need no encoding, and are copied as a whole.
    if field.bytes().all(|byte| UNRESERVED[usize::from(byte)]) {
        text.push_str(field);
    } else {
        push_encoded(text, field);
    }
}

fn push_encoded(text: &mut String, field: &str) {
    for byte in field.bytes() {
        match UNRESERVED[usize::from(byte)] {
            true => text.push(char::from(byte)),
            false => {
                let [high, low] = [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]);
                text.extend(['%', char::from(high), char::from(low)]);
            }
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The bytes that need no encoding: RFC 3986, section 2.3, calls them unreserved.
const UNRESERVED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        let is_mark = matches!(byte as u8, b'.' | b'_' | b'~' | b'-');
        table[byte] = is_mark || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn injective() -> Namespace {
        Namespace::new("products").prefix("api")
    }

    fn fastapi_rc() -> Namespace {
        injective().layout(KeyLayout::FastapiRc)
    }

    fn text(namespace: &Namespace, key: Key<'_>) -> String {
        namespace.wire_key(&key).unwrap().as_str().to_owned()
    }

    #[test]
    fn fastapi_rc_layout_escapes_nothing() {
        let key = |identifier: &str| text(&fastapi_rc(), Key::new(identifier));
        assert_eq!(key("a b\n*?[x]"), "api:v1:products:a b\n*?[x]");
        assert_eq!(key(""), "api:v1:products:");
        assert_eq!(text(&fastapi_rc(), Key::new(("a", (1, 2)))), "api:v1:products:a:1:2");
        let no_version = fastapi_rc().without_version();
        assert_eq!(text(&no_version, Key::new(-42)), "api:products:-42");
    }

    #[test]
    fn fastapi_rc_layout_has_documented_collision() {
        let key = |q: u32| text(&fastapi_rc(), Key::new("list").with_params(&[("q", q)]).unwrap());
        assert_eq!(key(28_704_732), "api:v1:products:list:3f84152fe5dc");
        assert_eq!(key(28_704_732), key(34_852_570));
    }

    #[test]
    fn injective_layout_encodes_separators() {
        let key = |key: Key<'_>| text(&injective(), key);
        let list = Key::new("list").with_params(&[1]).unwrap();
        assert_eq!(key(list.clone()), "api:v1:products:list:p:080a9ed428559ef602668b4c00f114f1");
        assert_eq!(key(Key::new("list:p:0{é}\n")), "api:v1:products:list%3Ap%3A0%7B%C3%A9%7D%0A");
        assert_eq!(key(Key::new(("acme", 42))), "api:v1:products:acme,42");
        assert_eq!(
            key(Key::new(("a", list, ("b", "(c)")))),
            "api:v1:products:a,(list:p:080a9ed428559ef602668b4c00f114f1),(b,%28c%29)"
        );
    }

    #[test]
    fn injective_layout_distinguishes_empty_parameters() {
        let params = ["null", "false", "0", "0.0", "\"\"", "[]", "{}"];
        let keys = params.map(|json| Key::new("k").params(Params::from_json(json).unwrap()));
        let mut texts: Vec<_> = keys.into_iter().map(|key| text(&injective(), key)).collect();
        texts.push(text(&injective(), Key::new("k")));
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), params.len() + 1);
    }

    #[test]
    fn long_prefixes_are_rejected() {
        let long = injective().prefix("p".repeat(500));
        assert_eq!(long.key_prefix().unwrap_err().kind(), ErrorKind::Configuration);
    }

    #[test]
    fn patterns_match_identifiers_in_each_layout() {
        let matches = |namespace: &Namespace, glob: &str, key: Key<'_>| {
            let pattern = namespace.pattern(&namespace.key_prefix().unwrap(), glob).unwrap();
            pattern.matches(&namespace.wire_key(&key).unwrap())
        };
        for namespace in [fastapi_rc().prefix("p[1]"), injective()] {
            for (glob, identifier, expected) in [
                ("list:*", "list:1", true),
                ("list:*", "lists", false),
                ("user@x:*", "user@x:7", true),
                ("a[bc]*", "abd", true),
                ("a[bc]", "ad", false),
                (&format!("{}*", Pattern::escape("a*é:")), "a*é:1", true),
                (&format!("{}*", Pattern::escape("a,")), "a,1", true),
                (&format!("{}*", Pattern::escape("a*")), "ab", false),
            ] {
                let key = Key::new(identifier);
                assert_eq!(matches(&namespace, glob, key), expected, "{glob} {identifier}");
            }
        }
        assert!(matches(&injective(), "acme,*", Key::new(("acme", 42))));
        assert!(!matches(&injective(), "acme,*", Key::new("acme,42")));
        assert!(matches(&injective(), "acme\\,*", Key::new("acme,42")));
        let prefix = injective().key_prefix().unwrap();
        for glob in ["*", "", "?x", "[a]", "a[:]", "a?b", "a[^b]", "a["] {
            let error = injective().pattern(&prefix, glob).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Key, "{glob:?}");
        }
    }

    /// The identifiers that an application may pass, compared by equality.
    #[derive(Clone, Debug, PartialEq)]
    enum Id {
        Text(String),
        Pair(String, String),
        Nested(String, (String, String)),
        WithParams(String, String, u8),
    }

    impl IntoKey for Id {
        fn to_key(&self) -> Key<'_> {
            match self {
                Self::Text(text) => Key::new(text),
                Self::Pair(one, other) => Key::new((one, other)),
                Self::Nested(one, other) => Key::new((one, other)),
                Self::WithParams(one, other, params) => {
                    Key::new((one, Key::new(other).with_params(params).unwrap()))
                }
            }
        }
    }

    fn ids() -> impl Strategy<Value = Id> {
        let part = || "[ab:,%()hp\n{}é]{0,3}";
        prop_oneof![
            part().prop_map(Id::Text),
            (part(), part()).prop_map(|(one, other)| Id::Pair(one, other)),
            (part(), (part(), part())).prop_map(|(one, other)| Id::Nested(one, other)),
            (part(), part(), 0_u8..3).prop_map(|(one, other, n)| Id::WithParams(one, other, n)),
        ]
    }

    fn params() -> impl Strategy<Value = Option<&'static str>> {
        prop::option::of(prop::sample::select(vec!["null", "0", "false", "\"\"", "[]", "{}", "1"]))
    }

    fn names() -> impl Strategy<Value = (String, Option<String>, String)> {
        ("[a:%]{1,3}", prop::option::of("[a:v]{1,2}"), "[a:]{1,3}")
    }

    proptest! {
        #[test]
        fn default_layout_is_injective(
            one in (names(), ids(), params()),
            other in (names(), ids(), params()),
        ) {
            let key = |((prefix, version, name), id, params): &((String, Option<String>, String), Id, Option<&str>)| {
                let namespace = Namespace::new(name.clone()).prefix(prefix.clone());
                let namespace = match version {
                    Some(version) => namespace.version(version.clone()),
                    None => namespace.without_version(),
                };
                let key = Key::new(id);
                let key = match params {
                    Some(json) => key.params(Params::from_json(json).unwrap()),
                    None => key,
                };
                namespace.wire_key(&key).unwrap()
            };
            prop_assert_eq!(key(&one) == key(&other), one == other);
            // With the same names and parameters, two identifiers differ more often.
            let (names, _, params) = one.clone();
            let close = (names, other.1.clone(), params);
            prop_assert_eq!(key(&one) == key(&close), one == close);
        }

        #[test]
        fn injective_keys_fit_512_bytes(identifier in "\\PC{0,900}") {
            let key = Key::new(identifier).with_params(&["x"]).unwrap();
            prop_assert!(injective().wire_key(&key).unwrap().as_str().len() <= LONGEST_KEY);
        }
    }
}
