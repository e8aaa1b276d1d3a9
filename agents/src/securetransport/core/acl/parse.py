"""Reads the ACL file: YAML with line numbers, so that every complaint says where."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from securetransport.core.acl.check import Path, dotted, problems
from securetransport.core.acl.model import Acl
from securetransport.core.base.errors import ConfigError

_MOST_NESTED: Final = 100
_MOST_VALUES: Final = 200_000
_LARGEST_NUMBER: Final = 2**63 - 1


def load_acl(text: str, *, source: str = "acl.yml") -> Acl:
    """Parse and check the ACL file.

    Args:
        text: The file's content.
        source: What to call the file in messages.

    Raises:
        ConfigError: One line per problem: ``acl.yml:12: services.gatekeeper.produces[0]: …``.
    """
    tree, document = _parse(text, source)
    found = sorted((_line_of(tree, path), dotted(path), text) for path, text in problems(document))
    if found:
        raise ConfigError([f"{source}:{line}: {place}: {text}" for line, place, text in found])
    return Acl.from_plain(document)


def _parse(text: str, source: str) -> tuple[Any, Any]:
    """Return the tree that knows its lines, and the same as plain values."""
    # The round-trip loader is a safe one: it builds maps, lists and scalars only, and it alone
    # keeps line numbers.
    yaml = YAML(typ="rt")
    _check_nesting(text, source)
    try:
        tree = yaml.load(text)
        return tree, _plain(tree, itertools.count())
    except RecursionError as error:
        raise ConfigError([f"{source}:1: the file: an alias contains itself"]) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        reason = (error.problem or "not YAML").splitlines()[0].partition(" with value")[0]
        raise ConfigError([f"{source}:{line}: the file: {reason}"]) from error
    except YAMLError as error:
        raise ConfigError([f"{source}:1: the file: not YAML"]) from error
    except (ValueError, ArithmeticError) as error:  # a date or number that cannot be
        raise ConfigError([f"{source}:1: the file: {' '.join(str(error).split())}"]) from error


def _check_nesting(text: str, source: str) -> None:
    """Refuse brackets in brackets in brackets: the parser's time grows with their square."""
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        marks = line.count("- ") if line.lstrip().startswith("- - ") else 0
        for character in line:
            depth += (character in "[{") - (character in "]}")
            if max(depth, marks) > _MOST_NESTED:
                raise ConfigError([f"{source}:{number}: the file: nested too deep"])


def _plain(value: Any, counter: Iterator[int]) -> Any:
    """Return maps, lists and scalars without YAML's subclasses, which JSON writes differently.

    An alias is copied wherever it is used; ``counter`` bounds what a few of them can amount to.
    """
    if next(counter) > _MOST_VALUES:
        raise ValueError("it has too many values, with its aliases written out")
    if isinstance(value, dict):
        return {str(key): _plain(item, counter) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, counter) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
        raise ValueError("it has a number of more than 63 bits")
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def _line_of(tree: Any, path: Path) -> int:
    """Return the line of the deepest part of ``path`` that exists, from 1."""
    line, node = 0, tree
    for part in path:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0]
        else:
            break
        node = node[part]
    return line + 1
