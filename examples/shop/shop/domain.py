"""What the shop sells and what it answers. No framework, no clock, no state: the release comes in, answers come out.

The shop keeps nothing between two requests. The basket is in the customer's hands, and every answer to it is a basket
again, so it does not matter which worker, instance or release the next request meets. Three habits let two releases
serve side by side: a new release only adds fields, lines it does not know are kept, and an order's number is made from
the basket's id, so that a checkout that is sent twice is one order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

from pydantic import BaseModel, Field

FIRST = "2026.11.1"
SECOND = "2026.11.2"
CHECKOUT_SECONDS = 0.3
"""How long the card terminal takes."""

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """Something on the shelf."""

    sku: str
    name: str
    price_cents: int
    weight_grams: int


SHELF = (
    Item("tea", "Assam tea", 420, 125),
    Item("coffee", "Highland coffee", 780, 250),
    Item("honey", "Heather honey", 650, 340),
    Item("bread", "Rye bread", 310, 500),
)
QUINCE = Item("quince", "Quince jelly", 540, 220)


class Basket(BaseModel):
    """What a customer carries: its own id and how many of each item. Other fields of an answer are ignored."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    lines: Annotated[dict[str, Annotated[int, Field(ge=1, le=99)]], Field(max_length=100)] = {}


class Pace(BaseModel):
    """How fast the export is written: seconds between two lines."""

    interval: Annotated[float, Field(ge=0, le=1)] = 0.1


@dataclass(frozen=True, slots=True)
class Shop:
    """One release of the shop. In real life the two are two commits; here a condition tells them apart."""

    release: str

    @property
    def is_first(self) -> bool:
        """Whether this is the old release; every version but the first gets what is new."""
        return self.release == FIRST

    @property
    def greeting(self) -> str:
        return "Good morning! The kettle is on." if self.is_first else "Good evening! Quince jelly is back."

    @property
    def accent(self) -> str:
        """The colour of the awning, and of this release wherever it is shown."""
        return "#2f7d5b" if self.is_first else "#7a3b8f"

    @property
    def shelf(self) -> tuple[Item, ...]:
        return SHELF if self.is_first else (*SHELF, QUINCE)

    def catalogue(self) -> Answer:
        """Return what is on the shelf, and who says so."""
        items = [self._card(item) for item in self.shelf]
        return {"release": self.release, "accent": self.accent, "greeting": self.greeting, "items": items}

    def price(self, basket: Basket) -> Answer:
        """Return the basket with its prices. Its lines stay as they were sent, known to this release or not."""
        sold = [(item, basket.lines[item.sku]) for item in self.shelf if item.sku in basket.lines]
        total = sum(item.price_cents * quantity for item, quantity in sold)
        known = {item.sku for item in self.shelf}
        return {
            "release": self.release,
            **basket.model_dump(),
            "items": [{"sku": item.sku, "name": item.name, "quantity": quantity} for item, quantity in sold],
            "unavailable": [sku for sku in basket.lines if sku not in known],
            "total_cents": total,
            "total": euros(total),
        }

    def receipt(self, basket: Basket) -> Answer:
        """Return the order. The same basket gives the same number, however often and wherever it is sent."""
        number = sha256(basket.id.encode()).hexdigest()[:6].upper()
        return {**self.price(basket), "order": number, "thanks": "Thank you, come again!"}

    def export(self) -> Iterator[str]:
        """Yield this month's sales as CSV. Without the last line, `# end`, the file is truncated."""
        yield "day,sku,sold,total_cents\n"
        for day in range(1, 25):
            item = self.shelf[day % len(self.shelf)]
            sold = 3 + day * 7 % 11
            yield f"2026-11-{day:02},{item.sku},{sold},{sold * item.price_cents}\n"
        yield "# end\n"

    def quote(self, question: str) -> Answer:
        """Return the price of what was asked for, and the question, in case it is not sold here."""
        price = next((euros(item.price_cents) for item in self.shelf if item.sku == question.strip()), None)
        return {"release": self.release, "asked": question, "price": price}

    def delivery(self) -> Delivery:
        """Return a parcel to be filled piece by piece."""
        return Delivery(self.release)

    def _card(self, item: Item) -> Answer:
        card = {
            "sku": item.sku,
            "name": item.name,
            "price_cents": item.price_cents,
            "price": euros(item.price_cents),
        }
        if not self.is_first:
            card["per_100g"] = euros(round(item.price_cents * 100 / item.weight_grams))
        return card


class Delivery:
    """A parcel on its way in: weighed and sealed piece by piece, never held in memory whole."""

    def __init__(self, release: str) -> None:
        self._release = release
        self._size_bytes = 0
        self._seal = sha256()

    def add(self, piece: bytes) -> None:
        """Take in the next piece."""
        self._size_bytes += len(piece)
        self._seal.update(piece)

    def slip(self) -> Answer:
        """Return how much has come in and its SHA-256."""
        return {"release": self._release, "size_bytes": self._size_bytes, "sha256": self._seal.hexdigest()}


def euros(cents: int) -> str:
    """Return an amount as the price tag has it."""
    return f"€{cents // 100}.{cents % 100:02}"
