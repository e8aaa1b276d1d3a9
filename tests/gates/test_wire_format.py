"""docs/wire-format.md says what the code does: labels, schemas, fields, codes, limits."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from importlib.resources import files

from pages import code_spans, constant, rows, section, strings, text_of

# Where the code is; nothing below names a module.
from securetransport.core import base, formats
from securetransport.core.base import names
from securetransport.core.base.codec import _SCHEMAS as SCHEMAS
from securetransport.core.crypto import signing
from securetransport.core.decisions.member.settling import MAY_BE_STALE
from securetransport.core.formats import documents
from securetransport.core.formats.body import Document, DocumentKind
from securetransport.core.formats.dead_letter import PARKING_ROOM_BYTES, SMALL_LETTER_BYTES
from securetransport.core.formats.envelope import MAX_BATCH, SUITES
from securetransport.core.trust.opening import _ERRORS as REFUSAL_ERRORS
from securetransport.core.trust.opening import MAX_MESSAGE_BYTES, Refusal

PAGE = text_of("wire-format.md")
KIB = 1024


def column(heading: str, first_column: str, number: int = 0) -> list[str]:
    """Return the names in one column of a table, without their backticks."""
    return [row[number].strip("`") for row in rows(section(PAGE, heading), first_column)]


def schema(name: str) -> dict[str, object]:
    text = files(base).joinpath("schemas", f"{name}.avsc").read_text()
    return dict(json.loads(text))


def fields(record: object) -> list[str]:
    assert isinstance(record, dict)
    return [field["name"] for field in record["fields"]]


def split(names: list[str]) -> list[str]:
    return [name for cell in names for name in cell.split(", ")]


# --- algorithms and labels -------------------------------------------------------------------


def test_suites_are_those_of_the_code() -> None:
    table = rows(section(PAGE, "Algorithms"), "suite")
    told = {int(row[0]): row for row in table if "reserved" not in row[-1]}
    assert set(told) == set(SUITES)
    for number, suite in SUITES.items():
        name, signature, kem, kdf = (told[number][place] for place in (1, 2, 3, 5))
        assert (name.strip("`"), signature, kem) == (suite.name, suite.signature, suite.kem)
        assert suite.hash_name == re.sub(r"[^a-z0-9]", "", kdf.split(", ")[1].lower())


def test_every_label_is_told_and_no_other() -> None:
    pattern = re.compile(r"securetransport/[a-z0-9/-]+")
    in_code = {text for text in strings() if pattern.fullmatch(text)}
    assert set(column("PAE", "label")) == in_code


# --- records ---------------------------------------------------------------------------------


def test_schemas_are_those_of_the_code() -> None:
    table = rows(section(PAGE, "Frame"), "schema id")
    told = {
        row[2]: (row[3].strip("`").rpartition("/")[2], int(row[0]), int(row[1])) for row in table
    }
    found = {
        str(schema(name)["name"]): (f"{name}.avsc", number, version)
        for name, (number, version) in SCHEMAS.items()
    }
    assert told == found


def test_no_schema_has_arrays_or_maps() -> None:
    for name in SCHEMAS:
        assert not re.search(r'"type":\s*"(array|map)"', json.dumps(schema(name)))


def test_fields_of_a_document_stand_in_their_order() -> None:
    assert split(column("SignedDocument", "field")) == fields(schema("document"))


def test_fields_of_message_and_header_stand_in_their_order() -> None:
    message = schema("message")
    assert column("Message", "field of Message") == fields(message)
    assert split(column("Message", "field of MessageHeader")) == fields(schema("header"))
    batch = message["fields"][-1]["type"][1]  # type: ignore[index]  # the schema is JSON
    assert split(column("Message", "field of BatchPath")) == fields(batch)


def test_kinds_of_documents_are_those_of_the_code() -> None:
    rule = next(
        row[2] for row in rows(section(PAGE, "SignedDocument"), "field") if row[0] == "kind"
    )
    assert code_spans(rule) == [kind.value for kind in DocumentKind]


def test_bodies_are_those_of_the_code() -> None:
    table = rows(section(PAGE, "Bodies"), "record")
    records = {
        name: [field.serialization_alias or own for own, field in kind.model_fields.items()]
        for module in pkgutil.iter_modules(formats.__path__)
        for name, kind in inspect.getmembers(
            importlib.import_module(f"{formats.__name__}.{module.name}"), inspect.isclass
        )
        if issubclass(kind, Document) and kind is not Document
    }
    assert {row[0]: row[2].split(", ") for row in table} == records
    assert {span for row in table for span in code_spans(row[1])} | {"acl"} == {
        kind.value for kind in DocumentKind
    }


# --- who is believed -------------------------------------------------------------------------


def test_reasons_of_refused_documents_are_those_of_the_code() -> None:
    assert column("SignedDocument", "", 2) == list(documents.REFUSAL_REASONS)


def test_codes_and_reasons_of_refused_messages_are_those_of_the_code() -> None:
    table = rows(section(PAGE, "Receiver"), "")
    assert [int(row[0]) for row in table] == list(range(1, len(Refusal) + 1))
    told = [(row[2].strip("`"), row[3].strip("`")) for row in table]
    assert told == [(code.value, REFUSAL_ERRORS[code].reason) for code in Refusal]


def test_codes_that_allow_a_catch_up_are_those_of_the_code() -> None:
    sentence = re.search(r"^Codes (.*?) may only mean", PAGE, re.MULTILINE | re.DOTALL)
    assert sentence is not None
    assert set(code_spans(sentence.group(1))) == {code.value for code in MAY_BE_STALE}


def test_headers_of_parked_messages_are_those_of_the_code() -> None:
    cells = [row[0] for row in rows(section(PAGE, "Dead letters"), "header")]
    told = {span for cell in cells for span in code_spans(cell)}
    in_code = {text for text in strings() if re.fullmatch(r"St-[A-Za-z-]+", text)}
    assert told == in_code | {"Nats-Msg-Id"}


def test_accounts_of_parked_messages_are_those_of_the_code() -> None:
    cells = [row[1] for row in rows(section(PAGE, "Receiver"), "refused")]
    told = {span for cell in cells for span in code_spans(cell)}
    assert told == {names.ACCOUNT_LATE, names.ACCOUNT_NEWER, names.ACCOUNT_UNVERIFIED}


# --- limits ----------------------------------------------------------------------------------


def test_limits_are_those_of_the_code() -> None:
    told = dict(row[:2] for row in rows(section(PAGE, "Limits"), "limit"))
    keys = [signing.generate_signing_key(name) for name in (signing.ML_DSA_65, signing.ML_DSA_87)]
    assert told["message"].startswith(f"{MAX_MESSAGE_BYTES // KIB**2} MiB")
    assert f"{PARKING_ROOM_BYTES} bytes less" in told["message"]
    assert f"{PARKING_ROOM_BYTES})" in section(PAGE, "Size")
    assert f"{SMALL_LETTER_BYTES // KIB} KiB" in section(PAGE, "Dead letters")
    assert told["signed document"] == f"{documents.MAX_DOCUMENT_BYTES // KIB} KiB"
    assert told["text fields of a signed document"] == f"{constant('_MAX_TEXT')} characters"
    assert told["batch"] == f"{MAX_BATCH} messages"
    remembered = told["verified batch roots that a receiver remembers"]
    assert remembered == str(constant("_VERIFIED_ROOTS"))
    assert told["signature of ML-DSA-65, ML-DSA-87"] == ", ".join(
        f"{len(key.sign(b''))} bytes" for key in keys
    )
