"""The public API as a user calls it. Never run: mypy checks that it is typed as it is documented."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, assert_type

import zdlife.asgi
import zdlife.gunicorn
import zdlife.wsgi
from zdlife import Lifecycle, Phase, Release, Settings

life = Lifecycle()
configured = Lifecycle(Settings(service="shop", settle=5, report=None))
named = Lifecycle(release=Release(service="shop", version="2026.11.1", instance="shop-1"))

assert_type(life.phase, Phase)
assert_type(life.settings, Settings)
assert_type(life.release, Release)
assert_type(life.release.version, str)
assert_type(life.phase.leaving, bool)
assert_type(len(life.inflight), int)
assert_type(life.working("nightly import"), AbstractContextManager[None])


@life.on_drain
def say_goodbye() -> None: ...


@life.on_stop
async def close_pool() -> None: ...


assert_type(say_goodbye(), None)

Message = MutableMapping[str, Any]


async def asgi(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None: ...


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    return []


zdlife.asgi.LifecycleMiddleware(asgi, life)
zdlife.wsgi.LifecycleMiddleware(wsgi, life)
zdlife.gunicorn.install(globals())
