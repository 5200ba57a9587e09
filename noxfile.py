"""Everything the project does to itself: `python3 noxfile.py` lints, checks the types and runs the tests.

It needs a Python from 3.11 up with pip or ensurepip, and nothing else: started as a script it first makes itself a
private environment with nox in `.nox-home`. `python3 noxfile.py -l` lists the sessions; what stands after `--` goes
to the session. The syntax of this file stays readable to old Pythons, so that they can be refused in one sentence.
"""

import os
import subprocess
import sys

if sys.version_info < (3, 11):
    sys.exit("zdlife needs Python 3.11 or later, and this is %s: try python3.11 noxfile.py" % sys.version.split()[0])

ROOT = os.path.dirname(os.path.abspath(__file__))
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HOME = os.path.join(ROOT, ".nox-home", f"py{PYTHON}")
WITHOUT_UV = os.path.join(HOME, "without-uv")


def make_home() -> str:
    """Return the Python of a private environment that has nox and uv, making it the first time."""
    python = os.path.join(HOME, "bin", "python")
    if os.path.exists(python) and subprocess.run([python, "-c", "import nox, uv"], capture_output=True).returncode == 0:
        return python
    print("zdlife: making .nox-home, once, with nox in it", file=sys.stderr)
    has_pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0
    try:
        if has_pip:  # Debian's Python has a pip that fills other environments, and no ensurepip to make one with.
            subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", HOME], check=True)
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
        else:
            subprocess.run([sys.executable, "-m", "venv", "--clear", HOME], check=True)
            pip = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "nox[uv]>=2025.5.1"], check=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"zdlife: no private environment, as this failed: {' '.join(error.cmd)}")
    if not uv_can_install(python, pip):
        print("zdlife: uv cannot install what pip can here; pip does it", file=sys.stderr)
        open(WITHOUT_UV, "w").close()
    return python


def uv_can_install(python: str, pip: list[str]) -> bool:
    """Return whether uv reaches what pip reaches: it reads none of pip's settings, its index least of all."""
    settings = subprocess.run([*pip, "config", "list"], capture_output=True, text=True)
    if any(line.partition("=")[0].endswith(".index-url") for line in settings.stdout.splitlines()):
        return any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_CONFIG_FILE"))
    try:
        asked = subprocess.run(
            [python, "-m", "uv", "pip", "compile", "--no-deps", "--no-cache", "-"],
            input="hatchling",
            env={"UV_HTTP_TIMEOUT": "15", "UV_HTTP_RETRIES": "1", "UV_SYSTEM_CERTS": "true", **os.environ},
            capture_output=True,
            text=True,
            timeout=60,
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


if __name__ == "__main__":
    os.chdir(ROOT)
    try:
        import nox
        from nox.project import dependency_groups, load_toml
    except ImportError:
        if sys.prefix == HOME:
            raise
        home = make_home()
        os.execv(home, [home, os.path.abspath(__file__), *sys.argv[1:]])
    sys.exit(nox.main())

# From here on it is nox that reads the file.

import shutil
from pathlib import Path

import nox
from nox.project import dependency_groups, load_toml

PROJECT = load_toml(Path(ROOT) / "pyproject.toml")

EVERYTHING = "rehearse,management,servers,fastapi,flask"
"""The extras that the examples and the whole of the tests need."""

QUICK = ("tests/unit", "tests/property")
"""What every Python runs. The rest starts real servers and takes minutes, so one Python runs it."""


def find_pythons() -> dict[str, str]:
    """Return an interpreter for each final release of CPython from 3.11 up that is installed here, by its version."""
    folders = [Path(folder) for folder in os.get_exec_path() if Path(folder).name != "shims"]
    folders += sorted(Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob("versions/*/bin"))
    ask = "import sys; v = sys.version_info; print(sys.implementation.name, v.releaselevel, f'{v.major}.{v.minor}')"
    found = {PYTHON: os.path.realpath(sys.executable)}
    for minor in range(11, 20):
        name = f"3.{minor}"
        for candidate in (folder / f"python{name}" for folder in folders):
            if name in found or not os.access(candidate, os.X_OK):
                continue
            answer = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False)
            if answer.stdout.split() == ["cpython", "final", name]:
                found[name] = os.path.realpath(candidate)
    return dict(sorted(found.items(), key=lambda entry: int(entry[0].split(".")[1])))


