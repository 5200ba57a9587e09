"""What cannot be used is refused where the check is defined, in one line, with the remedy and without credentials."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from support import require_module
from zdlife.checks.arguments import package
from zdlife.checks.broker import broker
from zdlife.checks.disk import disk
from zdlife.checks.http import http
from zdlife.checks.redis import redis
from zdlife.checks.sql import sql
from zdlife.checks.tcp import tcp
from zdlife.errors import MissingExtra, WrongUse

SECRET = "Sesame"
CLIENT = SimpleNamespace(execute_command=print, connection_pool=SimpleNamespace(connection_kwargs={}))
CLUSTER = SimpleNamespace(execute_command=print, get_primaries=list)

WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "redis-no-client": (lambda: redis("redis://cache"), "Give it a client"),
    "redis-role": (lambda: redis(CLIENT, role="slave"), 'Write "master" or "replica"'),  # type: ignore[arg-type]
    "redis-role-of-a-cluster": (lambda: redis(CLUSTER, role="master"), "Leave it out"),
    "redis-timeout": (lambda: redis(CLIENT, timeout=-1), "positive number of seconds"),
    "sql-no-engine": (lambda: sql(object()), "Give it SQLAlchemy's engine"),
    "tcp-no-host": (lambda: tcp("", 1), "Write a name or an address"),
    "tcp-no-port": (lambda: tcp("db", 0), "from 1 to 65535"),
    "tcp-large-port": (lambda: tcp("db", 65536), "from 1 to 65535"),
    "tcp-timeout": (lambda: tcp("db", 1, timeout=0), "positive number of seconds"),
    "tcp-endless": (lambda: tcp("db", 1, timeout=float("inf")), "positive number of seconds"),
    "http-scheme": (lambda: http(f"ftp://{SECRET}/"), "Write http:// or https://"),
    "http-no-host": (lambda: http("http:///health"), "Write http:// or https://"),
    "http-port": (lambda: http(f"http://shop:{SECRET}/"), "Write http:// or https://"),
    "http-brackets": (lambda: http(f"http://[{SECRET}/"), "Write http:// or https://"),
    "http-credentials": (lambda: http(f"https://shop:{SECRET}@db/"), "headers="),
    "http-space": (lambda: http(f"http://db/{SECRET} x"), "Percent-encode it"),
    "http-not-ascii": (lambda: http(f"http://db/{SECRET}é"), "Percent-encode it"),
    "http-header-value": (lambda: http("http://db/", headers={"X-Key": f"{SECRET}\r\nX: y"}), "cannot be sent"),
    "http-header-name": (lambda: http("http://db/", headers={f"{SECRET}: x": "y"}), "cannot be sent"),
    "http-status": (lambda: http("http://db/", status=42), "such as 200"),
    "http-no-status": (lambda: http("http://db/", status=()), "such as 200"),
    "http-contains": (lambda: http("http://db/", contains=""), "Leave it out"),
    "http-timeout": (lambda: http("http://db/", timeout=0), "positive number of seconds"),
    "disk-bytes": (lambda: disk("/", free_bytes=-1), "0 or more"),
    "disk-share": (lambda: disk("/", free_share=5), "such as 0.05"),
    "disk-inodes": (lambda: disk("/", inode_share=-0.1), "such as 0.05"),
    "disk-caution": (lambda: disk("/", caution=0.5), "1 or more"),
    "broker-no-url": (lambda: broker(object()), "Give it a Celery app"),
    "broker-timeout": (lambda: broker(object(), timeout=0), "positive number of seconds"),
}


@pytest.mark.parametrize(("define", "remedy"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_is_refused_at_once(define: Callable[[], Any], remedy: str) -> None:
    with pytest.raises(WrongUse) as refused:
        define()

    said = str(refused.value)
    assert remedy in said
    assert "\n" not in said
    assert SECRET not in said
    assert refused.value.__cause__ is None


UNREADABLE: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "conninfo-a-word": ("psycopg", sql, SECRET),
    "conninfo-mysql": ("psycopg", sql, f"mysql://shop:{SECRET}@db/shop"),
    "conninfo-sqlalchemy": ("psycopg", sql, f"postgresql+psycopg://shop:{SECRET}@db/shop"),
    "conninfo-slash-in-password": ("psycopg", sql, f"postgresql://shop:{SECRET}/42@db/shop"),
    "conninfo-unknown-setting": ("psycopg", sql, f"host=db pasword={SECRET}"),
    "url-empty": ("kombu", broker, ""),
    "url-none": ("kombu", broker, SECRET),
    "url-unknown-transport": ("kombu", broker, f"carrot://shop:{SECRET}@mq/"),
    "url-slash-in-password": ("kombu", broker, f"redis://shop:{SECRET}/42@mq/0"),
    "url-hash-in-password": ("kombu", broker, f"amqp://shop:{SECRET}:1#x@mq"),
}


@pytest.mark.parametrize(("needed", "define", "text"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_not_shown(needed: str, define: Callable[[str], Any], text: str) -> None:
    require_module(needed)
    with pytest.raises(WrongUse, match=r"cannot be read\. Write ") as refused:
        define(text)

    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is refused.value.__context__ is None


def test_a_package_that_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"zdlife\[kombu\]") as missing:
        package("no_such_package_anywhere", extra="kombu")

    assert missing.value.package == "no_such_package_anywhere"


@pytest.mark.parametrize(
    ("define", "absent", "said"),
    [
        (
            "broker.broker('redis://mq')",
            "kombu",
            "MissingExtra: kombu is not installed. Run: pip install 'zdlife[kombu]'",
        ),
        ("sql.sql('host=db')", "psycopg", "MissingExtra: psycopg is not installed. Run: pip install 'zdlife[psycopg]'"),
        (
            "broker.broker('sqs://')",
            "botocore",
            "WrongUse: kombu needs botocore for the url of a broker check. Install it.",
        ),
    ],
    ids=["broker", "sql", "transport"],
)
def test_a_check_that_needs_a_package_says_so_when_it_is_defined(define: str, absent: str, said: str) -> None:
    for needed in ("kombu", "psycopg"):
        require_module(needed)

    told = in_another_process(
        f"sys.modules[{absent!r}] = None",
        "from zdlife.checks import broker, sql",
        f"try: {define}",
        "except Exception as error: print(type(error).__name__, error, sep=': ')",
    )

    assert told == said


def test_no_optional_package_is_loaded_with_the_checks() -> None:
    told = in_another_process(
        "from zdlife.checks import broker, disk, http, redis, sql, tcp",
        "optional = {'redis', 'valkey', 'sqlalchemy', 'psycopg', 'psycopg_pool', 'kombu', 'celery'}",
        "print(sorted(optional & set(sys.modules)))",
    )

    assert told == "[]"


def in_another_process(*lines: str) -> str:
    """Return what a Python prints that begins anew."""
    program = "\n".join(("import sys", *lines))
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.strip()
