"""The base of all commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic

from hotshelf._errors import ConfigurationError
from hotshelf._redis._typing import Reply, Text, Word


class Commands(Generic[Text]):
    """Sends commands."""

    def execute_command(
        self,
        *words: Word,
        read: Callable[[Any], Any] | None = None,
        block: float | None = None,
    ) -> Any:
        """Sends any command.

        Args:
            words: The name and the arguments.
            read: Converts the reply, in place of the conversion by the command's name.
            block: For how many seconds the server may take, for a command that blocks.
        """
        raise NotImplementedError

    def _send(self, *words: Word, read: Callable[[Any], Any] | None = None) -> Reply[Any]:
        reply: Reply[Any] = (
            self.execute_command(*words)
            if read is None
            else self.execute_command(*words, read=read)
        )
        return reply

    def _send_blocking(
        self, seconds: float | None, *words: Word, read: Callable[[Any], Any] | None = None
    ) -> Reply[Any]:
        """Sends a command that blocks for at most so many seconds; 0 and `None` are without
        limit."""
        reply: Reply[Any] = self.execute_command(*words, read=read, block=seconds or float("inf"))
        return reply

    def _known(self, reply: Any) -> Reply[Any]:
        """Returns a reply that is known without a server, in its place."""
        raise NotImplementedError

    def _check_one_server(self, name: str, cure: str) -> None:
        """Raises an exception if keys are distributed over several servers."""


def only_one(**options: Any) -> None:
    """Raises an exception if more than one option is set."""
    given = [name for name, value in options.items() if value is not None and value is not False]
    if len(given) > 1:
        names = " and ".join(f"`{name}`" for name in given)
        raise ConfigurationError(f"{names} exclude one another: use one of them")
