"""Every knob: its unit, its default, its environment name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from zdlife.errors import WrongUse
from zdlife.release import Release, default_instance

Profile = Literal["kubernetes", "cloud-load-balancer", "fly", "cloud-run", "heroku", "systemd"]

PROFILES: dict[Profile, dict[str, float]] = {
    # terminationGracePeriodSeconds is 30; endpoints follow the deletion within seconds.
    "kubernetes": {"grace": 30, "settle": 5, "settle_max": 10, "drain": 15, "cleanup": 3},
    # An ingress or cloud balancer that probes by itself needs interval x threshold + 1.
    "cloud-load-balancer": {"grace": 60, "settle": 10, "settle_max": 20, "drain": 30, "cleanup": 5},
    # SIGINT and 5 seconds unless kill_timeout says more.
    "fly": {"grace": 5, "settle": 1, "settle_quiet": 0.5, "settle_max": 1.5, "drain": 2.5, "cleanup": 1},
    # SIGTERM, then 10 seconds; an instance that is stopped gets no new requests.
    "cloud-run": {"grace": 10, "settle": 0, "settle_max": 0, "drain": 8, "cleanup": 2},
    # SIGTERM to every process, possibly several times; new dynos start at once.
    "heroku": {"grace": 30, "settle": 5, "settle_max": 8, "drain": 18, "cleanup": 3},
    # TimeoutStopSec is 90 unless the unit says otherwise.
    "systemd": {"grace": 90, "settle": 5, "settle_max": 10, "drain": 60, "cleanup": 5},
}


class Settings(BaseSettings):
    """What one service is told about itself, from arguments first and then from ZDLIFE_* in the environment.

    Times are seconds. Names of fields are the environment's names without the prefix, in lower case.
    """

    model_config = SettingsConfigDict(env_prefix="ZDLIFE_", env_ignore_empty=True, extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="False makes the middleware and the hooks do nothing at all.")
    service: str = Field(default="app", description="The name of the service.")
    version: str = Field(default="unknown", description="The version of this release.")
    instance: str | None = Field(
        default=None, description="The name of this copy; the host's name and a process id when unset."
    )
    environment: str = Field(default="development", description="Where this runs: production, staging, development.")
    profile: Profile | None = Field(
        default=None, description="A platform whose times are the defaults for those below."
    )
    grace: float = Field(
        allow_inf_nan=False, default=30.0, gt=0, description="From the stop signal to SIGKILL, as the platform has it."
    )
    settle: float = Field(
        default_factory=lambda: 0.0 if sys.stderr is not None and sys.stderr.isatty() else 5.0,
        allow_inf_nan=False,
        ge=0,
        description="Least time from the stop signal to the end of the settle. 5, or 0 on a terminal.",
    )
    settle_quiet: float = Field(
        allow_inf_nan=False, default=2.0, ge=0, description="This long without a request ends the settle."
    )
    settle_max: float = Field(
        allow_inf_nan=False, default=10.0, ge=0, description="The settle ends here even if requests still arrive."
    )
    drain: float = Field(
        allow_inf_nan=False, default=15.0, ge=0, description="How long work in flight may take after the settle."
    )
    cleanup: float = Field(
        allow_inf_nan=False, default=3.0, ge=0, description="How long the stop hooks may take after the drain."
    )
    ready_workers: int | None = Field(
        default=None, ge=1, description="How many workers must be able before the instance is ready; all when unset."
    )
    stuck_after: float = Field(
        allow_inf_nan=False,
        default=30.0,
        gt=0,
        description="An event loop or a monitor that has not turned for so long makes liveness red.",
    )
    management_port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="The port of the probes and the status page for operators; none when unset.",
    )
    management_host: str = Field(
        default="127.0.0.1",
        description="The address of the management port; 0.0.0.0 where the platform probes from outside.",
    )
    details_token: SecretStr | None = Field(
        default=None,
        description="Whoever sends it as `Authorization: Bearer` to a probe is told each check in full.",
    )
    switch_interval: float = Field(
        allow_inf_nan=False,
        default=0.0005,
        gt=0,
        description="How long a thread may keep the interpreter while the management port waits for it.",
    )
    strict: bool = Field(default=False, description="Refuse to start when the times do not fit, instead of warning.")
    report: Path | None = Field(
        default=None,
        description="The file for shutdown reports and arrival records; the former go to standard error when unset.",
    )
    request_id_header: str = Field(default="x-request-id", description="The request header that names a request.")
    board_dir: Path | None = Field(
        default=None,
        description="Where spawned workers keep their shared page; the system's temporary folder when unset.",
    )

    @model_validator(mode="before")
    @classmethod
    def _profile_fills_gaps(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("profile") in PROFILES:
            return {**PROFILES[given["profile"]], **given}
        return given

    def release(self, *, leader_pid: int | None = None) -> Release:
        """Return who is speaking; `leader_pid` is the instance's first process, for a name where none is set."""
        return Release(
            service=self.service,
            version=self.version,
            instance=self.instance or default_instance(leader_pid=leader_pid),
            environment=self.environment,
        )


def load_settings(**given: Any) -> Settings:
    """Return the settings from `given` and the environment.

    Raises:
        WrongUse: a value cannot be used; one line that names the variable and what is wrong with it.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = "ZDLIFE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise WrongUse(f"{name}={first['input']!r}: {first['msg']}. Correct or remove it.") from None
