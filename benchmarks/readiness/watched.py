"""Three small applications that depend on one Redis, each watched by another library, as its documentation says.

All of them serve ASGI: `with_zdlife`, `with_fast_healthchecks` and `with_django_health_check` return an application.
BENCHMARK_REDIS_PORT is where the dependency is. Each library is told that it may take two seconds, in its own terms;
everything else is as it comes.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

TIMEOUT = 2.0
HOST, PORT = "127.0.0.1", int(os.environ.get("BENCHMARK_REDIS_PORT", "6379"))
INTERVAL = float(os.environ.get("BENCHMARK_INTERVAL", "5"))


def with_zdlife() -> Any:
    """Return an application whose middleware answers /readyz; a required check watches the dependency."""
    from benchmarks.readiness.application import plain_asgi
    from redis.asyncio import Redis

    import zdlife.asgi
    from zdlife import Lifecycle
    from zdlife.checks.redis import redis

    life = Lifecycle()
    client = Redis(host=HOST, port=PORT)
    life.check("redis", timeout=min(TIMEOUT, INTERVAL), interval=INTERVAL)(redis(client))
    return zdlife.asgi.LifecycleMiddleware(plain_asgi, life)


def with_fast_healthchecks() -> Any:
    """Return an application of FastAPI's whose router answers /health/readiness."""
    from fast_healthchecks.checks.redis import RedisHealthCheck
    from fast_healthchecks.integrations.base import Probe, build_probe_route_options
    from fast_healthchecks.integrations.fastapi import HealthcheckRouter
    from fastapi import FastAPI

    check = RedisHealthCheck(host=HOST, port=PORT, timeout=TIMEOUT)
    options = build_probe_route_options(timeout=TIMEOUT)
    app = FastAPI()
    app.include_router(HealthcheckRouter(Probe(name="readiness", checks=[check]), options=options))
    return app


def with_django_health_check() -> Any:
    """Return an application of Django's whose view answers /health/; the library gives a check another second."""
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.urls import path

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        INSTALLED_APPS=["health_check"],
        LOGGING_CONFIG=None,
        ROOT_URLCONF="benchmarks.readiness.watched",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    )
    django.setup()
    from health_check.contrib.redis import Redis as RedisCheck
    from health_check.views import HealthCheckView
    from redis.asyncio import Redis

    class PatientCheck(RedisCheck):
        """The library's own, with the time that all of them get."""

        timeout = timedelta(seconds=TIMEOUT)

    def client() -> Redis:
        return Redis(host=HOST, port=PORT, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)

    urlpatterns.append(path("health/", HealthCheckView.as_view(checks=[(PatientCheck, {"client_factory": client})])))
    return get_asgi_application()


urlpatterns: list[Any] = []
