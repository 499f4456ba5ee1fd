"""What every result shares: a status, labelled quantities, and a way to xarray."""

from __future__ import annotations

import enum
import importlib
from typing import TYPE_CHECKING, Any

import equinox as eqx

if TYPE_CHECKING:
    import xarray


class Status(enum.StrEnum):
    """How a computation ended."""

    OK = "ok"
    DIVERGED = "diverged"
    NOT_CONVERGED = "not converged"
    MAX_STEPS = "maximum number of steps reached"


def quantity(*dims: str, unit: str = "1") -> dict[str, Any]:
    """Name the dimensions and the unit of a result's field: ``eqx.field(metadata=quantity(...))``.

    Parameters
    ----------
    dims
        Names of the array's axes, first to last; a leading ``"..."`` leaves further axes unnamed.
    unit
        Unit of the values; "1" for numbers, "time constant" for the units' own time (of maps,
        "step" is written).

    Returns
    -------
    dict
        Metadata that `AbstractResult.to_dataset` reads.
    """
    return {"dims": dims, "unit": unit}


class AbstractResult(eqx.Module):
    """Base of results: frozen pytrees of host arrays, whose fields are declared by `quantity`."""

    @property
    def time_unit(self) -> str:
        """What time is counted in: "step" for results of maps, which have a true ``is_map``."""
        return "step" if getattr(self, "is_map", False) else "time constant"

    def to_dataset(self) -> xarray.Dataset:
        """Return the result as an `xarray.Dataset` with named dimensions, units and provenance.

        Returns
        -------
        xarray.Dataset
            One variable for each `quantity` of the result; everything else becomes an attribute.
        """
        # `io` stands above this layer: it is looked up when called, so that imports go down only.
        return importlib.import_module("gatefield.io").to_dataset(self)
