"""What callers rely on: families, reasons for counters, texts without secrets."""

from __future__ import annotations

import pytest

from securetransport.core.base import errors
from securetransport.core.base.errors import (
    ConfigError,
    RejectedMessageError,
    RotationError,
    SecureTransportError,
    TransientError,
)


def descendants(family: type[Exception]) -> list[type[Exception]]:
    found = []
    for child in family.__subclasses__():
        found += [child, *descendants(child)]
    return found


def test_every_error_of_the_module_belongs_to_the_family() -> None:
    defined = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert defined == {
        SecureTransportError,
        *(kind for kind in descendants(SecureTransportError) if kind.__module__ == errors.__name__),
    }


def test_reasons_of_refusal_are_words_and_differ() -> None:
    reasons = [vars(kind)["reason"] for kind in descendants(RejectedMessageError)]
    assert len(set(reasons)) == len(reasons)
    assert all(reason.replace("_", "").isalpha() and reason.islower() for reason in reasons)


@pytest.mark.parametrize(
    "kind",
    [
        errors.ConflictError,
        errors.PermissionDeniedError,
        errors.NotFoundError,
        errors.RejectedDocumentError,
        *descendants(RejectedMessageError),
    ],
)
def test_what_a_retry_cannot_help_is_not_transient(kind: type[Exception]) -> None:
    assert not issubclass(kind, TransientError)


def test_the_text_is_the_message_and_its_fields() -> None:
    error = SecureTransportError("the leaf is not there", server="nats-1", attempt=2)
    assert str(error) == "the leaf is not there (server=nats-1, attempt=2)"
    assert error.fields == {"server": "nats-1", "attempt": 2}
    assert str(SecureTransportError("plain")) == "plain"


def test_a_configuration_error_keeps_every_problem_and_the_exit_code() -> None:
    error = ConfigError(["nats.servers: must not be empty", "logs.level: unknown word"])
    assert error.problems == ["nats.servers: must not be empty", "logs.level: unknown word"]
    assert str(error) == "nats.servers: must not be empty; logs.level: unknown word"
    assert ConfigError.EXIT_CODE == 78


def test_a_rotation_error_names_kind_epoch_and_step() -> None:
    error = RotationError("no answer", kind="ca", epoch=7, step="prepare", node="openbao-2")
    assert error.fields == {"kind": "ca", "epoch": 7, "step": "prepare", "node": "openbao-2"}
