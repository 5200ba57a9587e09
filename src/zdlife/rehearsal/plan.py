"""What to rehearse, read from a TOML file, or one line that says which key of it is wrong.

A plan is a table per subject: `[app]` what is started, `[releases.old]` and `[releases.new]` what differs between the
two, `[fleet]` how many and how, `[load]` what is asked of it, `[balancer]` who stands in front, `[settings]` the times
of leaving. Only `[app]` has to be given. Times are seconds.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from zdlife.errors import PlanError
from zdlife.machine.budget import misfits
from zdlife.machine.settle import Limits
from zdlife.rehearsal.complaint import complaint

ReleaseName = Literal["old", "new"]
BalancerName = Literal["direct", "haproxy", "nginx"]
ServerName = Literal[
    "gunicorn-sync",
    "gunicorn-gthread",
    "gunicorn-asgi",
    "gunicorn-uvicorn",
    "uvicorn",
    "uvicorn-workers",
    "granian",
    "hypercorn",
]
SERVER_NAMES: tuple[ServerName, ...] = get_args(ServerName)
BALANCER_NAMES: tuple[BalancerName, ...] = get_args(BalancerName)


def _target(written: str) -> str:
    if not re.fullmatch(r"[\w.]+:[\w.]+", written):
        raise ValueError(f'"{written}" should be "module:name", as in "shop.web:app"')
    return written


def _url_path(written: str) -> str:
    if not re.fullmatch(r"/\S*", written):
        raise ValueError(f'"{written}" should begin with "/" and have no spaces')
    return written


Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Target = Annotated[str, AfterValidator(_target)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Status = Annotated[int, Field(ge=100, le=599)]
UrlPath = Annotated[str, AfterValidator(_url_path)]


class Table(BaseModel):
    """One table of the plan. A key that is not listed is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class App(Table):
    """`[app]`: what the instances run. At least one of `asgi` and `wsgi` is needed."""

    service: str = "app"
    """The name of the service; instances are called SERVICE-old-1 and so on."""
    asgi: Target | None = None
    """The ASGI application with zdlife, as `module:name`; for uvicorn, granian, hypercorn and gunicorn's own ASGI."""
    wsgi: Target | None = None
    """The WSGI application with zdlife, as `module:name`; for gunicorn's sync and gthread workers."""
    bare_asgi: Target | None = None
    """The same without zdlife, for the control run; `asgi` with ZDLIFE_ENABLED=false when not given."""
    bare_wsgi: Target | None = None
    """The same without zdlife, for the control run; `wsgi` with ZDLIFE_ENABLED=false when not given."""
    path: str = "."
    """The folder to import from and to run in, relative to the plan's own folder."""
    health: UrlPath = "/readyz"
    """The path that answers 200 when an instance with zdlife is ready."""
    bare_health: UrlPath = "/"
    """The path that answers 200 when an instance without zdlife is up."""
    env: dict[str, str] = {}
    """Environment variables of every instance."""

    @model_validator(mode="after")
    def _something_to_run(self) -> Self:
        if self.asgi is None and self.wsgi is None:
            raise ValueError('asgi = "module:name" or wsgi = "module:name" is needed')
        return self


class ReleaseTable(Table):
    """`[releases.old]` and `[releases.new]`: what differs between the two."""

    version: str
    """The release's version; ZDLIFE_VERSION in its instances."""
    env: dict[str, str] = {}
    """Environment variables of this release's instances, over those of `[app]`."""


class Releases(Table):
    """The release that runs at the beginning and at the end, and the one that is rolled out in between."""

    old: ReleaseTable = ReleaseTable(version="1")
    new: ReleaseTable = ReleaseTable(version="2")

    def __getitem__(self, name: ReleaseName) -> ReleaseTable:
        return self.old if name == "old" else self.new


