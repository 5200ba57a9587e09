"""Run a benchmark: `python -m benchmarks` that of the middlewares, `probes` and `dependency` those of readiness."""

from __future__ import annotations

import sys

match sys.argv[1:2]:
    case ["probes"]:
        from benchmarks.readiness.latency import main
    case ["dependency"]:
        from benchmarks.readiness.misbehaving import main
    case _:
        from benchmarks.middleware import main

sys.exit(main())
