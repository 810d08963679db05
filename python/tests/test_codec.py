"""Tests of the codec of a model."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import BaseModel

from hotshelf import Codec, DecodeError, EncodeError


class Product(BaseModel):
    id: int
    name: str = "lamp"


@pytest.mark.parametrize(
    ("model", "value", "read", "raw"),
    [
        (Product, Product(id=1), Product(id=1), b'{"id":1,"name":"lamp"}'),
        (Product, {"id": "1"}, Product(id=1), b'{"id":1,"name":"lamp"}'),
        (list[int], (1, 2), [1, 2], b"[1,2]"),
        (bytes, b"\xff", b"\xff", b'"/w=="'),
        (None, (1, "a"), [1, "a"], b'[1,"a"]'),
        (Product, None, None, b"null"),
    ],
)
def test_decoding_returns_prepared_value(model: Any, value: Any, read: Any, raw: bytes) -> None:
    codec = Codec.of(model)
    assert codec.prepare(value) == (read, raw)
    if value is not None:
        assert codec.decode(raw) == read


def test_codecs_are_created_once() -> None:
    assert Codec.of(Product) is Codec.of(Product)
    assert Codec.of(Product).name == "Product"


@pytest.mark.parametrize(
    ("model", "value", "text"),
    [
        (Product, {"id": "confidential"}, "id: Input should be a valid integer"),
        (float, math.inf, "^Input should be a valid number$"),
        (None, b"confidential", "use `model=bytes`"),
        (None, {"confidential": object()}, "object"),
    ],
)
def test_unencodable_values_raise_encode_error(model: Any, value: Any, text: str) -> None:
    with pytest.raises(EncodeError, match=text) as caught:
        Codec.of(model).prepare(value)
    assert "confidential" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "raw", "text"),
    [
        (Product, b'{"id":"confidential"}', "id: Input should be a valid integer"),
        (Product, b"{", "EOF"),
        (None, b"NaN", "NaN is not valid JSON"),
        (bytes, b'"confidential!"', "base64"),
    ],
)
def test_invalid_bytes_raise_decode_error(model: Any, raw: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text) as caught:
        Codec.of(model).decode(raw)
    assert "confidential" not in str(caught.value)
