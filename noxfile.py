"""Every check by name: ``.venv/bin/nox -l``; ``make test`` and CI run these same names.

Sessions use the environment that ``tools/bootstrap.py`` made, so they start at once and test what
is locked. None is skipped: one that would find nothing to check fails. ``molecule``, ``installed``,
``bench``, ``port-calls``, ``front-door``, ``check-score``, ``lab`` and ``lock`` run only when they
are named. At the end a table shows what each stage took and may take.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import nox
from nox.command import CommandFailed
from nox.sessions import Session

ROOT = Path(__file__).parent
BIN = Path(sys.executable).parent
BUILD = ROOT / "build"
COLLECTION = BUILD / "sanity" / "ansible_collections" / "securetransport" / "platform"
SANITY_HOME = ROOT / ".ansible" / "sanity-home"  # ansible-test keeps its environments at home
LINK = ROOT / ".ansible" / "collections" / "ansible_collections"
PYTHON_FOLDERS = (
    "agents",
    "examples",
    "plugins",
    "demo",
    "evaluation",
    "lab",
    "molecule",
    "tests",
    "tools",
    "noxfile.py",
)
YAML_FOLDERS = (
    "playbooks",
    "roles",
    "inventories",
    "plugins",
    "meta",
    "galaxy.yml",
    "changelogs",
    "lab",
    "molecule",
    ".config",
)
LAB = ROOT / "lab"
# Tests of modules leave a core free: two files at a time, each in its order.
BESIDE = ("-n", "2", "--dist", "loadfile")
UNIT_TESTS = ("agents/tests/unit", "tests/plugins", "examples/tests", "tests/evaluation")
SHIPPED = (
    "galaxy.yml",
    "meta",
    "plugins",
    "playbooks",
    "roles",
    "inventories",
    "requirements.txt",
    "changelogs",
    "docs",
    "README.md",
    "tests/config.yml",
)

nox.options.default_venv_backend = "none"
nox.options.error_on_external_run = False


@dataclass
class Stage:
    """One row of the time table.

    Attributes:
        name: The session.
        budget_seconds: What it may take on two cores.
        took_seconds: What it took.
        result: ``ok`` or ``FAILED``.
    """

    name: str
    budget_seconds: int
    took_seconds: float = 0.0
    result: str = "FAILED"


_stages: list[Stage] = []


def gate(
    name: str, budget_seconds: int, *, default: bool = True, requires: tuple[str, ...] = ()
) -> Callable[[Callable[[Session], None]], Callable[[Session], None]]:
    """Make a function a session that appears in the time table, after those it requires."""

    def register(check: Callable[[Session], None]) -> Callable[[Session], None]:
        @functools.wraps(check)
        def timed(session: Session) -> None:
            stage = Stage(name, budget_seconds)
            _stages.append(stage)
            begun = time.monotonic()
            try:
                check(session)
                stage.result = "ok"
            finally:
                stage.took_seconds = round(time.monotonic() - begun, 1)

        return nox.session(name=name, default=default, requires=requires)(timed)

    return register


@atexit.register
def print_time_table() -> None:
    """Show what every stage took; ``build/gates.json`` keeps the newest row of each."""
    if not _stages:
        return
    BUILD.mkdir(exist_ok=True)
    file = BUILD / "gates.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    rows = {row["name"]: row for row in (*known, *map(asdict, _stages))}
    file.write_text(json.dumps([*rows.values()], indent=2) + "\n", encoding="utf-8")
    print(f"\n{'stage':<18}{'took s':>8}{'budget s':>10}  result")
    for stage in _stages:
        late = "  over its budget" if stage.took_seconds > stage.budget_seconds else ""
        print(
            f"{stage.name:<18}{stage.took_seconds:>8.1f}{stage.budget_seconds:>10}"
            f"  {stage.result}{late}"
        )
    total = sum(stage.took_seconds for stage in _stages)
    print(f"{'all':<18}{total:>8.1f}{sum(stage.budget_seconds for stage in _stages):>10}")


def run(session: Session, tool: str, *arguments: str, **environment: str) -> None:
    """Run a tool of the environment with its folder first on the path."""
    path = os.pathsep.join((str(BIN), os.environ.get("PATH", os.defpath)))
    session.run(str(BIN / tool), *arguments, env={"PATH": path, **environment})


def present(session: Session, *names: str) -> list[str]:
    """Return ``names``; fail when one holds no file, because a gate over nothing proves nothing."""
    empty = [name for name in names if not _holds_files(ROOT / name)]
    if empty:
        session.error(f"nothing to check in {', '.join(empty)}")
    return list(names)


def _holds_files(path: Path) -> bool:
    if not path.is_dir():
        return path.is_file()
    return any(
        file.is_file() and "__pycache__" not in file.parts and file.name != ".gitkeep"
        for file in path.rglob("*")
    )


def pytest(session: Session, name: str, *arguments: str) -> None:
    """Run pytest with the agents' configuration; the result counts are kept for the CI summary."""
    run(
        session,
        "pytest",
        f"--config-file={ROOT / 'agents' / 'pyproject.toml'}",
        f"--rootdir={ROOT}",
        f"--junitxml={BUILD / 'junit' / f'{name}.xml'}",
        *arguments,
        *session.posargs,
    )


