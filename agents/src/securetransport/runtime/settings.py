"""Configuration of an agent: one frozen object, read once at start and passed down as values.

Precedence, highest first: arguments (``--set nats.connect_timeout_seconds=3``), the environment
(``ST_<AGENT>_NATS__CONNECT_TIMEOUT_SECONDS=3``), the TOML file (``--config FILE`` or
``ST_CONFIG_FILE``), defaults. In the first two a list or table is written as JSON. An unknown key
anywhere is a :class:`ConfigError` that names it and suggests the nearest known one; the process
then exits with code 78.

An agent extends :class:`AgentSettings`::

    class WatcherSettings(AgentSettings):
        AGENT: ClassVar[str] = "watcher"

        nats: NatsSection
        round: RoundSection = RoundSection()

    settings = WatcherSettings.load(sys.argv[1:])
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn, Self, cast

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from securetransport.core.base.errors import ConfigError
from securetransport.core.base.profile import Profile
from securetransport.runtime.sections import (
    AuthoritySection,
    HealthSection,
    IdentitySection,
    LogsSection,
    OpenBaoSection,
    PathsSection,
    ProfileSection,
    refuse_truth_value,
)
from securetransport.runtime.toml_lines import line_of

CONFIG_FILE_VARIABLE: Final = "ST_CONFIG_FILE"
_DELIMITER: Final = "__"


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line of an agent.

    Attributes:
        config: The TOML file, ``None`` for ``ST_CONFIG_FILE`` or no file at all.
        is_check: ``--check-config``: print the merged configuration and end.
        values: What ``--set`` gave, nested.
    """

    config: Path | None
    is_check: bool
    values: dict[str, Any]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Report like every other configuration error, instead of exit code 2."""
        raise ConfigError([f"arguments: {message}"])


def parse_arguments(agent: str, argv: Sequence[str]) -> Arguments:
    """Parse ``--config``, ``--check-config`` and ``--set``.

    Raises:
        ConfigError: An unknown argument, or a ``--set`` without ``=``.
    """
    parser = _Parser(prog=f"securetransport-{agent}", allow_abbrev=False)
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML configuration file")
    parser.add_argument(
        "--check-config", action="store_true", help="print the merged configuration and end"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting by its dotted name; lists and tables as JSON",
    )
    found = parser.parse_args(argv)
    values: dict[str, Any] = {}
    for text in found.set:
        key, separator, value = text.partition("=")
        if not separator or not all(key.split(".")):
            raise ConfigError([f"arguments: --set {key!r} is not KEY=VALUE"])
        values = merged(values, _nested(key.split("."), value, key))
    return Arguments(config=found.config, is_check=found.check_config, values=values)


def _nested(path: Sequence[str], text: str, origin: str) -> dict[str, Any]:
    value: Any = text
    if text[:1] in ("[", "{"):
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError([f"{origin}: not JSON: {_one_line(error)}"]) from error
        except RecursionError as error:
            raise ConfigError([f"{origin}: not JSON: nested too deep"]) from error
    for part in reversed(path):
        value = {part: value}
    return cast("dict[str, Any]", value)


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Return both mappings in one; ``high`` wins, tables are merged key by key."""
    result = dict(low)
    for key, value in high.items():
        known = result.get(key)
        both_are_tables = isinstance(known, Mapping) and isinstance(value, Mapping)
        result[key] = merged(known, value) if both_are_tables else value  # type: ignore[arg-type]  # checked one line above
    return result


