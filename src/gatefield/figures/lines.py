"""What figures of the largest exponent share: its line through theory, with networks beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from gatefield.cells import AbstractCell
from gatefield.compare import Station, belonging, theory_states, variance_of
from gatefield.core.types import HostArray
from gatefield.figures.base import verdict
from gatefield.plotting import STATE_LINES, plot_exponents, plot_measured_exponents
from gatefield.theory.lyapunov import MeanFieldLyapunov

Row = tuple[str, float, float, float]
"""Kind of state (of `STATE_LINES`), the parameter, the exponent, C_h(0)."""


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    sizes
        Units of the networks; the last are drawn.
    networks
        Networks of each size at each value.
    lines
        Values of the parameter for theory's line, or for each part of it.
    values
        Where networks are simulated.
    t_max, burn_in
        Duration of the measurement, and before it.
    """

    sizes: tuple[int, ...]
    networks: int
    lines: int
    values: tuple[float, ...]
    t_max: float
    burn_in: float


def station_text(one: Station, name: str) -> str:
    """Say for each state what the networks gave, and whether they agree."""
    told = []
    largest, comparisons = max(one.rates), one.comparisons
    masks = belonging(one.states, one.largest)
    for state, mask, found in zip(one.states, masks, comparisons, strict=True):
        theory, rates = float(state.exponent), one.largest.rate[mask]
        if rates.size == 0:
            continue
        error = rates.std(ddof=1) / np.sqrt(rates.size) if rates.size > 1 else np.nan
        kind = "moving" if state.mean_field.fluctuates else "at rest"
        part = f"{kind} {theory:.4f} | {rates.mean():.4f} +- {error:.4f} ({rates.size} of "
        part += f"{mask.size} at N = {largest})"
        if found is not None:
            part += (
                f", N -> inf {float(found.measured):.4f} +- {float(found.standard_error):.4f}: "
                f"{float(found.deviation):+.1f} standard errors, {verdict(found.agrees)}"
            )
        told.append(part)
    return f"{name} = {one.value:g}: " + "; ".join(told)


def stations_table(name: str, found: Sequence[Station]) -> xr.Dataset:
    """Return the networks of stations as a dataset with dimensions parameter, n, network."""
    sizes = list(found[0].rates)
    dims = (name, "n", "network")
    units = {"rate": "1 / time constant", "error": "1 / time constant"}
    columns: dict[str, Any] = {
        key: (
            dims,
            np.array([[one.rates[n].columns[key] for n in sizes] for one in found]),
            {"units": units.get(key, "1")},
        )
        for key in found[0].largest.columns
    }
    described = {"description": "of those of the largest n, not at rest"}
    columns["moving"] = ((name, "network"), np.array([one.moving for one in found]), described)
    return xr.Dataset(columns, {name: [one.value for one in found], "n": sizes})


def coexisting_rows(cells: Mapping[float, AbstractCell], fold: float) -> list[Row]:
    """Return both moving states beside a stable fixed point, where theory finds both.

    Parameters
    ----------
    cells
        By the parameter's value, ascending from the fold.
    fold
        Where both states meet. They leave each other as a square root, so that their mean at the
        nearest value is what both have there, to first order in the distance.
    """
    rows: list[Row] = []
    for value, cell in cells.items():
        moving = [one for one in theory_states(cell) if one.mean_field.fluctuates]
        if len(moving) < 2:
            continue
        pair = (moving[0], moving[-1])
        if not rows:
            exponent = 0.5 * sum(float(one.exponent) for one in pair)
            variance = 0.5 * sum(variance_of(one) for one in pair)
            rows += [(kind, fold, exponent, variance) for kind in ("divides", "moving")]
        for kind, one in zip(("divides", "moving"), pair, strict=True):
            rows += rows_of(kind, [value], [one])
    return rows


def rows_of(
    kind: str, values: Sequence[float] | HostArray, states: Sequence[MeanFieldLyapunov]
) -> list[Row]:
    """Return states along a line as rows; the line may end before the values do."""
    return [
        (kind, float(value), float(state.exponent), variance_of(state))
        for value, state in zip(values, states, strict=False)
    ]


def line_table(name: str, rows: Sequence[Row], **attributes: float) -> xr.Dataset:
    """Return rows as a dataset, sorted by the parameter within each kind."""
    ordered = sorted(rows, key=lambda row: (list(STATE_LINES).index(row[0]), row[1]))
    kinds, values, exponents, variances = zip(*ordered, strict=True)
    return xr.Dataset(
        {
            name: ("point", list(values)),
            "kind": ("point", list(kinds)),
            "exponent": ("point", list(exponents), {"units": "1 / time constant"}),
            "variance": ("point", list(variances), {"description": "C_h(0)"}),
        },
        attrs=attributes,
    )


def plot_line(
    name: str,
    table: xr.Dataset,
    networks: xr.Dataset,
    *,
    ax: Axes,
    colour: str,
    shift: float = 0.0,
) -> Axes:
    """Draw theory's lines of each kind and the largest networks, and return the axes.

    Parameters
    ----------
    name
        The parameter.
    table, networks
        From `line_table` and `stations_table`.
    ax
        Where to draw.
    colour
        Of everything but the fixed point's line, which is black.
    shift
        Moves the networks sideways, where those of several lines would hide each other.
    """
    look: dict[str, Any] = {"ax": ax, "colour": colour, "label": "_"}
    for kind, dash in STATE_LINES.items():
        chosen = (table["kind"] == kind).values
        if chosen.any():
            line = table[name].values[chosen], table["exponent"].values[chosen]
            own = {**look, "colour": "black"} if kind == "rest" else look
            plot_exponents(*line, linestyle=dash, **own)
    rates, moving = networks["rate"].isel(n=-1).values, networks["moving"].values
    places = networks[name].values + shift
    plot_measured_exponents(places, np.where(moving, rates, np.nan), **look)
    plot_measured_exponents(places, np.where(moving, np.nan, rates), hollow=True, **look)
    return ax
