//! An entry in Redis, and its age.

use std::fmt;

use crate::server::{TagVersion, Token, Version};

/// A value in Redis.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) version: Version,
    /// The captured version of the tag; 0 without tags.
    pub(crate) tag: TagVersion,
    /// Written by a plain writer, without a trailer.
    pub(crate) plain: bool,
    /// The token of its fill, by which trailers differ; kept only where trailers are compared.
    pub(crate) fill: Token,
    pub(crate) age: Age,
}

/// Whether an entry is soft-expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Age {
    Fresh,
    /// Soft-expired by the time, which changes no trailer.
    Outdated,
    /// Soft-expired by SOFTEN, which changes the trailer.
    Softened,
}

impl Entry {
    pub(crate) const fn new(version: Version, tag: TagVersion) -> Self {
        Self { version, tag, plain: false, fill: Token::NONE, age: Age::Fresh }
    }

    /// An entry of a plain writer.
    pub(crate) const fn plain(version: Version) -> Self {
        Self { plain: true, ..Self::new(version, 0) }
    }

    pub(crate) fn is_soft_expired(self) -> bool {
        self.age != Age::Fresh
    }

    pub(crate) const fn softened(self) -> Self {
        Self { age: Age::Softened, ..self }
    }

    pub(crate) const fn filled_with(self, fill: Token) -> Self {
        Self { fill, ..self }
    }

    /// Returns `true` if both have the same trailer.
    pub(crate) fn has_trailer_of(self, other: Self) -> bool {
        let trailer = |entry: Self| match entry.age {
            Age::Fresh | Age::Outdated => Self { age: Age::Fresh, ..entry },
            Age::Softened => entry,
        };
        trailer(self) == trailer(other)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}", self.version)?;
        if self.tag > 0 {
            write!(formatter, " of T{}", self.tag)?;
        }
        formatter.write_str(match self.age {
            Age::Fresh => "",
            Age::Outdated => " outdated",
            Age::Softened => " softened",
        })?;
        if self.fill != Token::NONE {
            write!(formatter, " by {:?}", self.fill)?;
        }
        formatter.write_str(if self.plain { " plain" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_soften_changes_the_trailer() {
        let entry = Entry::new(1, 0);
        assert!(Entry { age: Age::Outdated, ..entry }.has_trailer_of(entry));
        assert!(!entry.softened().has_trailer_of(entry));
        assert!(!entry.filled_with(Token(1)).has_trailer_of(entry));
    }
}