class FleetTable(Table):
    """`[fleet]`: how many instances, how large, and how often one is replaced."""

    instances: PositiveInt = 2
    """Instances that are ready at any moment outside of a replacement."""
    workers: PositiveInt = 2
    """Worker processes of an instance, where the server has them."""
    threads: PositiveInt = 8
    """Threads of a worker, under gunicorn-gthread."""
    rolls: PositiveInt = 4
    """Replacements in all: half of them to the new release, half back."""
    ready_within: PositiveFloat = 30.0
    """Seconds an instance may take from its start until it is ready, its warmers included."""
    port: Port = 0
    """The first instance's port, the next one's is one more, and so on; 0 takes any that are free."""
    arguments: dict[ServerName, tuple[str, ...]] = {}
    """More command-line arguments by server, as in `gunicorn-sync = ["--max-requests", "60"]`."""


class RequestTable(Table):
    """`[[load.requests]]`: one sort of request, repeated at random by its weight."""

    kind: Literal["new connection", "keep-alive", "post", "slow"] = "new connection"
    """`new connection` and `slow` have a connection of their own, `keep-alive` and `post` one that is reused."""
    method: str | None = None
    """The method; GET, or POST for `post`."""
    path: UrlPath = "/"
    """The path, with its query."""
    body: str | None = None
    """The body, sent as it stands."""
    json_body: Annotated[Any, Field(alias="json")] = None
    """The body, as a value that is sent as JSON; in the plan the key is `json`."""
    weight: PositiveFloat = 1.0
    """How often, compared with the weights of the others."""
    status: Status = 200
    """The status that is right."""
    contains: str | None = None
    """Text that must be in the response; any response will do when not given."""

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.body is not None and self.json_body is not None:
            raise ValueError("give either body or json, not both")
        return self


class StreamTable(Table):
    """`[load.stream]`: a response that takes a while. One begins every now and then, and one before each stop."""

    path: UrlPath
    """The path, with its query."""
    every: PositiveFloat = 5.0
    """Seconds between two streams, besides those that straddle a stop."""
    status: Status = 200
    """The status that is right."""
    ends_with: str | None = None
    """Text of the last line, by which a whole stream is known; framing alone decides when not given."""


class UploadTable(Table):
    """`[load.upload]`: a body that is sent in pieces. One begins every now and then, and one before each stop."""

    path: UrlPath
    """The path, with its query."""
    method: str = "POST"
    """The method."""
    size_bytes: PositiveInt = 262_144
    """The size of the body."""
    pieces: Annotated[int, Field(ge=1, le=1000)] = 10
    """How many pieces the body is sent in."""
    seconds: PositiveFloat = 2.5
    """How long the sending takes, from the first piece to the last."""
    every: PositiveFloat = 5.0
    """Seconds between two uploads, besides those that straddle a stop."""
    status: Status = 200
    """The status that is right."""
    contains: str | None = None
    """Text that must be in the response; any response will do when not given."""


class WebSocketTable(Table):
    """`[load.websocket]`: sockets that are open when an instance is told to stop. WSGI servers have none."""

    path: UrlPath
    """The path, with its query."""
    count: PositiveInt = 2
    """How many are opened before each stop."""


class LoadTable(Table):
    """`[load]`: an open loop. Requests are sent at their planned instants, however the last ones fare."""

    rate: PositiveFloat = 60.0
    """Requests a second, streams, uploads and WebSockets not counted."""
    timeout: PositiveFloat = 15.0
    """Seconds from a request's planned instant until it counts as timed out; a stream or upload has twice that."""
    warm_up: Seconds = 1.0
    """Seconds of load before the first replacement."""
    cool_down: Seconds = 1.0
    """Seconds of load after the last replacement."""
    connections: PositiveInt = 8
    """Clients that keep a connection open, for `keep-alive` and `post`."""
    seed: int = 1
    """Which sequence of sorts of request is drawn; the same seed draws the same."""
    requests: tuple[RequestTable, ...] = (
        RequestTable(kind="new connection"),
        RequestTable(kind="keep-alive"),
    )
    """The sorts of request."""
    stream: StreamTable | None = None
    """A streamed response; none when not given."""
    upload: UploadTable | None = None
    """An upload; none when not given."""
    websocket: WebSocketTable | None = None
    """WebSockets; none when not given."""


