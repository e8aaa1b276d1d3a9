"""Takes each port call out of a loop, once, and asks whether a test notices.

A loop that observes and acts through ports is proven by its tests only if each of its calls is: a
call that may vanish without a failing test is a rule that nobody checks. For every call on a port
in the modules of the mapping, the tests of that module run without that call; a call whose loss no
test notices is printed and ends the script with 1.

The mapping (``agents/tests/port_calls.toml``)::

    source = "../src/securetransport"      # the package; paths are relative to the mapping
    config = "../pyproject.toml"           # pytest's configuration
    ports = "core/ports"                   # where the protocols stand: what a call returns
    receivers = ["self._store"]            # in every module: what a port is called

    [[loop]]
    module = "keeper/service.py"
    tests = ["unit/keeper/test_keeper_round.py"]
    receivers = ["store"]                  # in this module too
    [loop.excused]                         # calls that need no test, each with its reason
    "self._files.remove" = "the next round removes it anyway"

A removed call returns what its protocol says it may: ``True``, a number, nothing. A call that is
handed over uncalled (to a thread) is replaced as well. Clocks and logs are no ports here.

How: in a copy of the package each call of the module becomes "the call, unless it is the one that
is out". pytest collects once per module; then each call has a child of that process, in which it is
out, and which ends at the first failing test.

Usage: ``python tools/port_calls.py [--jobs N] [MODULE …]``
"""

from __future__ import annotations

import argparse
import ast
import builtins
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

MAPPING = Path(__file__).parents[1] / "agents" / "tests" / "port_calls.toml"
TEST_SECONDS = 20
IS_OUT = "_port_call_is_out"
_RETURNS = {
    "bool": "True",
    "int": "1",
    "float": "0.0",
    "str": "''",
    "bytes": "b''",
    "list": "[]",
    "tuple": "()",
    "dict": "{}",
}


@dataclass(frozen=True)
class Method:
    """What a port's method is like: coroutine or not, and what its loss returns."""

    is_async: bool
    result: str

    @property
    def lost(self) -> str:
        """An expression in place of a call that is not awaited on the spot."""
        if not self.is_async:
            return self.result
        return f"__import__('asyncio').sleep(0, {self.result})"


@dataclass(frozen=True)
class Loop:
    """One row of the mapping."""

    module: str
    tests: tuple[str, ...]
    receivers: frozenset[str]
    excused: dict[str, str]


@dataclass(frozen=True)
class Mapping:
    """The mapping, its paths resolved."""

    folder: Path
    source: Path
    config: Path
    loops: tuple[Loop, ...]
    methods: dict[str, Method]


def read_mapping(path: Path) -> Mapping:
    """Read the mapping and the protocols that it names."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    source = (path.parent / found["source"]).resolve()
    common = found.get("receivers", [])
    loops = tuple(
        Loop(
            module=row["module"],
            tests=tuple(str(path.parent / name) for name in row["tests"]),
            receivers=frozenset([*common, *row.get("receivers", [])]),
            excused=row.get("excused", {}),
        )
        for row in found["loop"]
    )
    methods = read_ports(source / found["ports"])
    return Mapping(path.parent, source, (path.parent / found["config"]).resolve(), loops, methods)


def read_ports(folder: Path) -> dict[str, Method]:
    """Return every method of every protocol; of two with one name the coroutine counts."""
    methods: dict[str, Method] = {}
    for file in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for item in node.body:
                    if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                        made = Method(isinstance(item, ast.AsyncFunctionDef), result_of(item))
                        known = methods.get(item.name)
                        if known is None or not known.is_async:
                            methods[item.name] = made
    return methods


def result_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return an expression for what a function may return, from its annotation."""
    text = ast.unparse(function.returns) if function.returns else "None"
    return "None" if "None" in text else _RETURNS.get(text.partition("[")[0], "None")


@dataclass(frozen=True)
class Call:
    """One call on a port: its number in the module, its line, its text."""

    number: int
    line: int
    text: str


class Switchable(ast.NodeTransformer):
    """Makes each call on a port one that can be out.

    Attributes:
        calls: What was found, numbered from 1.
    """

    def __init__(self, receivers: frozenset[str], methods: dict[str, Method]) -> None:
        self._receivers = receivers
        self._methods = methods
        self._called: set[ast.Attribute] = set()
        self.calls: list[Call] = []

    def visit_Await(self, node: ast.Await) -> ast.AST:  # ast's own name
        """``await port.call()``: without it, what the coroutine would return."""
        target = self._target(node.value)
        self.generic_visit(node)
        return self._switch(node, target, is_awaited=True) if target else node

    def visit_Call(self, node: ast.Call) -> ast.AST:  # ast's own name
        """``port.call()`` that is not awaited here: a value, or a coroutine for somebody else."""
        target = self._target(node)
        self.generic_visit(node)
        return self._switch(node, target, is_awaited=False) if target else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # ast's own name
        """``port.call`` handed over uncalled; a value of the port is no call."""
        is_handed_over = node not in self._called and self._is_port(node)
        self.generic_visit(node)
        if not is_handed_over or node.attr not in self._methods:
            return node
        method = self._methods[node.attr]
        lost = f"lambda *_, **__: {method.lost}"
        return self._conditional(node, lost, node)

    def _target(self, node: ast.expr) -> ast.Attribute | None:
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        if node.func in self._called or not self._is_port(node.func):
            return None
        self._called.add(node.func)
        return node.func

    def _is_port(self, node: ast.Attribute) -> bool:
        return ast.unparse(node.value) in self._receivers

    def _switch(self, node: ast.expr, target: ast.Attribute, *, is_awaited: bool) -> ast.expr:
        method = self._methods.get(target.attr, Method(is_async=is_awaited, result="None"))
        return self._conditional(node, method.result if is_awaited else method.lost, target)

    def _conditional(self, node: ast.expr, lost: str, target: ast.Attribute) -> ast.expr:
        number = len(self.calls) + 1
        self.calls.append(Call(number, target.lineno, ast.unparse(target)))
        test = ast.parse(f"{IS_OUT}({number})", mode="eval").body
        return ast.IfExp(test, ast.parse(f"({lost})", mode="eval").body, node)


