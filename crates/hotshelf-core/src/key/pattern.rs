//! Glob patterns over keys, in the dialect of Redis' `SCAN … MATCH`.

use std::borrow::Cow;
use std::fmt;

use super::WireKey;

/// A glob pattern over whole keys: `*`, `?`, `[a-z]`, `[^x]`, and `\` before a literal.
///
/// Always escape identifiers with [`Pattern::escape`]: otherwise a `*` in a user's input would
/// match the keys of others.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Creates a pattern from its text.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into().into_boxed_str())
    }

    /// Escapes text, so that a pattern matches it literally.
    ///
    /// ```
    /// # use hotshelf_core as hotshelf;
    /// use hotshelf::Pattern;
    /// assert_eq!(Pattern::escape("user[1]*"), r"user\[1\]\*");
    /// ```
    #[must_use]
    pub fn escape(text: &str) -> Cow<'_, str> {
        let special = ['*', '?', '[', ']', '\\', '^', '-', ','];
        if !text.contains(special) {
            return Cow::Borrowed(text);
        }
        let escaped = text.chars().flat_map(|character| {
            let backslash = special.contains(&character).then_some('\\');
            backslash.into_iter().chain([character])
        });
        Cow::Owned(escaped.collect())
    }

    /// Returns the pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `true` if a key matches, by the rules of Redis.
    #[must_use]
    pub fn matches(&self, key: &WireKey) -> bool {
        glob(self.0.as_bytes(), key.as_bytes())
    }
}

impl fmt::Debug for Pattern {
    /// Shows a digest, since a pattern contains identifiers.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pattern({})", WireKey::from(&*self.0).digest())
    }
}

/// Matches byte by byte. On a mismatch, backtracks to the last `*` and lets it match one more
/// byte, so that the time is at most pattern × text, never exponential.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern_at, mut text_at) = (0, 0);
    let mut last_star = None;
    loop {
        if pattern.get(pattern_at) == Some(&b'*') {
            pattern_at += 1;
            last_star = Some((pattern_at, text_at));
            continue;
        }
        let step = match (text.get(text_at), &pattern[pattern_at..]) {
            (None, rest) => return rest.is_empty(),
            (Some(_), []) => None,
            (Some(&byte), rest) => match_one(rest, byte),
        };
        match (step, last_star) {
            (Some(length), _) => (pattern_at, text_at) = (pattern_at + length, text_at + 1),
            (None, None) => return false,
            (None, Some((after_star, star_text))) => {
                (pattern_at, text_at) = (after_star, star_text + 1);
                last_star = Some((after_star, star_text + 1));
            }
        }
    }
}

/// Matches one byte against the first element of the pattern, and returns the length of that
/// element. The pattern is not empty and does not begin with `*`.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', class @ ..] => {
            let (matched, length) = match_class(class, byte);
            matched.then_some(1 + length)
        }
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Matches a byte against the class after `[`, and returns the length of the class.
///
/// An unclosed class extends to the end of the pattern, as in Redis.
fn match_class(class: &[u8], byte: u8) -> (bool, usize) {
    let negated = class.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match class[at..] {
            [] => return (found != negated, at),
            [b']', ..] => return (found != negated, at + 1),
            [b'\\', literal, ..] => {
                found |= literal == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).matches(&WireKey::from(text))
    }

    #[test]
    fn elements_match_like_redis() {
        for (pattern, text, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a?c", "abc", true),
            ("a?", "a", false),
            ("[a-c]x", "bx", true),
            ("[c-a]x", "bx", true),
            ("[^a-c]x", "bx", false),
            (r"[\]]", "]", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            ("[abc", "b", true),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_matches_only_itself(
            text in r"[ab*?\[\]\\^-]{0,8}",
            other in r"[ab*?\[\]\\^-]{0,8}",
        ) {
            prop_assert!(matches(&Pattern::escape(&text), &text));
            prop_assert_eq!(matches(&Pattern::escape(&text), &other), text == other);
        }

        #[test]
        fn no_pattern_panics(pattern in r"[ab*?\[\]\\^-]{0,12}", text in "[ab-]{0,12}") {
            let _ = matches(&pattern, &text);
        }
    }
}
