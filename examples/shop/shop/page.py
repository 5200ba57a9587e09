"""The shop's one page, as HTML: the release is in its colour, its greeting, its shelf and its footer."""

from __future__ import annotations

from html import escape
from pathlib import Path
from string import Template

from shop.domain import Answer, Shop

PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
CARD = Template('      <li><b>$name</b>$unit<span>$price</span><button data-sku="$sku">add</button></li>')


def render(shop: Shop) -> str:
    """Return the page that this release of the shop shows."""
    cards = "\n".join(_card(card) for card in shop.catalogue()["items"])
    return PAGE.substitute(
        release=escape(shop.release), accent=shop.accent, greeting=escape(shop.greeting), cards=cards
    )


def _card(card: Answer) -> str:
    unit = f"<i>{card['per_100g']} per 100 g</i>" if "per_100g" in card else ""
    return CARD.substitute(card, unit=unit)
