"""Run the benchmark of the middlewares: `python -m benchmarks`."""

import sys

from benchmarks.middleware import main

sys.exit(main())
