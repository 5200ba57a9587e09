"""Ready-made checks: each function takes what the application reaches its dependency by, and returns a check of it.

    from zdlife.checks.sql import sql

    life.check("orders-db", kind="shared")(sql(engine))

A check passes in silence, fails with one short line that holds no credential, and leaves nothing open behind it.
Whoever runs it bounds its time. A client is used as it is and never imported: no optional package is needed for this
room, and none is loaded before a function that needs it is called.
"""

from zdlife.machine.checks import Caution

__all__ = ["Caution"]