@gate("lint", 10)
def lint(session: Session) -> None:
    """Ruff: rules and formatting of every Python file."""
    folders = present(session, *PYTHON_FOLDERS)
    run(session, "ruff", "check", *folders)
    run(session, "ruff", "format", "--check", *folders)


@gate("types", 40)
def types(session: Session) -> None:
    """Mypy, strict."""
    config = "--config-file=agents/pyproject.toml"
    run(session, "mypy", config, "agents/src/securetransport", "noxfile.py")
    run(session, "mypy", config, "--package", "securetransport_examples")
    run(session, "mypy", config, "--package", "evaluation", "--package", "demo")
    run(session, "mypy", config, "molecule/common/callback", "molecule/common/files")
    lab = str(LAB / "src")
    run(session, "mypy", config, "--package", "lab", MYPYPATH=lab)
    # A node's first process runs alone, with the Python of the node.
    node = ("--python-version=3.13", str(LAB / "src" / "lab" / "node" / "init.py"))
    run(session, "mypy", config, *node, MYPYPATH=lab)
    # Modules import each other by their collection's name, so they are found through the link.
    plugins = LINK / "securetransport" / "platform" / "plugins"
    path = os.pathsep.join((str(LINK.parent), str(ROOT / "agents" / "src")))
    names = ("--namespace-packages", "--explicit-package-bases")
    run(session, "mypy", config, *names, str(plugins), MYPYPATH=path)


@gate("imports", 10)
def imports(session: Session) -> None:
    """The import contracts: docs/architecture.md, "Packages"; the collection's and others' own."""
    run(session, "lint-imports", "--no-logo")
    for place in ("examples", "lab"):
        run(session, "lint-imports", "--no-logo", "--config", str(ROOT / place / ".importlinter"))
    plugins = ("--config", "tests/gates/plugins.importlinter")
    run(session, "lint-imports", "--no-logo", *plugins, PYTHONPATH=str(ROOT / "plugins"))


@gate("gates", 60)
def gates(session: Session) -> None:
    """The gates themselves: planted wrong imports are refused, a wrong Python gets one line."""
    pytest(session, "gates", *present(session, "tests/gates"))


@gate("yaml", 10)
def yaml(session: Session) -> None:
    """Yamllint, strict."""
    folders = present(session, *YAML_FOLDERS)
    run(session, "yamllint", "--strict", *folders, ".yamllint", ".pre-commit-config.yaml")


@gate("ansible-lint", 75)
def ansible_lint(session: Session) -> None:
    """Ansible-lint, production profile, without network."""
    present(session, "roles", "playbooks")
    run(session, "ansible-lint", "--offline", "--strict", "--profile", "production")


