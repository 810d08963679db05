//! Entries: how they are written, and inspected before they are decoded.

use bytes::Bytes;

use super::freshness::Freshness;
use super::outcome::{Miss, MissReason};
use super::read::View;
use crate::backend::{Seen, TagVersion, Token};
use crate::context::{Foreign, Format};
use crate::tag::{self, TagStamp};
use crate::trailer::{CodecId, MAGIC, Trailer, TrailerError};
use crate::ttl::Lifetime;

/// A cached negative in [`Format::Plain`].
///
/// To other clients it is JSON's `null`. The white space behind it distinguishes it from a
/// value that is `null`.
const ABSENT: &[u8] = b"null\t \n\t \n\t ";

/// An entry, inspected without a further request.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// What was found, provided that the `open` tags are unchanged.
    pub(crate) found: Result<Found, Miss>,
    /// The tags whose current versions are not known yet.
    pub(crate) open: Vec<TagStamp>,
}

/// An entry that answers a call, not yet decoded.
#[derive(Debug)]
pub(crate) struct Found {
    /// The length of the encoded value, with which the entry begins.
    pub(crate) length: usize,
    /// Whether the entry is a negative.
    pub(crate) absent: bool,
    /// The whole entry.
    pub(crate) raw: Bytes,
    /// What its trailer says, if it has one.
    pub(crate) freshness: Option<Freshness>,
}

impl Found {
    /// Returns the tags that the entry carries.
    pub(crate) fn stamps(&self) -> Vec<TagStamp> {
        tags_of(&self.raw)
    }
}

/// Returns the tags that an entry carries.
pub(super) fn tags_of(raw: &[u8]) -> Vec<TagStamp> {
    Trailer::find(raw).map(|(_, trailer)| trailer.tags).unwrap_or_default()
}

impl Format {
    /// Returns `true` if a value can be read back. A bare one must not end like an entry that
    /// has a trailer, as that of another codec than JSON may.
    pub(crate) fn can_hold(self, value: &[u8]) -> bool {
        self != Self::Plain || !(value.ends_with(MAGIC) || value == ABSENT)
    }

    /// Writes an entry.
    pub(crate) fn entry(self, value: Option<Bytes>, fill: FillStamp) -> Bytes {
        let absent = value.is_none();
        match (self, value) {
            // A copy, as a value may be a part of more: entries in memory are weighed by their
            // length.
            (Self::Plain, Some(value)) => Bytes::copy_from_slice(&value),
            (Self::Plain, None) => Bytes::from_static(ABSENT),
            (Self::Trailer(_), value) => {
                let trailer = fill.trailer(absent);
                let mut entry = value.map_or_else(|| b"null".to_vec(), Vec::from);
                entry.reserve_exact(trailer.length());
                trailer.append_to(&mut entry);
                // Without spare capacity, which a codec may have left.
                Bytes::from(entry.into_boxed_slice())
            }
        }
    }
}

