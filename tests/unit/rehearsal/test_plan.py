"""A plan says everything that is not a default, and a wrong one is answered with one line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from zdlife.errors import PlanError
from zdlife.rehearsal.plan import Plan, RequestTable, Table, parse, read

APP = '[app]\nasgi = "shop:app"\n'


def plan(text: str) -> Plan:
    return parse(tomllib.loads(text), file=Path("plans/rehearsal.toml"))


def complaint(text: str) -> str:
    with pytest.raises(PlanError) as caught:
        plan(text)
    return str(caught.value)


def test_an_app_is_all_that_a_plan_needs() -> None:
    whole = plan(APP)
    assert whole.fleet.instances == 2
    assert whole.fleet.rolls == 4
    assert whole.load.rate == 60
    assert whole.balancer.name == "direct"
    assert whole.settings.settle > whole.balancer.lag
    assert whole.default_servers == ("uvicorn",)


def test_a_wsgi_app_alone_is_rehearsed_on_gunicorn() -> None:
    assert plan('[app]\nwsgi = "shop:app"').default_servers == ("gunicorn-gthread",)


def test_the_servers_of_the_plan_come_before_the_default() -> None:
    assert plan('servers = ["granian"]\n' + APP).default_servers == ("granian",)


def test_the_folder_is_relative_to_the_plan() -> None:
    assert plan(APP + 'path = "../src"').folder == Path("src").resolve()


def test_the_times_become_the_environment_of_the_instances() -> None:
    assert plan(APP + "[settings]\nsettle = 1.5").settings.environment()["ZDLIFE_SETTLE"] == "1.5"


def test_json_is_the_key_of_a_json_body() -> None:
    whole = plan(APP + '[[load.requests]]\nkind = "post"\njson = { tea = 2 }')
    assert whole.load.requests == (RequestTable(kind="post", json={"tea": 2}),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            APP + "[load]\nrat = 5",
            ['"rat" is not a key of [load]', 'Did you mean "rate"?'],
            id="a misspelt key",
        ),
        pytest.param(
            APP + '[[load.requests]]\nknid = "slow"',
            ['"knid" is not a key of [load.requests] number 1', 'Did you mean "kind"?'],
            id="a misspelt key in a list",
        ),
        pytest.param(
            APP + '[[load.requests]]\njson_body = "x"', ["The keys are body, contains, json, kind"], id="a name of ours"
        ),
        pytest.param(
            APP + '[releases.old]\nverison = "1"',
            ['"verison" is not a key of [releases.old]', 'Did you mean "version"?'],
            id="a misspelt key that is needed",
        ),
        pytest.param("ap = 1\n" + APP, ['"ap" is not a key of the plan', 'Did you mean "app"?'], id="a table"),
        pytest.param("", ['the plan has no "app". Add it.'], id="nothing"),
        pytest.param('[app]\nservice = "x"', ["[app]: asgi = ", "is needed"], id="nothing to run"),
        pytest.param(
            APP + "[releases.old]\nenv = {}", ['[releases.old] has no "version". Add it.'], id="a missing key"
        ),
        pytest.param(APP + '[load]\nrate = "fast"', ["[load.rate] is 'fast', and should be"], id="no number"),
        pytest.param(APP + "[load]\nrate = 0", ["[load.rate] is 0, and should be greater than 0"], id="out of range"),
        pytest.param(
            APP + '[[load.requests]]\nkind = "pots"',
            ['number 1 is "pots". Did you mean "post"?', "one of new connection, keep-alive, post, slow"],
            id="a kind that does not exist",
        ),
        pytest.param(
            'servers = ["unicorn"]\n' + APP, ['"unicorn". Did you mean "uvicorn"?'], id="a server that does not exist"
        ),
        pytest.param(
            APP + "[fleet.arguments]\nuvcorn = []",
            ['is "uvcorn". Did you mean "uvicorn"?'],
            id="arguments for a server that does not exist",
        ),
        pytest.param(
            APP + "[settings]\nsettle = 20\ngrace = 20",
            ["[settings]: settle up to 20 s + drain 8 s", "do not fit the grace period of 20 s"],
            id="times that do not fit",
        ),
        pytest.param('file = "x"\n' + APP, ['"file" is not a key of the plan'], id="where the plan stands"),
        pytest.param('[app]\nasgi = "shop"', ['[app.asgi]: "shop" should be "module:name"'], id="no target"),
        pytest.param(APP + 'health = "ready"', ['"ready" should begin with "/"'], id="no path"),
    ],
)
def test_a_wrong_plan_is_answered_with_one_line(text: str, expected: list[str]) -> None:
    line = complaint(text)
    assert line.startswith("plans/rehearsal.toml: ")
    assert "\n" not in line
    for part in expected:
        assert part in line


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(None, "there is no such plan", id="no file"),
        pytest.param(b"[app", "not valid TOML", id="no TOML"),
        pytest.param(b"\xff", "cannot be read", id="no text"),
        pytest.param(b'[app]\nasgi = "a:b"\npath = "nowhere"', "is not a folder", id="no folder"),
    ],
)
def test_a_file_that_is_no_plan_is_answered_with_one_line(content: bytes | None, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "rehearsal.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PlanError) as caught:
        read(file)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_key_says_what_it_is() -> None:
    bare = [f"{table.__name__}.{name}" for table, name, about in keys(Plan) if not about]
    assert set(bare) <= {f"Plan.{name}" for name in ("app", "releases", "fleet", "load", "balancer", "settings")} | {
        "Releases.old",
        "Releases.new",
    }


def keys(table: type[BaseModel]) -> Iterator[tuple[type[BaseModel], str, str | None]]:
    for name, known in table.model_fields.items():
        yield table, name, known.description
        inner: Any = known.annotation
        if isinstance(inner, type) and issubclass(inner, Table):
            yield from keys(inner)