@gate("sanity", 90)
def sanity(session: Session) -> None:
    """`ansible-test sanity` over a copy that lies where it wants a collection; no ignore file."""
    present(session, "plugins/modules")
    shutil.rmtree(COLLECTION, ignore_errors=True)
    COLLECTION.mkdir(parents=True)
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, COLLECTION / name, ignore=skip)
        elif source.is_file():
            (COLLECTION / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, COLLECTION / name)
    # ansible-test asks git for the files; the checkout's git would say that build/ has none.
    session.run("git", "init", "--quiet", str(COLLECTION))
    prepare_sanity_home(session)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    with session.chdir(COLLECTION):
        told = ("--python", python, "--color", "no", *session.posargs)
        run(session, "ansible-test", "sanity", *told, HOME=str(SANITY_HOME))


def prepare_sanity_home(session: Session) -> None:
    """Give ansible-test a home in which it installs what is locked, without a network."""
    wheels = SANITY_HOME / "wheels"
    locked = ROOT / "requirements" / "sanity.txt"
    stamp = SANITY_HOME / "made-from.txt"
    made_from = sys.version + "\n" + locked.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != made_from:
        shutil.rmtree(SANITY_HOME, ignore_errors=True)
        wheels.mkdir(parents=True)
        hashes = ("--require-hashes", "--no-deps", "--requirement", str(locked))
        run(session, "pip", "download", "--quiet", *hashes, "--dest", str(wheels))
        stamp.write_text(made_from, encoding="utf-8")
    settings = SANITY_HOME / ".config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    told = f"[install]\nno-index = true\nno-compile = true\nfind-links = {wheels}\n"
    settings.write_text(told, encoding="utf-8")
    cache = SANITY_HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    # The name carries the pip version that the locked ansible-test would download.
    shutil.copy2(ROOT / "tools" / "get_pip.py", cache / "get_pip_24_2.py")


@gate("unit", 45)
def unit(session: Session) -> None:
    """The unit tests of agents, backends, examples, evaluation and demo: no server."""
    pytest(session, "unit", "-n", "2", "-m", "not long", *present(session, *UNIT_TESTS))


@gate("unit-long", 60)
def unit_long(session: Session) -> None:
    """Unit tests that explore, fuzz or start processes for seconds: marked `long`."""
    pytest(session, "unit-long", "-n", "2", "-m", "long", *present(session, *UNIT_TESTS))


@gate("port-calls", 120, default=False)
def port_calls(session: Session) -> None:
    """Each call of a loop on a port, taken out once, fails a unit test of that loop."""
    present(session, "agents/tests/port_calls.toml")
    run(session, "python", str(ROOT / "tools" / "port_calls.py"), *session.posargs)


@gate("lab-unit", 20)
def lab_unit(session: Session) -> None:
    """The Kubernetes lab's unit tests: no root, no cluster."""
    pytest(session, "lab-unit", *present(session, "lab/tests/unit"))


@gate("modules", 60)
def modules(session: Session) -> None:
    """The Ansible modules against real servers."""
    pytest(session, "modules", *BESIDE, *present(session, "tests/integration_modules"))


@gate("integration", 360)
def integration(session: Session) -> None:
    """Adapters, SDK and agents against real OpenBao and NATS."""
    # One at a time: these tests wait for seconds in which servers must answer.
    pytest(session, "integration", *present(session, "agents/tests/integration"))


@gate("credentials", 300, default=False)
def credentials(session: Session) -> None:
    """Secret-ids with lives of seconds on a real OpenBao; prints what was counted."""
    pytest(session, "credentials", "-rP", *present(session, "agents/tests/credentials"))


@gate("idempotence", 700)
def idempotence(session: Session) -> None:
    """`site.yml` twice on the local platform; the second run changes nothing."""
    pytest(session, "idempotence", "--exitfirst", *present(session, "tests/idempotence"))


@gate("front-door", 300, default=False)
def front_door(session: Session) -> None:
    """The first commands of a person on odd machines, terminals, paths and inventories."""
    pytest(session, "front-door", "-n", "2", *present(session, "tests/front_door"))


@gate("check-score", 1800, default=False)
def check_score(session: Session) -> None:
    """How often the first line of `securetransport check` is the true cause of a planted fault."""
    present(session, "tests/check_score")
    run(session, "python", str(ROOT / "tests" / "check_score" / "score.py"), *session.posargs)