impl View<'_> {
    /// Returns `true` if an untracked entry is a hit. It carries no tags.
    pub(crate) fn accepts_untracked(self) -> bool {
        self.format != Format::Trailer(Foreign::Reject) && self.tags.ids().is_empty()
    }

    /// Inspects what was read, given the current versions of the caller's tags; without them,
    /// they remain to be looked up.
    #[inline]
    pub(crate) fn inspect(
        self,
        raw: Option<Bytes>,
        versions: Option<&[Option<TagVersion>]>,
    ) -> Inspected {
        let Some(raw) = raw else {
            return Err(Miss::without_entry(MissReason::Missing)).into();
        };
        match Trailer::find(&raw) {
            // In a cache of plain entries too: another process may have written it with tags.
            Ok((_, trailer)) if trailer.codec != self.codec => {
                Err(Miss::new(MissReason::OtherCodec, Seen::entry(&raw))).into()
            }
            Ok((range, trailer)) => match self.open(&trailer.tags, trailer.late_tags, versions) {
                Ok(open) => {
                    let (length, freshness) = (range.end, Some(Freshness::of(&trailer)));
                    let found = Found { length, absent: trailer.absent, raw, freshness };
                    Inspected { found: Ok(found), open }
                }
                Err(reason) => Err(Miss::new(reason, Seen::entry(&raw))).into(),
            },
            Err(error) => match self.untracked(&raw, error) {
                Ok(absent) => Ok(Found { length: raw.len(), absent, raw, freshness: None }).into(),
                Err(reason) => Err(Miss::new(reason, Seen::entry(&raw))).into(),
            },
        }
    }

    /// Returns whether an entry without a readable trailer is a negative.
    pub(super) fn untracked(self, raw: &Bytes, error: TrailerError) -> Result<bool, MissReason> {
        match error {
            TrailerError::Missing if self.accepts_untracked() => {
                Ok(self.format == Format::Plain && raw == ABSENT)
            }
            TrailerError::Missing => Err(MissReason::Untracked),
            TrailerError::Unknown | TrailerError::Damaged => Err(MissReason::Unusable),
        }
    }

    /// Compares an entry's tags with the caller's, and returns those that remain to be looked
    /// up.
    ///
    /// An entry that lacks one of the caller's tags could outlive its invalidation. Those that were
    /// known only after its load are in addition to what any call names.
    pub(super) fn open(
        self,
        tags: &[TagStamp],
        late_tags: bool,
        versions: Option<&[Option<TagVersion>]>,
    ) -> Result<Vec<TagStamp>, MissReason> {
        let mut required = self.tags.ids().iter().enumerate().peekable();
        let mut open = Vec::new();
        let mut others = false;
        for tag in tags {
            match (required.next_if(|(_, id)| **id == tag.id), versions) {
                (Some((position, _)), Some(versions)) => {
                    if versions.get(position).copied().flatten() != Some(tag.version) {
                        return Err(MissReason::TagsChanged);
                    }
                }
                (is_required, _) => {
                    others |= is_required.is_none();
                    open.push(*tag);
                }
            }
        }
        let valid = required.next().is_none() && !(others && self.tags.is_exact() && !late_tags);
        if valid { Ok(open) } else { Err(MissReason::OtherTags) }
    }
}

impl From<Result<Found, Miss>> for Inspected {
    fn from(found: Result<Found, Miss>) -> Self {
        Self { found, open: Vec::new() }
    }
}

/// The metadata of a fill.
#[derive(Clone, Debug)]
pub(crate) struct FillStamp {
    pub(crate) codec: CodecId,
    pub(crate) token: Token,
    /// Milliseconds of the backend's clock when the lease was granted.
    pub(crate) loaded_at: u64,
    pub(crate) lifetime: Lifetime,
    pub(crate) load_millis: u128,
    /// Whether there are tags among them that were known only after the load.
    pub(crate) late_tags: bool,
    pub(crate) tags: Vec<TagStamp>,
}

impl FillStamp {
    fn trailer(self, absent: bool) -> Trailer {
        let mut fill = [0; 5];
        fill.copy_from_slice(&self.token.as_bytes()[..5]);
        Trailer {
            absent,
            codec: self.codec,
            fill,
            loaded_at: self.loaded_at,
            fresh_for: self.lifetime.fresh.as_millis(),
            lives_for: self.lifetime.outlives(),
            load_time: u64::try_from(self.load_millis).unwrap_or(u64::MAX),
            late_tags: self.late_tags,
            tags: self.tags,
        }
    }
}

/// Parses a tag's version from a backend's answer.
pub(crate) fn version(raw: Option<&Bytes>) -> Option<TagVersion> {
    tag::read(raw?).map(|(version, _)| version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tag::{TagId, Tags};

    #[test]
    fn untracked_hits_need_acceptance_without_tags() {
        let none = Tags::none("p".into());
        let some = none.with([TagId::of("t").unwrap()]).unwrap();
        let accepts =
            |format, tags| View { tags, format, codec: CodecId::JSON }.accepts_untracked();
        assert!(accepts(Format::Plain, &none));
        assert!(accepts(Format::Trailer(Foreign::Accept), &none));
        assert!(!accepts(Format::Trailer(Foreign::Accept), &some));
        assert!(!accepts(Format::Trailer(Foreign::Reject), &none));
    }
}
