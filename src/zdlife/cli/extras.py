"""Which extra a missing package belongs to, so that its absence is one line and not a traceback."""

from __future__ import annotations

from zdlife.errors import MissingExtra

EXTRAS = {
    "typer": "cli",
    "rich": "cli",
    "h11": "rehearse",
    "websockets": "rehearse",
    "matplotlib": "rehearse",
    "jinja2": "rehearse",
}


def missing_extra(error: ModuleNotFoundError) -> MissingExtra | None:
    """Return the line for a package of an extra, or None when something else is missing, which is a fault of ours."""
    package = (error.name or "").partition(".")[0]
    return MissingExtra(package, extra=EXTRAS[package]) if package in EXTRAS else None
