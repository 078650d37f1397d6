"""What pydantic finds wrong with a scenario, in sentences: key path, value, what was expected."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.frozen import shorten
from harness.names import did_you_mean


def problems_of(model: type[BaseModel], error: ValidationError) -> list[str]:
    """Every error as a sentence, in the order of the file's keys."""
    return list(dict.fromkeys(_sentence(model, one) for one in error.errors(include_url=False)))


def keys_of(model: type[BaseModel]) -> list[str]:
    """The keys of a table, as files write them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def table_at(model: type[BaseModel], path: Sequence[Any]) -> type[BaseModel] | None:
    """The model of the table at a key path, names of tables included; None where there is no table."""
    here: Any = model
    for part in path:
        if isinstance(here, type) and issubclass(here, BaseModel):
            fields = {field.alias or name: field for name, field in here.model_fields.items()}
            if part not in fields:
                return None
            here = fields[part].annotation
        elif typing.get_origin(here) is dict:
            here = typing.get_args(here)[1]
        else:
            return None
        here = next((a for a in typing.get_args(here) if _is_table(a)), here) if _is_union(here) else here
    return here if _is_table(here) else None


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) is not dict and bool(typing.get_args(annotation))


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _sentence(model: type[BaseModel], error: ErrorDetails) -> str:
    place = [part for part in error["loc"] if part != "[key]"]
    path, value = ".".join(map(str, place)), error.get("input")
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            table = table_at(model, place[:-1])
            known = keys_of(table) if table is not None else []
            return f"{path}: there is no such key; {did_you_mean(str(place[-1]), known)}"
        case "missing":
            return f"{path} is missing{_example(model, place)}"
        case "literal_error" | "enum":
            known = [part.strip(" '") for part in context["expected"].replace(" or ", ", ").split(",")]
            return f"{path} is {shorten(value)}; expected one of {', '.join(known)}{_near(value, known)}"
        case "model_type" | "model_attributes_type":
            if len(place) == 2:
                named = f"expected a table with a name: write [{place[0]}.NAME] and the keys below it"
                return f"{path} is {shorten(value)}; {named}"
            return f"{path} is {shorten(value)}; expected a table, [{path}]"
        case "value_error":
            return f"{path} is {shorten(value)}: {context['error']}"
        case "too_short":
            return f"{path}: at least one is needed, written [{path}.NAME]"
        case "string_pattern_mismatch":
            shown = "" if "[key]" in error["loc"] else f" is {shorten(value)}"
            return f"{path}{shown}: a name is a letter, then letters, digits, - and _, 40 characters at most"
        case _:
            message = error["msg"]
            return (
                f"{path} is {shorten(value)}; {message[:1].lower()}{message[1:].replace('input should', 'it should')}"
            )


def _near(value: object, known: Sequence[str]) -> str:
    hint = did_you_mean(value, known) if isinstance(value, str) else ""
    return f"; {hint}" if hint.startswith("did you mean") else ""


def _example(model: type[BaseModel], place: Sequence[Any]) -> str:
    table = table_at(model, place[:-1])
    if table is None:
        return ""
    for name, field in table.model_fields.items():
        if (field.alias or name) == place[-1]:
            schema = table.model_json_schema()["properties"].get(place[-1], {})
            examples = schema.get("examples", [])
            if examples:
                return f"; expected a {schema['title']}, such as {examples[0]!r}"
            if schema.get("type") == "object" or "$ref" in schema:
                named = ".NAME" if "$ref" not in schema else ""
                return f"; write it as a table, [{'.'.join(map(str, place))}{named}]"
            return f"; expected {_KINDS[schema['type']]}" if schema.get("type") in _KINDS else ""
    return ""


_KINDS = {"string": "a text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
          "array": "a list"}  # fmt: skip
"""The types of JSON Schema, in words."""
