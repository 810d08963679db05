//! Conversion of identifiers into keys.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::Key;

/// A type that identifies an entry: text, integers, tuples of these, [`Key`], and with the
/// feature `uuid` also `Uuid`; each by value and by reference.
///
/// Integers are written in decimal, as by Python's `str`, and UUIDs in lower case with
/// hyphens. The elements of a tuple stay distinct: in the default layout `("a", "b")`, `"a,b"`
/// and `("a,b",)` are different keys.
///
/// Implement it for the identifiers of your application:
///
/// ```
/// # use hotshelf_core as hotshelf;
/// use hotshelf::{IntoKey, Key};
///
/// enum Page { Home, Product(u64) }
///
/// impl IntoKey for Page {
///     fn to_key(&self) -> Key<'_> {
///         match self {
///             Self::Home => Key::new("home"),
///             Self::Product(id) => Key::new(("product", *id)),
///         }
///     }
/// }
///
/// assert_eq!(Key::new(Page::Product(7)), Key::new(("product", 7)));
/// assert_ne!(Key::new(&Page::Home), Key::new(("home", "")));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as a cache key",
    label = "not a key",
    note = "keys are text, integers, tuples of these and `Uuid` (feature `uuid`), by value or by reference",
    note = "implement `IntoKey` for your own identifiers, or pass their text: `id.to_string()`",
    note = "`#[cached]` leaves an argument out of the key by `skip(argument)`"
)]
pub trait IntoKey {
    /// Returns the key, borrowing from the value where it can.
    fn to_key(&self) -> Key<'_>;

    /// Converts the value into the key.
    fn into_key<'a>(self) -> Key<'a>
    where
        Self: Sized + 'a,
    {
        self.to_key().into_owned()
    }
}

impl<K: IntoKey + ?Sized> IntoKey for &K {
    fn to_key(&self) -> Key<'_> {
        (**self).to_key()
    }

    fn into_key<'a>(self) -> Key<'a>
    where
        Self: 'a,
    {
        self.to_key()
    }
}

impl IntoKey for str {
    #[inline]
    fn to_key(&self) -> Key<'_> {
        Key::from(Cow::Borrowed(self))
    }
}

impl IntoKey for String {
    fn to_key(&self) -> Key<'_> {
        self.as_str().to_key()
    }

    fn into_key<'a>(self) -> Key<'a>
    where
        Self: 'a,
    {
        Key::from(Cow::Owned(self))
    }
}

impl IntoKey for Cow<'_, str> {
    fn to_key(&self) -> Key<'_> {
        (**self).to_key()
    }

    fn into_key<'a>(self) -> Key<'a>
    where
        Self: 'a,
    {
        Key::from(self)
    }
}

impl IntoKey for Key<'_> {
    fn to_key(&self) -> Key<'_> {
        self.borrowed()
    }

    fn into_key<'a>(self) -> Key<'a>
    where
        Self: 'a,
    {
        self
    }
}

/// Implements [`IntoKey`] for pointers to text.
macro_rules! pointers {
    ($($pointer:ty),+) => {
        $(impl IntoKey for $pointer {
            fn to_key(&self) -> Key<'_> {
                (**self).to_key()
            }
        })+
    };
}

pointers!(Box<str>, Rc<str>, Arc<str>);

macro_rules! integers {
    ($($integer:ty),+) => {
        $(impl IntoKey for $integer {
            fn to_key(&self) -> Key<'_> {
                self.to_string().into_key()
            }
        })+
    };
}

integers!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);

macro_rules! tuples {
    ($(($first:ident, $($further:ident),+)),+) => {
        $(impl<$first: IntoKey, $($further: IntoKey),+> IntoKey for ($first, $($further),+) {
            #[expect(non_snake_case, reason = "an element is named as its type")]
            fn to_key(&self) -> Key<'_> {
                let ($first, $($further),+) = self;
                Key::tuple($first.to_key(), vec![$($further.to_key()),+])
            }

            #[expect(non_snake_case, reason = "an element is named as its type")]
            fn into_key<'a>(self) -> Key<'a>
            where
                Self: 'a,
            {
                let ($first, $($further),+) = self;
                Key::tuple($first.into_key(), vec![$($further.into_key()),+])
            }
        })+
    };
}

tuples!((A, B), (A, B, C), (A, B, C, D));

#[cfg(feature = "uuid")]
impl IntoKey for uuid::Uuid {
    fn to_key(&self) -> Key<'_> {
        self.hyphenated().to_string().into_key()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owned_and_borrowed_keys_are_equal() {
        let text = String::from("a");
        let expected = Key::new("a");
        assert_eq!(Key::new(&text), expected);
        assert_eq!((&&text).into_key(), expected);
        assert_eq!(Key::new(Cow::Borrowed("a")), expected);
        assert_eq!((&Cow::<str>::Borrowed("a")).into_key(), expected);
        assert_eq!(Key::new(Arc::<str>::from("a")), expected);
        assert_eq!(Key::new(&expected), expected);
        assert_eq!(Key::new(text), expected);
        assert_eq!((&7_u64).into_key(), Key::new("7"));
        assert_eq!((-7_i8).into_key(), Key::new("-7"));
    }

    #[test]
    fn tuple_elements_stay_distinct() {
        let pair = Key::new(("a", "b"));
        assert_eq!(Key::new(&(String::from("a"), &"b")), pair);
        assert_eq!(pair.parts(), ["a", "b"]);
        for other in [
            Key::new("a"),
            Key::new("a,b"),
            Key::new(("a", "b", "")),
            Key::new((("a", "b"), "")),
            Key::new(("a", ("b", ""))),
            Key::new(("a", Key::new("b").with_params(&1).unwrap())),
            Key::new(("a", "b")).with_params(&1).unwrap(),
        ] {
            assert_ne!(other, pair, "{other:?}");
        }
    }

    #[cfg(feature = "uuid")]
    #[test]
    fn uuids_are_written_with_hyphens() {
        let id = uuid::Uuid::from_u128(0xA1A2);
        assert_eq!(Key::new(id).identifier(), "00000000-0000-0000-0000-00000000a1a2");
        assert_eq!((&id).into_key(), Key::new(id));
    }
}
