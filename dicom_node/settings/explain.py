"""What pydantic found wrong, in the words of a settings file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dicom_node.settings.key_lines import KeyPath, MarkedYaml, Problem
from dicom_node.settings.sections import Settings

_SECRET = ("database",)
"""A URL may hold a password, however much the documentation asks for none."""
_MAX_SHOWN_CHARS = 60
_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a section with keys",
}


def explain(error: ValidationError, document: MarkedYaml) -> Iterator[Problem]:
    """Yield one problem per mistake, at the line where its value stands."""
    schema = Settings.model_json_schema()
    for details in error.errors(include_url=False):
        path = tuple(part for part in details["loc"] if part != "[key]")
        text = _text(details, path, schema)
        yield Problem(line=document.line(path), path=path, text=text)


def _text(details: ErrorDetails, path: KeyPath, schema: Mapping[str, Any]) -> str:
    if details["type"] == "missing":
        return "is missing"
    if details["type"] == "extra_forbidden":
        known = sorted(_schema_at(path[:-1], schema).get("properties", {}))
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return f"unknown key ({hint})"
    shown = "the value" if path == _SECRET else _shown(details["input"])
    expected = _expected(_schema_at(path, schema))
    if "[key]" in details["loc"]:
        shown, expected = str(path[-1]), _name_limit(path, schema)
    return f"{shown} is not {expected}" + _hint(details["input"], expected)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "an empty value"
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list" if value else "an empty list"
    text = str(value)
    if len(text) > _MAX_SHOWN_CHARS:
        text = f"{text[:_MAX_SHOWN_CHARS]}..."
    return repr(text) if not text or text != text.strip() else text


def _hint(value: object, expected: str) -> str:
    """YAML reads `NO` as false and `0123` as 83; quotes keep them text."""
    is_text = "AE title" in expected or "name" in expected or expected == "text"
    if is_text and isinstance(value, bool | int | float):
        return "; put it in quotes"
    return ""


def _schema_at(path: KeyPath, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Walk the JSON schema to the value at a path; empty where it knows none."""
    found: Mapping[str, Any] = schema
    for part in path:
        found = _resolved(found, schema)
        if isinstance(part, int):
            found = found.get("items", {})
        elif part in found.get("properties", {}):
            found = found["properties"][part]
        else:
            patterns = found.get("patternProperties", {})
            more = found.get("additionalProperties", {})
            found = next(iter(patterns.values()), more if more else {})
    return _resolved(found, schema)


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[-1]
        resolved: Mapping[str, Any] = schema["$defs"][name]
        return resolved
    if "anyOf" in part:
        first: Mapping[str, Any] = part["anyOf"][0]
        return _resolved(first, schema)
    return part


def _name_limit(path: KeyPath, schema: Mapping[str, Any]) -> str:
    section = _schema_at(path[:-1], schema)
    limit = section.get("propertyNames", {}).get("x-expected")
    return str(limit or "a name (a-z, 0-9, - and _)")


def _expected(part: Mapping[str, Any]) -> str:
    if "x-expected" in part:
        return str(part["x-expected"])
    if "enum" in part:
        return f"one of {', '.join(map(str, part['enum']))}"
    if "const" in part:
        return f"{part['const']}, the only value that is known"
    kind = _KINDS.get(str(part.get("type")), "a value of the right kind")
    limits = _limits(part)
    return f"{kind} ({limits})" if limits else kind


def _limits(part: Mapping[str, Any]) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"{low} or more"
    if "exclusiveMinimum" in part:
        upper = "" if high is None else f", at most {high}"
        return f"above {part['exclusiveMinimum']}{upper}"
    if "minLength" in part:
        high = part.get("maxLength")
        upper = "or more" if high is None else f"to {high}"
        return f"{part['minLength']} {upper} characters"
    if "minItems" in part:
        return f"{part['minItems']} or more entries"
    return str(part.get("pattern", ""))
