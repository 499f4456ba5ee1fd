"""Results as plain JSON, which every reader takes."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult


def to_plain(value: Any) -> Any:
    """Return a value as what standard JSON has: objects, lists, strings, numbers, true, null.

    Parameters
    ----------
    value
        A result of gatefield, or numbers, arrays, strings, sequences and mappings of them.

    Returns
    -------
    Any
        A result becomes an object: "result" names its class, "units" its quantities that have a
        unit, then come its fields. A value that is not known (NaN) is null, infinity the string
        "Infinity" or "-Infinity", since JSON has no number for it; an array is a list of lists.

    Raises
    ------
    InvalidInputError
        For anything else.
    """
    if isinstance(value, AbstractResult):
        fields = dataclasses.fields(value)
        units = {each.name: _unit(value, each) for each in fields if _unit(value, each) != "1"}
        own = {each.name: to_plain(getattr(value, each.name)) for each in fields}
        return {"result": type(value).__name__} | ({"units": units} if units else {}) | own
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return _number(float(value))
    if isinstance(value, Mapping):
        return {str(name): to_plain(each) for name, each in value.items()}
    if hasattr(value, "_asdict"):
        return to_plain(value._asdict())
    if isinstance(value, (list, tuple)):
        return [to_plain(each) for each in value]
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        refuse("value", type(value).__name__, "numbers, text or a result", "JSON has no others.")
    return to_plain(array.tolist())


def _number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _unit(result: AbstractResult, field: dataclasses.Field[Any]) -> str:
    unit = str(field.metadata.get("unit", "1"))
    return unit.replace("time constant", result.time_unit)