class BalancerTable(Table):
    """`[balancer]`: who stands in front of the instances."""

    name: BalancerName = "direct"
    """`direct` (nothing to install), `haproxy` or `nginx`."""
    lag: Seconds = 1.5
    """Seconds that `direct` goes on sending new connections to an instance that was told to stop."""
    port: Port = 0
    """Where haproxy or nginx listens; 0 takes any that is free."""


class Times(Table):
    """`[settings]`: the times of leaving, ZDLIFE_* of every instance. They are shorter here than in production."""

    settle: Seconds = 2.5
    """ZDLIFE_SETTLE: least seconds from the stop signal to the end of the settle; more than the balancer's lag. Up to
    `settle_max` it is prolonged while requests arrive."""
    settle_quiet: Seconds = 1.0
    """ZDLIFE_SETTLE_QUIET: this long without a request ends the settle."""
    settle_max: Seconds = 4.0
    """ZDLIFE_SETTLE_MAX: the settle ends here even if requests still arrive."""
    drain: Seconds = 8.0
    """ZDLIFE_DRAIN: seconds that work in flight may take after the settle; gunicorn's own timeout without zdlife."""
    cleanup: Seconds = 2.0
    """ZDLIFE_CLEANUP: seconds that the stop hooks may take after the drain."""
    grace: PositiveFloat = 15.0
    """ZDLIFE_GRACE: seconds from the stop signal until the rehearsal kills an instance, give or take five."""

    @model_validator(mode="after")
    def _fit_the_grace_period(self) -> Self:
        limits = Limits(**self.model_dump())
        for misfit in misfits(limits):
            raise ValueError(misfit.message)
        return self

    def environment(self) -> dict[str, str]:
        """Return the times as the environment of an instance."""
        return {f"ZDLIFE_{name.upper()}": f"{value:g}" for name, value in self.model_dump().items()}


class Plan(Table):
    """A rehearsal: an application, two releases of it, and the load it is replaced under."""

    app: App
    servers: tuple[ServerName, ...] = ()
    """The servers to rehearse on when none is named; `uvicorn`, or `gunicorn-gthread` where there is no ASGI app."""
    control: bool = True
    """Whether to run the bare application as well, and to show the two side by side."""
    releases: Releases = Releases()
    fleet: FleetTable = FleetTable()
    load: LoadTable = LoadTable()
    balancer: BalancerTable = BalancerTable()
    settings: Times = Times()

    file: Annotated[Path, Field(exclude=True)] = Path("rehearsal.toml")
    """Where the plan was read from; not a key of the file."""

    @property
    def folder(self) -> Path:
        """The folder that the application is imported from and runs in."""
        return (self.file.parent / self.app.path).resolve()

    @property
    def default_servers(self) -> tuple[ServerName, ...]:
        """The servers to rehearse on when none is named."""
        return self.servers or (("uvicorn",) if self.app.asgi else ("gunicorn-gthread",))


def read(file: Path) -> Plan:
    """Return the plan in `file`.

    Raises:
        PlanError: one line that names the file, the key and what to write instead.
    """
    try:
        written = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PlanError(f"{file}: there is no such plan. Name a TOML file with at least an [app] table.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{file}: cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{file}: not valid TOML: {error}.") from None
    plan = parse(written, file=file)
    if not plan.folder.is_dir():
        raise PlanError(f"{file}: app.path is {plan.app.path!r}, but {plan.folder} is not a folder. Correct it.")
    return plan


def parse(written: Mapping[str, Any], *, file: Path = Path("rehearsal.toml")) -> Plan:
    """Return the plan that `written` says; `file` is where it stands, for relative paths and for messages.

    Raises:
        PlanError: one line that names the file, the key and what to write instead.
    """
    if "file" in written:
        raise PlanError(f'{file}: "file" is not a key of the plan. Remove it.')
    try:
        return Plan.model_validate({**written, "file": file})
    except ValidationError as error:
        raise PlanError(f"{file}: {complaint(error, root=Plan)}") from None