def offer(pythons: dict[str, str]) -> None:
    """Put the interpreters first on nox's PATH: pyenv's are not on it, but for shims that may be switched off."""
    folder = Path(ROOT, ".nox", "pythons")
    folder.mkdir(parents=True, exist_ok=True)
    for name, interpreter in pythons.items():
        link = folder / f"python{name}"
        if link.is_symlink() and os.readlink(link) != interpreter:
            link.unlink()
        if not link.is_symlink():
            link.symlink_to(interpreter)
    os.environ["PATH"] = os.pathsep.join([str(folder), os.environ.get("PATH", os.defpath)])


PYTHONS = find_pythons()
offer(PYTHONS)

os.environ.setdefault("UV_SYSTEM_CERTS", "true")  # As pip does: the certificates that this machine trusts.
nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv" if os.path.exists(WITHOUT_UV) else "uv|virtualenv"
nox.options.download_python = "never"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]


def install(session: nox.Session, *groups: str, extras: str = "") -> None:
    """Install the project as it stands in the tree, with extras and dependency groups."""
    project = f".[{extras}]" if extras else "."
    session.install("--editable", project, *dependency_groups(PROJECT, *groups))


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style and the format of all the Python there is."""
    session.install(*dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of everything that is shipped, strictly, and of the public API as a user calls it."""
    install(session, "types", "test", extras=EVERYTHING)
    session.run("mypy", *session.posargs)


@nox.session(python=list(PYTHONS))
def tests(session: nox.Session) -> None:
    """Run the tests: all of them on this Python, those without real servers on the others."""
    install(session, "test", extras=EVERYTHING)
    if session.posargs:
        session.run("pytest", *session.posargs)
    elif session.python == PYTHON:
        # The servers mostly wait. Tests that share one are in one group, and so in one process.
        session.run("pytest", "tests", "--numprocesses=4", "--dist=loadgroup", "--durations=10")
    else:
        session.run("pytest", *(folder for folder in QUICK if Path(folder).is_dir()))


@nox.session
def coverage(session: nox.Session) -> None:
    """Say which lines and branches the tests without real servers leave out; in a pure room that may be none."""
    install(session, "test", extras=EVERYTHING)
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or QUICK))
    session.run("coverage", "report")
    session.run("coverage", "report", "--include=src/zdlife/machine/*", "--fail-under=100")


@nox.session
def rehearse(session: nox.Session) -> None:
    """Roll the example shop under load, forth and back, and count what was lost."""
    install(session, extras=EVERYTHING)
    session.run("zdlife", "rehearse", "examples/shop/rehearsal.toml", *session.posargs)


@nox.session
def matrix(session: nox.Session) -> None:
    """Rehearse on every server behind every balancer, with zdlife and without: the table in the docs."""
    install(session, extras=EVERYTHING)
    session.run("python", "docs/_ext/matrix.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into docs/_build, warnings being errors."""
    install(session, "docs", extras="cli")
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-b", "html", "docs", "docs/_build", *session.posargs)


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure what the middlewares cost (or `-- probes`, `-- dependency`: readiness), side by side with others."""
    install(session, "bench", extras=EVERYTHING)
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, install it where nothing else is, import every module, and stop a real server with it."""
    session.install(*PROJECT["build-system"]["requires"], "virtualenv")
    made = Path(session.create_tmp()).resolve()
    shutil.rmtree(made / "dist", ignore_errors=True)
    session.run("python", "-m", "hatchling", "build", "-t", "wheel", "-d", str(made / "dist"))
    (built,) = (made / "dist").glob("*.whl")
    session.run("python", "-m", "virtualenv", "--quiet", "--clear", str(made / "fresh"))
    python, smoke = str(made / "fresh" / "bin" / "python"), str(Path(ROOT, "tests", "wheel", "smoke.py"))
    with session.chdir(made):
        for wanted, what in ((str(built), "core"), (f"{built}[{EVERYTHING}]", "all")):
            session.run(python, "-m", "pip", "install", "--quiet", wanted, external=True)
            session.run(python, smoke, what, external=True)
