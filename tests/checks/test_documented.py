"""The page on checks shows code that works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support import require_module
from zdlife.errors import WrongUse

PAGE = Path(__file__).resolve().parents[2] / "docs" / "howto" / "checks.md"


def test_every_block_of_the_page_runs_and_defines_its_checks() -> None:
    for needed in ("sqlalchemy", "redis", "psycopg", "kombu"):
        require_module(needed)
    page = PAGE.read_text()
    namespace: dict[str, Any] = {"__name__": "documented"}

    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), namespace)

    named = re.findall(r'life\.check\("([a-z-]+)"', page)
    assert len(named) == 8
    for name in named:
        with pytest.raises(WrongUse, match=name):  # There is one of that name already.
            namespace["life"].check(name)(print)
    assert namespace["licences"]().text == "10 licences are left: order more"