@gate("cut-off", 2400, default=False)
def cut_off(session: Session) -> None:
    """A member cut off, every way, under load, and healed: `-- --rows token-file,bus-gone`."""
    pytest(session, "cut-off", "-p", "no:xdist", *present(session, "agents/tests/cut_off"))


@gate("installed", 300, default=False)
def installed(session: Session) -> None:
    """The collection from its tarball beside the wheel, alone; each supported ansible-core."""
    pytest(session, "installed", "--exitfirst", *present(session, "tests/installed"))


@gate("molecule", 360, default=False)
def molecule(session: Session) -> None:
    """Each role on one local platform: told, done, again, hurt, repaired, asked, taken away.

    Arguments are those of molecule: ``nox -s molecule -- test -s nats --destroy=never``.
    """
    present(session, "molecule", ".config/molecule/config.yml")
    told = tuple(session.posargs) or ("test", "--all")
    # What an interrupted run left is not believed: the platform is built, or found built.
    notes = BUILD / "molecule"
    if told[0] == "test":
        shutil.rmtree(notes, ignore_errors=True)
    environment = {
        "MOLECULE_EPHEMERAL_DIRECTORY": str(notes),
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
    }
    try:
        run(session, "molecule", *told, **environment)
    except CommandFailed:
        # Molecule leaves the platform when a scenario cannot be cleaned up.
        if told[0] == "test" and "--destroy=never" not in told:
            run(session, "molecule", "destroy", **environment)
        raise


@gate("lab-build", 1900, default=False)
def lab_build(session: Session) -> None:
    """Programs and images of the Kubernetes lab, where its cache lacks them: 5 s when it has all.

    A machine that cannot carry the lab gets one line that says why.
    """
    present(session, "lab/families", "lab/images")
    run(session, "python", "-m", "lab", "check")
    run(session, "python", "-m", "lab", "build")


@gate("lab", 505, default=False, requires=("lab-build",))
def lab(session: Session) -> None:
    """Three real Kubernetes clusters: up, used, hurt, down, nothing left; root on Linux only."""
    # The first test waits for the clusters: its limit is theirs.
    pytest(session, "lab", "--timeout=300", *present(session, "lab/tests/cluster"))


@gate("bench", 240, default=False)
def bench(session: Session) -> None:
    """What a protected message costs, by stage; `-- --against PATH` compares two checkouts."""
    present(session, "evaluation/bench")
    run(session, "python", "-m", "evaluation.bench", *session.posargs)


@gate("docs", 10)
def docs(session: Session) -> None:
    """Mkdocs, strict: no dead link, no page outside the map; the page of roles is not old."""
    run(session, "python", "tools/role_docs.py", "--check")
    run(session, "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(BUILD / "site"))


@gate("reuse", 10)
def reuse(session: Session) -> None:
    """Every file has a licence and a copyright holder."""
    run(session, "reuse", "lint", "--quiet", REUSE_ENCODING_MODULE="charset_normalizer")


@gate("lock", 60, default=False)
def lock(session: Session) -> None:
    """Resolve requirements/*.in anew, with hashes, for every supported Python."""
    universal = ("--universal", "--generate-hashes", "--python-version")
    told = ("--quiet", "--custom-compile-command", "make lock", *session.posargs)
    agents = "agents/pyproject.toml"
    for python, inputs, output in (
        ("3.11", ("requirements/bootstrap.in",), "requirements/bootstrap.txt"),
        (
            "3.11",
            (agents, "lab/pyproject.toml", "requirements/dev.in"),
            "requirements/dev.txt",
        ),
        ("3.11", ("--no-deps", "requirements/sanity.in"), "requirements/sanity.txt"),
        ("3.11", ("requirements/ansible-2.18.in",), "requirements/ansible-2.18.txt"),
        ("3.12", (agents, "requirements/ansible-2.20.in"), "requirements/ansible-2.20.txt"),
        ("3.12", (agents, "requirements/ansible-2.21.in"), "requirements/ansible-2.21.txt"),
    ):
        run(session, "uv", "pip", "compile", *universal, python, *told, *inputs, "-o", output)
