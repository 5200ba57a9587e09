"""Rehearse the shop on every server behind every balancer, with zdlife and without, for the table in the docs.

    python docs/_ext/matrix.py [--server NAME ...] [--balancer NAME ...] [any other option of `zdlife rehearse`]

Writes docs/results.json after each pair: a run that is broken off keeps what it has found, and one of some pairs
leaves the others as they were.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zdlife import __version__
from zdlife.rehearsal.plan import BALANCER_NAMES, SERVER_NAMES

ROOT = Path(__file__).resolve().parents[2]
PLAN = ROOT / "examples" / "shop" / "rehearsal.toml"
RESULTS = ROOT / "docs" / "results.json"
PACKAGES = ("gunicorn", "uvicorn", "uvicorn-worker", "granian", "hypercorn")


def main() -> int:
    """Rehearse every pair that is asked for, and return 0 if with zdlife nothing was lost in any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", choices=SERVER_NAMES)
    parser.add_argument("--balancer", action="append", choices=BALANCER_NAMES)
    asked, others = parser.parse_known_args()
    rows: list[dict[str, Any]] = []
    known = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else []
    for balancer in asked.balancer or BALANCER_NAMES:
        for server in asked.server or SERVER_NAMES:
            command = [sys.executable, "-c", "from zdlife.cli import run; run()", "rehearse", str(PLAN)]
            pair = ["--server", server, "--balancer", balancer, "--json", *others]
            found = subprocess.run([*command, *pair], stdout=subprocess.PIPE, text=True, check=False)
            if found.returncode not in (0, 1):
                return found.returncode
            row = in_short(json.loads(found.stdout))
            rows.append(row)
            known = [old for old in known if (old["server"], old["balancer"]) != (server, balancer)] + [row]
            RESULTS.write_text(json.dumps({"setting": setting(), "rows": known}, indent=1) + "\n")
    return 0 if all(row["verdict"] == "nothing lost" for row in rows) else 1


def in_short(run: dict[str, Any]) -> dict[str, Any]:
    """Return what the table shows of one run, and of its control."""
    short = {name: run[name] for name in ("verdict", "server", "balancer", "rolls", "requests", "streams", "uploads")}
    short["late"] = run["late_arrivals"]["count"]
    short["exit_codes"] = sorted({str(instance["exit_code"]) for instance in run["instances"]})
    short["control"] = in_short(run["control"]) if run["control"] else None
    return short


def setting() -> dict[str, str]:
    """Return where and with what the rehearsals were run."""
    versions = {"zdlife": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES}
    for program in ("haproxy", "nginx"):
        path = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))
        if path is None:
            continue
        said = subprocess.run([path, "-v"], capture_output=True, text=True, check=False)
        number = re.search(r"\d+\.\d+[.\d]*", said.stdout + said.stderr)
        versions[program] = number.group() if number else "?"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }


if __name__ == "__main__":
    sys.exit(main())
