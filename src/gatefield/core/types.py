"""The names of array axes, and the types that annotate public arrays.

Axes: ``unit`` (N), ``component`` (d, of one unit's state), ``field`` (K coupling fields),
``drive`` (external inputs), ``time`` (T), ``sample`` (S).
"""

from __future__ import annotations

from typing import Any, TypeAlias

from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Complex, Float, Int
from numpy import ndarray

Unit: TypeAlias = dict[str, Any]
"""Named scalars of one unit: its state, its coupling fields, its external inputs, its outputs."""

States: TypeAlias = Float[Array, "component unit"]
Fields: TypeAlias = Float[Array, "field unit"]
Drives: TypeAlias = Float[Array, "drive unit"]

HostArray: TypeAlias = ndarray

__all__ = [
    "Array",
    "ArrayLike",
    "Bool",
    "Complex",
    "Drives",
    "Fields",
    "Float",
    "HostArray",
    "Int",
    "States",
    "Unit",
]
