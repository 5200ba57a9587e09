"""The application's half of a zero-downtime deployment, for WSGI and ASGI."""

from zdlife.lifecycle import Lifecycle
from zdlife.machine.phases import Phase
from zdlife.process.warmers import Warm
from zdlife.release import Release
from zdlife.settings import Settings
from zdlife.version import __version__

__all__ = ["Lifecycle", "Phase", "Release", "Settings", "Warm", "__version__"]
