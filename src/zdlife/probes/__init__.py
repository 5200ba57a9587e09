"""What an instance answers when a platform, or a person, asks how it is."""

from __future__ import annotations

from zdlife.lifecycle import Lifecycle


def attend(life: Lifecycle) -> None:
    """Have the management port live with `life`, if its settings name one.

    Raises:
        MissingExtra: the port needs a package that is not installed.
    """
    if life.settings.management_port is not None:
        from zdlife.probes.management import Management

        if not any(isinstance(companion, Management) for companion in life.companions):
            life.companions.append(Management(life))
