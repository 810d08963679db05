"""Types of arguments and replies.

A command is declared once. On a client its method returns a coroutine of its reply, on a client
that blocks the reply, and on a pipeline the pipeline itself. Type checkers see `command` as a
descriptor that tells them apart; at run time it returns the method unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, Generic, overload

from typing_extensions import ParamSpec, TypeVar

if TYPE_CHECKING:
    from hotshelf._redis._commands import Commands
    from hotshelf._redis.pipeline import Pipeline
    from hotshelf.sync._redis import Pipeline as BlockingPipeline

#: A name, a value or any other argument of a command.
Word = str | bytes | bytearray | memoryview | int | float

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: The type of strings in replies: `str`, or `bytes` with `decode_responses=False`.
Text = TypeVar("Text", str, bytes, default=str)


class Reply(Generic[T_co]):
    """The declared reply of a command."""


class BlockingCommands:
    """Marks a client whose methods return replies."""


if TYPE_CHECKING:

    class command(Generic[P, T_co]):
        def __init__(self, build: Callable[Concatenate[Any, P], Reply[T_co]]) -> None: ...
        @overload
        def __get__(self, of: Pipeline[Text], owner: Any) -> Callable[P, Pipeline[Text]]: ...
        @overload
        def __get__(
            self, of: BlockingPipeline[Text], owner: Any
        ) -> Callable[P, BlockingPipeline[Text]]: ...
        @overload
        def __get__(self, of: BlockingCommands, owner: Any) -> Callable[P, T_co]: ...
        @overload
        def __get__(
            self, of: Commands[Any], owner: Any
        ) -> Callable[P, Coroutine[Any, Any, T_co]]: ...
        @overload
        def __get__(self, of: None, owner: Any) -> Callable[Concatenate[Any, P], Any]: ...
        def __get__(self, of: Any, owner: Any) -> Any: ...

else:

    def command(build):
        """Declares the method of a command."""
        return build
