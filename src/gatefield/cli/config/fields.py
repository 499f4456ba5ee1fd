"""Kinds of options that several commands share."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import AfterValidator, Field, FiniteFloat

Format = Literal["png", "pdf", "svg"]
Positive = Annotated[FiniteFloat, Field(gt=0)]
NotNegative = Annotated[FiniteFloat, Field(ge=0)]
Formats = Annotated[list[Format], Parameter(negative=())]
FEWEST = 3
"""`gatefield.compare.harness.FEWEST`, which would import JAX before ``--help`` can answer."""


def default_formats() -> list[Format]:
    """Return the formats that figures are written in unless told otherwise."""
    return ["png", "pdf"]


def _file_name(name: str) -> str:
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"expected a file name, got {name!r}. Use --output for folders.")
    return name


FileName = Annotated[str, AfterValidator(_file_name)]


def ascending_numbers(text: str) -> tuple[float, ...]:
    """Return the numbers of "value,value,..." or "from:to:number".

    Raises
    ------
    ValueError
        If the text cannot be read, or the numbers are not finite or do not ascend.
    """
    if ":" in text:
        low, high, number = text.split(":")
        count, first, last = int(number), float(low), float(high)
        if count < 2:
            raise ValueError
        step = (last - first) / (count - 1)
        values = tuple(first + step * k for k in range(count))
    else:
        values = tuple(float(part) for part in text.split(","))
    ascend = all(a < b for a, b in zip(values[:-1], values[1:], strict=True))
    if not (ascend and math.isfinite(sum(values))):
        raise ValueError
    return values
