"""valkey-glide: a bare `GET`."""

from __future__ import annotations

from subjects import Calls, Source, Subject


async def raw(port: int, source: Source) -> Calls:
    from glide import GlideClient, GlideClientConfiguration, NodeAddress

    address = NodeAddress("127.0.0.1", port)
    client = await GlideClient.create(GlideClientConfiguration([address], request_timeout=10_000))
    return Calls(client.get, lambda name: client.set(name, source.product.model_dump_json()))


REDIS = [Subject("valkey-glide raw GET", "valkey-glide", raw, "part")]
