"""The admin page, as an application of ASGI."""

from __future__ import annotations

import asyncio
import inspect
import weakref
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from hotshelf._errors import ClosedError, ConfigurationError
from hotshelf._hotshelf import Admin, Pending, admin_error
from hotshelf._keys import list_of_names
from hotshelf._pending import result_of

if TYPE_CHECKING:
    from hotshelf import sync
    from hotshelf._manager import CacheManager

#: The largest body of a request, in bytes, and how long it is waited for, in seconds: a shutdown
#: waits as long.
_LARGEST = 128 << 10
_PATIENCE = 2.0

#: Returns the name of the visitor, or `None` to refuse them. It takes the scope of ASGI.
Auth = Callable[[dict[str, Any]], "str | None | Awaitable[str | None]"]


class _Asked(NamedTuple):
    """What the page needs of a request."""

    method: str
    path: str
    base: str
    query: str
    body: bytes
    host: str | None
    origin: str | None
    fetch_site: str | None
    intent: str | None
    who: str


class AdminPage:
    """The admin page of a manager, an application of ASGI to be mounted:

        def auth(scope):
            return "ann" if Headers(scope=scope).get("authorization") == token else None

        app.mount("/admin", hotshelf.AdminPage(cache, auth=auth))

    It shows what the cache does, as it does it; keys and what they hold; and invalidates, if that
    is allowed. It is for the process that answers: with several workers, each shows its own counters.
    Costs the caches nothing; a page that is open costs a request, and a round trip to the server,
    each second. It keeps no connection open.
    """

    def __init__(
        self,
        manager: CacheManager | sync.CacheManager,
        *,
        auth: Auth | None = None,
        insecure_open: bool = False,
        writes: bool = False,
        values: bool = False,
        hosts: Iterable[str] = (),
    ) -> None:
        """Creates the page.

        Args:
            manager: The manager.
            auth: Decides who is let in: a function, sync or async, of the scope of ASGI, which
                returns the name of the visitor, for the log of what was removed by whom, or `None`
                or an empty name to refuse them. It is called for each request, files included. A
                browser sends cookies and the credentials of a login that the application or a proxy
                asks for; it sends no bearer token by itself.
            insecure_open: Lets everybody in who can reach the address: for development, or behind a
                proxy that decides. The page then answers only for `localhost`, IP addresses and
                `hosts`, since any site could have a name of its own lead here (DNS rebinding).
            writes: Whether visitors may invalidate.
            values: Whether visitors may see values.
            hosts: The names by which an open page is reached, as in `Host`, without ports.

        Raises:
            ConfigurationError: Without `auth` and `insecure_open`.
        """
        if auth is None and not insecure_open:
            raise ConfigurationError(
                "the admin page needs `auth`, or `insecure_open=True` to let everybody in"
            )
        asynchronous: Any = getattr(manager, "asynchronous", manager)
        self._manager: CacheManager = asynchronous
        self._auth = auth
        names = list_of_names(hosts, "hosts")
        self._options = (bool(writes), bool(values), auth is None, names)
        self._store: Any = None
        self._page: Admin | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answers a request."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return
        status, headers, body = await self._answer(scope, receive)
        length = (b"content-length", str(len(body)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        shown = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": shown})

    async def _answer(
        self, scope: dict[str, Any], receive: Any
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        who: Any = "anybody"
        if self._auth is not None:
            who = self._auth(scope)
            who = await who if inspect.isawaitable(who) else who
        if not isinstance(who, str) or not who:
            return admin_error(401, "you have to log in")
        try:
            body = await asyncio.wait_for(_body(scope, receive), _PATIENCE)
        except asyncio.TimeoutError:
            return admin_error(408, "the request is too slow")
        if len(body) > _LARGEST:
            return admin_error(413, "the request is too large")
        asked = _asked(scope, body, who)
        try:
            answer = self._opened().respond(asked)
            if type(answer) is Pending:
                answer = await result_of(answer)
        except ClosedError as error:
            return admin_error(503, str(error))
        return cast("tuple[int, list[tuple[bytes, bytes]], bytes]", answer)

    def _opened(self) -> Admin:
        """Returns the page of the store that is open."""
        store = self._manager.store
        if self._page is None or self._store is not store:
            self._store, self._page = store, Admin(store, *self._options)
            self._sample()
        return self._page

    def _sample(self) -> None:
        """Asks for the state now and then, so that a page that is opened later has a history."""
        page, samples = weakref.ref(self), self._page

        async def sample() -> None:
            while (it := page()) is not None and it._page is samples and it._manager.is_open:
                del it
                await asyncio.sleep(1)
                cast("Admin", samples).sample()

        task = asyncio.get_running_loop().create_task(sample())
        self._manager._background.keep(task)


async def _body(scope: dict[str, Any], receive: Any) -> bytes:
    """Returns the body of a request that has one, or a part of one that is too large."""
    body = b""
    while scope["method"] == "POST" and len(body) <= _LARGEST:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    return body


def _asked(scope: dict[str, Any], body: bytes, who: str) -> _Asked:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    root = scope.get("root_path", "")
    path: str = scope["path"]
    # Frameworks differ in whether the path contains that of the mount.
    root = root.rstrip("/")
    rest = path.removeprefix(root) if path == root or path.startswith(root + "/") else path
    return _Asked(
        method=scope["method"],
        path=rest.lstrip("/"),
        base=root + "/",
        query=scope.get("query_string", b"").decode("latin-1"),
        body=body,
        host=headers.get(b"host"),
        origin=headers.get(b"origin"),
        fetch_site=headers.get(b"sec-fetch-site"),
        intent=headers.get(b"x-hotshelf-admin"),
        who=who,
    )
