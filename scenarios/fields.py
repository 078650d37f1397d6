"""Field types of scenario files: quantities that are written with units, and the base of all tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from scenarios import quantities


class Table(BaseModel):
    """A table of a scenario file: read-only, without keys that nobody reads, and without conversions nobody sees."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _quantity(kind: str, parse: Callable[[str], Any], write: Callable[[Any], str]) -> tuple[Any, ...]:
    schema = {"type": "string", "title": kind, "examples": [quantities.EXAMPLES[kind]]}
    return BeforeValidator(parse), PlainSerializer(write), WithJsonSchema(schema)


Size = Annotated[int, *_quantity("size", quantities.parse_size, quantities.size_text)]
"""Bytes, written as "100 GiB"."""
Bandwidth = Annotated[int, *_quantity("bandwidth", quantities.parse_bandwidth, quantities.bandwidth_text)]
"""Bytes a second, written as "10 Gb/s"."""
Time = Annotated[int, *_quantity("time", quantities.parse_time, quantities.time_text)]
"""Nanoseconds, written as "5 ms"."""
Rate = Annotated[float, *_quantity("rate", quantities.parse_rate, quantities.rate_text)]
"""Events a second, written as "2000 /s"."""
