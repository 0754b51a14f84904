"""JSON that airfast writes and reads again: sealed when it is written, checked against a schema when it is read."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from airfast.atomic import write_text
from airfast.errors import InputError
from airfast.reading import read_json

SEAL = "seal"


class Schema(BaseModel):
    """What a kind of record holds: every key of its type and no other; keys with defaults may be lacking."""

    model_config = ConfigDict(strict=True, extra="forbid")


def sealed(record: dict[str, Any], indent: int | None = None) -> str:
    """A record as JSON whose first entry tells whether the others are as they were written.

    The first: what a disk or an editor loses of a file in one piece then takes a seal along only with a whole key.
    """
    return json.dumps({SEAL: seal_of(record), **record}, indent=indent)


def seal_of(record: dict[str, Any]) -> str:
    """The first half of the SHA-256 of a record's values, however they are laid out."""
    text = json.dumps(json.loads(json.dumps(record)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def opened(record: Any, schema: type[Schema]) -> tuple[dict[str, Any], bool]:
    """A record, and whether it was sealed: those that were made before there were seals are not.

    Args:
        record: what the JSON says.
        schema: what it has to be.

    Raises:
        ValueError: with the reason: no object, another seal, a key or value that the schema does not know.
    """
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, found {type(record).__name__}")
    was_sealed = SEAL in record
    if was_sealed and record.pop(SEAL) != seal_of(record):
        raise ValueError("damaged, its values do not match their seal")
    try:
        schema.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ValueError(f"damaged or foreign, {where}: {first['msg']}") from None
    return record, was_sealed


def write_record(path: Path, record: dict[str, Any]) -> None:
    """A record as a file; InputError where it cannot be written."""
    write_text(path, sealed(record, indent=1))


def read_record(path: Path, schema: type[Schema]) -> dict[str, Any]:
    """The record of a file; InputError, in one line, for everything that is none of that schema."""
    said = read_json(path)
    try:
        return opened(said, schema)[0]
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
