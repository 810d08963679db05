"""The cached products, of about 200 bytes or about 10 KB of JSON."""

from __future__ import annotations

from pydantic import BaseModel


class Review(BaseModel):
    author: str
    stars: int
    text: str


class Product(BaseModel):
    id: str
    name: str
    description: str
    price: float
    stock: int
    tags: list[str]
    reviews: list[Review]


def product(size: int) -> Product:
    """Creates a product with about `size` bytes of JSON."""
    made = Product(
        id="4711",
        name="Walnut shelf, oiled",
        description="Three boards, two brackets and all the screws.",
        price=129.5,
        stock=17,
        tags=["wood", "living room"],
        reviews=[],
    )
    text = "It hangs where it should, and holds what it has to."
    while len(made.model_dump_json()) < size * 0.95:
        made.reviews.append(Review(author="somebody", stars=5, text=text))
    return made
