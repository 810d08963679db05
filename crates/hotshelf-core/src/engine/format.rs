//! How entries are written, and what a raw one is worth before it is decoded.

use bytes::Bytes;

use crate::backend::{TagVersion, Token};
use crate::tag::{TagStamp, Tags};
use crate::trailer::Trailer;
use crate::ttl::Ttl;

/// How the entries of a cache are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The value alone. Such entries carry no tags.
    Plain,
    /// The value and a [`Trailer`].
    Trailer(Foreign),
}

/// What an entry without a trailer, one that another client wrote, is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Foreign {
    /// A miss. It costs a load for each plain write, and keeps the promise that nothing
    /// outdated is served even beside plain writers.
    #[default]
    Reject,
    /// A hit. The race that plain writers have with each other is theirs.
    Accept,
}

/// What stands, in [`Format::Plain`], for a value that is known not to exist.
///
/// To other clients it is JSON's `null`; the white space behind it tells it from a `null`
/// that is itself a value.
const ABSENT: &[u8] = b"null\t \n\t \n\t ";

/// A raw entry, inspected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Inspected {
    /// An entry that counts.
    Entry { value: Bytes, absent: bool },
    /// One of our own, dead by its tags.
    Dead,
    /// Nothing of ours.
    Foreign,
    /// It depends on the versions of these tags, which the caller hadn't named.
    Unknown(Vec<TagStamp>, Bytes, bool),
}

impl Format {
    /// Says whether an entry without a trailer counts as none.
    pub(crate) fn skips_foreign(self) -> bool {
        self == Self::Trailer(Foreign::Reject)
    }

    /// Inspects an entry, given the present versions of the caller's tags.
    pub(crate) fn inspect(
        self,
        raw: &Bytes,
        tags: &Tags,
        versions: &[Option<TagVersion>],
    ) -> Inspected {
        let foreign = match self {
            Self::Plain if raw == ABSENT => {
                return Inspected::Entry { value: raw.clone(), absent: true };
            }
            Self::Plain => return Inspected::Entry { value: raw.clone(), absent: false },
            Self::Trailer(foreign) => foreign,
        };
        let Some((place, trailer)) = Trailer::find(raw) else {
            return match foreign {
                Foreign::Accept => Inspected::Entry { value: raw.clone(), absent: false },
                Foreign::Reject => Inspected::Foreign,
            };
        };
        let (value, absent) = (raw.slice(place), trailer.absent);
        if tags.ids().is_empty() && !trailer.tags.is_empty() {
            return Inspected::Unknown(trailer.tags, value, absent);
        }
        let ids = trailer.tags.iter().map(|stamp| &stamp.id);
        let alive = ids.eq(tags.ids())
            && trailer.tags.iter().zip(versions).all(|(stamp, now)| *now == Some(stamp.version));
        if alive { Inspected::Entry { value, absent } } else { Inspected::Dead }
    }

    /// Writes an entry.
    pub(crate) fn entry(self, value: Option<Bytes>, fill: FillStamp) -> Bytes {
        let absent = value.is_none();
        match (self, value) {
            (Self::Plain, Some(value)) => value,
            (Self::Plain, None) => Bytes::from_static(ABSENT),
            (Self::Trailer(_), value) => {
                let mut entry = value.map_or_else(|| b"null".to_vec(), Vec::from);
                fill.trailer(absent).append_to(&mut entry);
                Bytes::from(entry.into_boxed_slice())
            }
        }
    }
}

/// What a fill knows of itself.
#[derive(Clone, Debug)]
pub(crate) struct FillStamp {
    pub(crate) token: Token,
    /// Milliseconds of the backend's clock when the load began; 0 if that isn't known.
    pub(crate) loaded_at: u64,
    pub(crate) ttl: Ttl,
    pub(crate) load_millis: u128,
    pub(crate) tags: Vec<TagStamp>,
}

impl FillStamp {
    fn trailer(self, absent: bool) -> Trailer {
        let mut fill = [0; 8];
        fill.copy_from_slice(&self.token.as_bytes()[..8]);
        Trailer {
            absent,
            fill,
            loaded_at: self.loaded_at,
            fresh_for: u32::try_from(self.ttl.as_millis()).unwrap_or(u32::MAX),
            load_time: u16::try_from(self.load_millis).unwrap_or(u16::MAX),
            tags: self.tags,
        }
    }
}

/// Reads a tag's version as a backend answers it.
pub(crate) fn version(raw: Option<&Bytes>) -> Option<TagVersion> {
    raw.and_then(|raw| TagVersion::try_from(&raw[..]).ok())
}
