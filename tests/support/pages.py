"""What is in an HTML page of ours."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}
FETCHES = {"src", "srcset", "data", "href", "xlink:href", "action"}


class Outline(HTMLParser):
    """The text of a page, its ids, its tags, its links to elsewhere, and whether every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.meta: dict[str, str] = {}
        self.labels: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._read(tag, {name: value or "" for name, value in attrs})

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._read(tag, {name: value or "" for name, value in attrs})

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)

    def _read(self, tag: str, given: dict[str, str]) -> None:
        assert not any(name.startswith("on") for name in given), "no page of ours runs anything"
        self.tags[tag] += 1
        self.ids += [given["id"]] if "id" in given else []
        self.links += [value for name, value in given.items() if name in FETCHES and not value.startswith("#")]
        self.labels += [given[name] for name in ("aria-label", "title") if name in given]
        if "http-equiv" in given:
            self.meta[given["http-equiv"]] = given["content"]
