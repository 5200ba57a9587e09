"""What the tests share: waiting for a condition, and real components that may be missing.

from support import eventually, require_module, require_program, require_release
"""

from support.components import require_module, require_program, require_release, require_root
from support.waiting import eventually, eventually_async

__all__ = ["eventually", "eventually_async", "require_module", "require_program", "require_release", "require_root"]