class Trial:
    """Runs the collected tests once per call, each time in a child where that call is out.

    Attributes:
        noticed: Number of a call to the test that failed without it; 0 is "nothing is out".
    """

    def __init__(self, numbers: Sequence[int], jobs: int, folder: Path) -> None:
        self._numbers = numbers
        self._jobs = jobs
        self._folder = folder
        self.noticed: dict[int, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's own loop."""
        running: dict[int, int] = {}
        for number in (0, *self._numbers):
            if number and 0 in self.noticed:
                break  # the tests fail as it is
            running[self._begin(session, number)] = number
            while len(running) >= (self._jobs if number else 1):
                self._end(running)
        while running:
            self._end(running)
        return True

    def _begin(self, session: pytest.Session, number: int) -> int:
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            setattr(builtins, IS_OUT, lambda asked: asked == number)
            failed = self._first_failure(session)
            (self._folder / str(number)).write_text(failed, encoding="utf-8")
            code = 0
        finally:
            os._exit(code)

    def _first_failure(self, session: pytest.Session) -> str:
        items = session.items
        for index, item in enumerate(items):
            following = items[index + 1] if index + 1 < len(items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return item.name
        return ""

    def _end(self, running: dict[int, int]) -> None:
        child, status = os.wait()
        number = running.pop(child)
        file = self._folder / str(number)
        failed = file.read_text(encoding="utf-8") if status == 0 else "the process ended"
        if failed:
            self.noticed[number] = failed


def check_loop(mapping: Mapping, loop: Loop, jobs: int) -> int:
    """Try every call of one module, in this process; returns how many nobody notices."""
    tree = ast.parse((mapping.source / loop.module).read_text(encoding="utf-8"))
    switchable = Switchable(loop.receivers, mapping.methods)
    tree = cast("ast.Module", ast.fix_missing_locations(switchable.visit(tree)))
    unused = set(loop.excused) - {call.text for call in switchable.calls}
    if not switchable.calls or unused:
        lines = ", ".join(sorted(unused)) or "no call on a port"
        raise SystemExit(f"port_calls: {loop.module}: the row does not fit: {lines}")
    with tempfile.TemporaryDirectory(prefix="port-calls-") as folder:
        package = Path(folder) / mapping.source.name
        shutil.copytree(mapping.source, package, ignore=shutil.ignore_patterns("__pycache__"))
        (package / loop.module).write_text(ast.unparse(tree), encoding="utf-8")
        numbers = [call.number for call in switchable.calls if call.text not in loop.excused]
        trial = Trial(numbers, jobs, Path(folder))
        _run_pytest(mapping, loop, trial, folder)
    name = ".".join((package.name, *Path(loop.module).with_suffix("").parts))
    used = getattr(sys.modules.get(name), "__file__", None)
    if used != str(package / loop.module):
        raise SystemExit(f"port_calls: {loop.module}: its tests do not use the copy, but {used}")
    if 0 in trial.noticed:
        raise SystemExit(f"port_calls: {loop.module}: fails as it is: {trial.noticed[0]}")
    survivors = 0
    for call in switchable.calls:
        reason = loop.excused.get(call.text)
        failed = f"excused: {reason}" if reason else trial.noticed.get(call.number)
        survivors += failed is None
        print(f"{loop.module}:{call.line:<5} {call.text:<42} {failed or 'NOBODY NOTICES'}")
    return survivors


def _run_pytest(mapping: Mapping, loop: Loop, trial: Trial, folder: str) -> None:
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    setattr(builtins, IS_OUT, lambda _number: False)
    plain = ("-q", "-q", "--no-header", "--capture=no", "-p", "no:cacheprovider", "-p", "no:xdist")
    code = pytest.main(
        [
            *plain,
            f"--config-file={mapping.config}",
            f"--rootdir={mapping.folder}",
            f"--timeout={TEST_SECONDS}",
            *loop.tests,
        ],
        plugins=[trial],
    )
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(f"port_calls: {loop.module}: its tests cannot be collected")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script: each row in a process of its own, since a module is imported once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="*", help="rows of the mapping; all when none is given")
    parser.add_argument("--mapping", type=Path, default=MAPPING)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    mapping = read_mapping(options.mapping.resolve())
    loops = [
        loop for loop in mapping.loops if not options.modules or loop.module in options.modules
    ]
    if not loops:
        raise SystemExit(f"port_calls: no row for {', '.join(options.modules) or 'anything'}")
    if options.here:
        return min(check_loop(mapping, loops[0], options.jobs), 100)
    begun, bad = time.monotonic(), []
    for loop in loops:
        own = ["--here", "--jobs", str(options.jobs), "--mapping", str(options.mapping)]
        command = [sys.executable, str(Path(__file__)), *own, loop.module]
        if subprocess.run(command, check=False).returncode:
            bad.append(loop.module)
    took = f"{len(loops)} modules, {time.monotonic() - begun:.0f} s"
    print(f"port_calls: {took}; {', '.join(bad) or 'every call is noticed'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