class ProcessSettings(BaseSettings):
    """What every process is configured with, whether it has an identity or not.

    Attributes:
        AGENT: The process's name; part of the environment prefix and of messages.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True)
    AGENT: ClassVar[str] = "agent"

    health: HealthSection
    profile: ProfileSection = ProfileSection()
    logs: LogsSection = LogsSection()

    stop_grace_seconds: float = Field(default=10.0, gt=0, le=300)
    """How long a stop may take; keep it below the process manager's patience."""

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: object, field: ValidationInfo) -> object:
        return refuse_truth_value(cls, value, field)

    @property
    def label(self) -> str:
        """What logs call this process."""
        return self.AGENT

    @property
    def secret_id_status_file(self) -> Path | None:
        """Where it reads how its secret-id is; ``None`` for a process without one."""
        return None

    @model_validator(mode="after")
    def _check_profile(self) -> Self:
        self.profile.profile_value()
        return self

    def profile_value(self) -> Profile:
        """Return the deployment's periods and deadlines, checked at load."""
        return self.profile.profile_value()

    def check(self) -> None:
        """Look into the files that the configuration names, as the start does.

        Raises:
            ConfigError: One line per file that cannot be used.
        """
        problems: list[str] = []
        for look in self.looks():
            try:
                look()
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(problems)

    def looks(self) -> list[Callable[[], object]]:
        """Return what :meth:`check` calls; processes with files of their own add to it."""
        return []

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what :meth:`load` merged, so that the precedence stands in one place."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def load(cls, argv: Sequence[str] = ()) -> Self:
        """Read arguments, environment and file, and return the validated result.

        Raises:
            ConfigError: One line per wrong field, each with its dotted name.
        """
        arguments = parse_arguments(cls.AGENT, argv)
        path = _file_of(arguments)
        given = merged(_read_environment(cls), arguments.values)
        values = merged(read_toml(*path) if path else {}, given)
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(
                problem_lines(cls, error, path[0] if path else None, given)
            ) from error

    def to_text(self) -> str:
        """Return the merged configuration as JSON, secrets masked."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True)


class AgentSettings(ProcessSettings):
    """What every agent is configured with; agents add their own groups."""

    identity: IdentitySection
    openbao: OpenBaoSection
    authority: AuthoritySection
    paths: PathsSection

    @property
    def label(self) -> str:
        """What logs call this process."""
        return self.identity.instance_id

    @property
    def secret_id_status_file(self) -> Path | None:
        """Where it reads how its secret-id is."""
        return self.openbao.secret_id_status_file

    def looks(self) -> list[Callable[[], object]]:
        """Return what :meth:`check` calls; agents with files of their own add to it."""
        return [*super().looks(), self.openbao.check, self.authority.check, self.paths.check]


def _file_of(arguments: Arguments) -> tuple[Path, str] | None:
    """Return the TOML file and who named it."""
    if arguments.config is not None:
        return arguments.config, "--config"
    text = os.environ.get(CONFIG_FILE_VARIABLE)
    return (Path(text), CONFIG_FILE_VARIABLE) if text else None


def read_toml(path: Path, origin: str, hint: str = "") -> dict[str, Any]:
    """Return a TOML file.

    Args:
        path: The file.
        origin: Where its path was given, for messages.
        hint: Added when it cannot be read.

    Raises:
        ConfigError: It cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{origin}: cannot read {path}: {error.strerror}{hint}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not TOML: not UTF-8 text"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {_one_line(error)}"]) from error
    except RecursionError as error:
        raise ConfigError([f"{path}: not TOML: nested too deep"]) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _read_environment(cls: type[ProcessSettings]) -> dict[str, Any]:
    prefix = f"ST_{cls.AGENT.upper().replace('-', '_')}_"
    values: dict[str, Any] = {}
    for name, text in sorted(os.environ.items()):
        if name.startswith(prefix):
            path = name[len(prefix) :].lower().split(_DELIMITER)
            values = merged(values, _nested(path, text, name))
    known = set(cls.model_fields)
    problems = [
        f"unknown configuration key {name} in the environment{_suggestion(name, known, prefix)}"
        for name in sorted(os.environ)
        if name.startswith(prefix)
        and name[len(prefix) :].lower().split(_DELIMITER, 1)[0] not in known
    ]
    if problems:
        raise ConfigError(problems)
    return values


def _suggestion(name: str, known: set[str], prefix: str) -> str:
    first, separator, rest = name[len(prefix) :].lower().partition(_DELIMITER)
    near = difflib.get_close_matches(first, known, n=1)
    if not near:
        return ""
    return f" (did you mean {prefix}{near[0].upper()}{separator}{rest.upper()}?)"


def _dotted_names(fields: Mapping[str, FieldInfo], prefix: str = "") -> Iterator[str]:
    for name, field in fields.items():
        yield prefix + name
        nested = getattr(field.annotation, "model_fields", None)
        if nested:
            yield from _dotted_names(nested, f"{prefix}{name}.")


def problem_lines(
    cls: type[BaseModel],
    error: ValidationError,
    path: Path | None = None,
    given: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return one line per wrong field, each with its dotted name.

    Args:
        cls: What was to be made.
        error: What was said.
        path: The TOML file that most values come from; a line says where in it.
        given: Values that came from elsewhere; what is wrong with those stands in no file.
    """
    text = _text_of(path)
    known = list(_dotted_names(cls.model_fields))
    lines: list[str] = []
    items = error.errors(include_url=False, include_context=True)
    for item in items:
        if item["type"] == "too_short" and any(_is_inside(other, item) for other in items):
            continue  # what is wrong inside was left out of the count
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(where, known, n=1, cutoff=0.75)
            hint = f" (did you mean {near[0]}?)" if near else ""
            lines.append(f"unknown configuration key {where}{hint}")
        elif item["type"] == "missing":
            lines.append(f"{where}: is missing")
        else:
            cause = item.get("ctx", {}).get("error")
            reason = str(cause) if cause is not None else item["msg"]
            reason = reason[:1].lower() + reason[1:]
            lines.append(f"{where}: {reason}" if where else reason)
        lines[-1] = _origin(path, text, item["loc"], given or {}) + lines[-1]
    return lines


def _is_inside(inner: ErrorDetails, outer: ErrorDetails) -> bool:
    place = outer["loc"]
    return len(inner["loc"]) > len(place) and inner["loc"][: len(place)] == place


def _at(values: Any, part: str | int) -> Any:
    """Return what stands at a key or a position; ``None`` for nothing."""
    try:
        return values[part]
    except (KeyError, IndexError, TypeError):
        return None


def _text_of(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path is not None else ""
    except (OSError, UnicodeDecodeError):  # it was read a moment ago
        return ""


def _origin(
    path: Path | None, text: str, place: Sequence[str | int], given: Mapping[str, Any]
) -> str:
    """Return ``file:line: `` of a value that stands in the file, nothing for another."""
    value: Any = given
    for part in place:
        is_there = isinstance(value, Mapping | list | tuple)
        value = _at(value, part) if is_there else None
    if path is None or (value is not None and place):
        return ""
    line = line_of(text, place)
    return f"{path}:{line}: " if line is not None else f"{path}: "
