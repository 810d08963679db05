"""What goes wrong, and must not reach those who only want a value."""

from hotshelf import _hotshelf
from hotshelf._hotshelf import CacheError, ConfigurationError

#: Trouble with what was to become a key, a tag or a lifetime.
WRONG = (
    ConfigurationError,
    _hotshelf.KeyError,
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
)

#: The same, or trouble with the backend.
UNUSABLE = (CacheError, *WRONG)
