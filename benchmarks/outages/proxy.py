"""A proxy between a client and Redis, whose network can fail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Forwards connections to the server at a port of this machine."""

    server_port: int
    #: The number of bytes that clients have sent.
    sent: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _listener: asyncio.Server | None = None

    async def start(self) -> int:
        """Listens on a free port, and returns it."""
        self._open.set()
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Stops listening and closes all connections."""
        if self._listener is not None:
            self._listener.close()
        self._abort()

    def hold(self) -> None:
        """Stops forwarding: both sides get no bytes, no errors and no end of a connection."""
        self._open.clear()

    def resume(self) -> None:
        """Forwards again, including the bytes that were held."""
        self._open.set()

    def kill(self) -> None:
        """Closes all connections and drops the bytes that were held. New ones work."""
        self._abort()
        self._open.set()

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._open.wait()
        if writer.transport.is_closing():
            return
        server = await asyncio.open_connection("127.0.0.1", self.server_port)
        self._writers.add(server[1])
        await asyncio.gather(
            self._forward(reader, server[1], counted=True), self._forward(server[0], writer)
        )

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False
    ) -> None:
        """Forwards bytes, and then the end of the connection."""
        try:
            while data := await reader.read(1 << 16):
                self.sent += len(data) if counted else 0
                await self._open.wait()
                if writer.transport.is_closing():
                    return
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        await self._open.wait()
        writer.close()
        self._writers.discard(writer)
