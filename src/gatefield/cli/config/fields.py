"""Kinds of options that several commands share."""

from __future__ import annotations

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
