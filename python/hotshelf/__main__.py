"""The command line: `python -m hotshelf --help`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import sys
from typing import Any

from hotshelf._hotshelf import Dashboard, run_cli


def main() -> int:
    """Runs the command of `sys.argv`, and returns its exit code."""
    # A command waits for replies and answers in Rust, where no handler of Python runs.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # A command reports its errors itself.
    logging.getLogger("hotshelf").addHandler(logging.NullHandler())
    done = run_cli(["hotshelf", *sys.argv[1:]])
    return _serve(done) if isinstance(done, Dashboard) else done


def _serve(dashboard: Dashboard) -> int:
    """Serves the admin page until it is interrupted."""
    try:
        import uvicorn
    except ImportError:
        message = "hotshelf: the dashboard needs uvicorn: run `pip install uvicorn`\n"
        sys.stderr.write(message)
        return 2
    host, port = dashboard.listen
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        return _failed(f"can't listen on {_address(host, port)}: {reason}")
    with listener:
        address = _address(host, listener.getsockname()[1])
        sys.stderr.write(f"the page is at http://{address}/\n")
        config = uvicorn.Config(_app(dashboard), log_level="warning")
        # It ends by the signal that interrupts it.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    return 0


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _failed(message: str) -> int:
    """Writes why the page can't be served, and returns the exit code."""
    if "--json" in sys.argv:
        error = {"kind": "unavailable", "message": message}
        sys.stderr.write(json.dumps({"error": error}) + "\n")
    else:
        sys.stderr.write(f"hotshelf: {message}\n")
    return 3


def _app(dashboard: Dashboard) -> Any:
    """Returns the application of ASGI: the page, and the life of its manager."""
    from hotshelf import AdminPage, CacheManager

    manager = CacheManager(dashboard.url)
    dashboard.build_caches(manager.store)

    def auth(scope: dict[str, Any]) -> str | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = hosts[0].decode("latin-1") if hosts else None
        return "anybody" if dashboard.allows_host(host) else None

    page = AdminPage(manager, auth=auth, writes=dashboard.writes, values=dashboard.values)

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await page(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await manager.close()
        await send({"type": "lifespan.shutdown.complete"})

    return app


if __name__ == "__main__":
    sys.exit(main())
