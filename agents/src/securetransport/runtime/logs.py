"""Logs: structlog, one JSON object a line on stdout, or a readable form on a terminal.

An event is a fixed snake_case name; everything that varies is a field::

    log = get_logger()
    log.info("leaf_renewed", epoch=12, fingerprint=identity.fingerprint[:16], seconds=0.02)

Field names in use, one word per thing: ``agent instance epoch step kind version digest fingerprint
server stream subject topic path node status reason error seconds count loop task``.

Never log payloads, keys or tokens. As a second line of defence :func:`mask_secrets` replaces the
value of every field whose name says that it is a secret.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, Literal

import structlog

LogFormat = Literal["json", "pretty", "auto"]
LogLevel = Literal["debug", "info", "warning", "error"]

MASK: Final = "********"
_SECRET_WORDS: Final = ("token", "secret", "password", "private_key", "authorization", "unseal")
# Other people's libraries say a lot at INFO that is no unit of our work.
_FOREIGN_LEVEL: Final = logging.WARNING


def mask_secrets(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace values of fields whose name says that they are secret; file names stay readable."""
    for name in event:
        lowered = name.lower()
        if lowered.endswith(("_file", "_seconds", "_count")):
            continue
        if any(word in lowered for word in _SECRET_WORDS):
            event[name] = MASK
    return event


def configure(level: LogLevel = "info", format: LogFormat = "auto") -> None:  # noqa: A002  # the setting's name
    """Set up logging of this process; called once, by ``run_agent``.

    Args:
        level: Least level that is written.
        format: ``json``, ``pretty``, or ``auto``: pretty only when stdout is a terminal.
    """
    is_pretty = format == "pretty" or (format == "auto" and sys.stdout.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        mask_secrets,
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if is_pretty
        else [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(_FOREIGN_LEVEL)
    logging.captureWarnings(capture=True)


def get_logger(**fields: object) -> structlog.typing.FilteringBoundLogger:
    """Return a logger; ``fields`` go into each of its lines."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(**fields)
    return logger
