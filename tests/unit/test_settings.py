"""Every knob, from arguments, from a profile and from the environment."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from zdlife import Settings
from zdlife.errors import WrongUse
from zdlife.settings import PROFILES, Profile, load_settings

TIMES = ("grace", "settle", "settle_quiet", "settle_max", "drain", "cleanup")


class Terminal:
    """A standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_the_defaults_are_those_of_kubernetes() -> None:
    found = Settings()

    assert {name: getattr(found, name) for name in TIMES} == {
        "grace": 30,
        "settle": 5,
        "settle_quiet": 2,
        "settle_max": 10,
        "drain": 15,
        "cleanup": 3,
    }


def test_nobody_settles_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())

    assert Settings().settle == 0


def test_a_process_without_standard_error_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)

    assert Settings().settle == 5


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("ZDLIFE_SERVICE", "shop", ("service", "shop")),
        ("ZDLIFE_VERSION", "1.4", ("version", "1.4")),
        ("ZDLIFE_INSTANCE", "shop-7", ("instance", "shop-7")),
        ("ZDLIFE_ENVIRONMENT", "production", ("environment", "production")),
        ("ZDLIFE_GRACE", "60", ("grace", 60)),
        ("ZDLIFE_SETTLE", "0.5", ("settle", 0.5)),
        ("ZDLIFE_SETTLE_QUIET", "1", ("settle_quiet", 1)),
        ("ZDLIFE_SETTLE_MAX", "7", ("settle_max", 7)),
        ("ZDLIFE_DRAIN", "20", ("drain", 20)),
        ("ZDLIFE_CLEANUP", "1", ("cleanup", 1)),
        ("ZDLIFE_REPORT", "/var/log/report.jsonl", ("report", Path("/var/log/report.jsonl"))),
        ("ZDLIFE_ENABLED", "false", ("enabled", False)),
        ("ZDLIFE_STRICT", "true", ("strict", True)),
        ("ZDLIFE_BOARD_DIR", "/run/shop", ("board_dir", Path("/run/shop"))),
    ],
    ids=lambda given: given if isinstance(given, str) and given.startswith("ZDLIFE") else "",
)
def test_the_environment_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str, value: tuple[str, Any]
) -> None:
    monkeypatch.setenv(name, written)

    assert getattr(Settings(), value[0]) == value[1]


def test_an_argument_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZDLIFE_DRAIN", "20")

    assert Settings(drain=1).drain == 1


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZDLIFE_DRAIN", "")

    assert Settings().drain == 15


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_gives_the_times(profile: Profile) -> None:
    found = Settings(profile=profile)

    assert {name: getattr(found, name) for name in PROFILES[profile]} == PROFILES[profile]


def test_a_profile_is_read_from_the_environment_and_what_is_set_beside_it_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZDLIFE_PROFILE", "fly")
    monkeypatch.setenv("ZDLIFE_DRAIN", "2")

    found = Settings(cleanup=0.5)

    assert (found.grace, found.drain, found.cleanup) == (5, 2, 0.5)


def test_settings_are_not_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().drain = 1  # type: ignore[misc]


def test_an_argument_that_is_no_setting_is_refused() -> None:
    with pytest.raises(ValidationError):
        Settings(setle=5)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("ZDLIFE_GRACE", "soon"),
        ("ZDLIFE_GRACE", "0"),
        ("ZDLIFE_DRAIN", "-1"),
        ("ZDLIFE_SETTLE", "inf"),
        ("ZDLIFE_SETTLE_MAX", "nan"),
        ("ZDLIFE_PROFILE", "nomad"),
        ("ZDLIFE_ENABLED", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_used_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str
) -> None:
    monkeypatch.setenv(name, written)

    with pytest.raises(WrongUse) as caught:
        load_settings()

    assert str(caught.value).startswith(f"{name}=")
    assert written in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_are_given_are_loaded() -> None:
    assert load_settings(drain=7).drain == 7


# The release.


def test_the_release_is_who_speaks() -> None:
    found = Settings(service="shop", version="1.4", instance="shop-7", environment="production").release()

    assert (found.service, found.version, found.instance, found.environment) == ("shop", "1.4", "shop-7", "production")


def test_an_instance_without_a_name_is_called_after_its_host_and_its_first_process() -> None:
    assert Settings().release(leader_pid=4711).instance == f"{socket.gethostname()}-4711"


def test_a_process_on_its_own_is_its_instances_first() -> None:
    assert Settings().release().instance == f"{socket.gethostname()}-{os.getpid()}"
