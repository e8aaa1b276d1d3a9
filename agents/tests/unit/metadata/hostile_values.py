"""Values that no honest writer writes, by the kind of field that they are put into."""

from __future__ import annotations

from typing import Any, Final

JsonValue = Any
"""A value as JSON gives it."""

_NESTED: JsonValue = []
for _ in range(50):  # deeper is refused before any field is looked at
    _NESTED = [_NESTED]

_OF_ANOTHER_KIND: Final[dict[str, JsonValue]] = {
    "null": None,
    "object": {"a": {"b": {}}},
    "nested": _NESTED,
}
_NO_NUMBER: Final[dict[str, JsonValue]] = {
    "true": True,
    "float": 1.0,
    "nan": float("nan"),
    "infinite": float("inf"),
    "text": "1",
    "empty": "",
    "list": [1],
}
_NO_TEXT: Final[dict[str, JsonValue]] = {
    "number": 7,
    "true": True,
    "float": 0.5,
    "nan": float("nan"),
    "long": "x" * 5000,
    "control": "a\nb",
    "list": ["a"],
}

REFUSED: Final[dict[str, dict[str, JsonValue]]] = {
    "number": {"negative": -1, "huge": 10**19, "absurd": 10**300, **_NO_NUMBER, **_OF_ANOTHER_KIND},
    "epoch": {"negative": -1, "huge": 10**15, "absurd": 10**300, **_NO_NUMBER, **_OF_ANOTHER_KIND},
    "text": {**_NO_TEXT, **_OF_ANOTHER_KIND},
    "instance": {
        "empty": "",
        "no instance": "gatekeeper",
        "way out": "../../sys/1",
        "upper": "Gatekeeper/1",
        "accent": "g\u00e4tekeeper/1",
        "line end": "gatekeeper/1\n",
        **_NO_TEXT,
        **_OF_ANOTHER_KIND,
    },
    "instant": {
        "number": 1_700_000_000,
        "true": True,
        "nan": float("nan"),
        "empty": "",
        "no zone": "2026-01-01T00:00:00",
        "last": "9999-12-31T23:59:59Z",
        "first": "0001-01-01T00:00:00Z",
        "long": "2" * 5000,
        **_OF_ANOTHER_KIND,
    },
    "bytes": {
        "number": 7,
        "true": True,
        "no base64": "not base64!",
        "half": "QUI",
        "other alphabet": "_-_-",
        "accent": "\u00e4\u00e4\u00e4\u00e4",
        "long": "QUJD" * 8_000,
        "list": ["QUJD"],
        **_OF_ANOTHER_KIND,
    },
    "flag": {"zero": 0, "one": 1, "text": "yes", "empty": "", "float": 1.0, **_OF_ANOTHER_KIND},
    "list": {
        "text": "abc",
        "number": 7,
        "true": True,
        "of lists": [[]],
        "of null": [None],
        "long": ["QUJD"] * 70_000,
        **_OF_ANOTHER_KIND,
    },
    "version": {
        "number": 1,
        "text": "1.2",
        "list": [1, 2],
        "negative": {"incarnation": 0, "counter": -1},
        "huge": {"incarnation": 2**63, "counter": 1},
        "true": {"incarnation": True, "counter": 1},
        "more": {"incarnation": 0, "counter": 1, "x": 1},
        "nested": _NESTED,
    },
}
