"""The measured calls, and what they read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from products import Product, product

#: More connections than there are callers: with fewer, fastapi-rc computes instead of reading.
CONNECTIONS = 1024

#: The number of entries of a library's memory, of which the benchmark uses 100.
CAPACITY = 10_000

NAMESPACE = "products"
TTL = 300

#: What a row stands for: hotshelf as it is used, a library that it is compared with, or a part of
#: the work.
Role = Literal["hotshelf", "peer", "part"]


class Source:
    """Makes the products that are cached, and counts how often."""

    def __init__(self, size: int) -> None:
        self.product = product(size)
        self.calls = 0

    def make(self) -> Product:
        self.calls += 1
        return self.product

    async def load(self) -> Product:
        return self.make()


@dataclass
class Calls:
    """The calls of a library: coroutine functions, or functions of the tables of sync calls."""

    #: Returns the product of a name, from the cache if it is there.
    call: Callable[[str], Any]
    #: Stores the product of a name. Default: `call`, which makes what is missing.
    store: Callable[[str], Any] | None = None


@dataclass(frozen=True)
class Subject:
    """A row of a table."""

    name: str
    #: The environment of its library.
    environment: str
    #: Returns the calls, on the server at a port; a coroutine function in the async tables.
    open: Callable[[int, Source], Any]
    role: Role = "peer"

    @property
    def makes_products(self) -> bool:
        """Whether a call makes what is missing: `False` for bare reads."""
        return self.role != "part"


def is_product(value: Any) -> bool:
    """Returns whether a value is the product, typed or not."""
    if isinstance(value, (str, bytes)):
        value = Product.model_validate_json(value)
    return isinstance(value, Product) and value.id == "4711"
