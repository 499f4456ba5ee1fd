"""Lyapunov spectra and dimensions of networks along a parameter, for panels (a)-(c) of Figure 3."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from gatefield.analysis.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from gatefield.cells import GatedRNN
from gatefield.compare import FEWEST, with_error
from gatefield.core.types import HostArray
from gatefield.figures.base import Report
from gatefield.networks import Network
from gatefield.plotting.exponent_spectra import plot_exponent_spectrum

NEAR = 0.05
"""Exponents at most so far from zero count as near to it."""
DISTINCT = 3.0
"""Standard errors between two means that are told apart."""
_STEP = 0.1


class SpectrumSize(NamedTuple):
    """How much is computed of Lyapunov spectra.

    Attributes
    ----------
    n, networks
        Units of each network, and how many.
    values
        Where dimensions are measured.
    t_max, burn_in
        Duration of the measurement, and before it.
    """

    n: int
    networks: int
    values: tuple[float, ...]
    t_max: float
    burn_in: float


def spectra_of(
    cell: GatedRNN, size: SpectrumSize, *, k: int | None, seed: int
) -> list[LyapunovSpectrum]:
    """Return the spectra of networks of a cell; perturbations in single precision."""
    return [
        lyapunov_spectrum(
            Network.sample(cell, size.n, seed=seed + number),
            k,
            t_max=size.t_max,
            burn_in=size.burn_in,
            dt=_STEP,
            frame_dtype="float32",
            seed=seed + number,
            progress=False,
        )
        for number in range(size.networks)
    ]


def spectra_table(name: str, found: dict[float, list[LyapunovSpectrum]]) -> xr.Dataset:
    """Return spectra as a dataset with dimensions parameter, network, rank.

    Parameters
    ----------
    name
        The parameter.
    found
        Networks by its value; all with equally many exponents.
    """
    rows = list(found.values())
    rate = {"units": "1 / time constant"}
    columns: dict[str, Any] = {
        each: (
            (name, "network", "rank"),
            np.array([[getattr(one, each) for one in row] for row in rows]),
            rate,
        )
        for each in ("exponents", "standard_errors")
    }
    measures = {"kaplan_yorke_dimension": "1", "kaplan_yorke_error": "1"}
    measures |= {"entropy_rate": rate["units"], "precision_error": rate["units"]}
    for each, unit in measures.items():
        values = np.array([[float(getattr(one, each)) for one in row] for row in rows])
        columns[each] = ((name, "network"), values, {"units": unit})
    first = rows[0][0]
    sizes = {"n": first.state.shape[1], "complete": int(first.complete)}
    ranks = np.arange(1, first.exponents.size + 1)
    return xr.Dataset(columns, {name: list(found), "rank": ranks}, sizes)


def spectra_along(
    name: str,
    cells: dict[float, GatedRNN],
    size: SpectrumSize,
    *,
    k: int | None = None,
    known: Mapping[float, list[LyapunovSpectrum]] = MappingProxyType({}),
    seed: int = 0,
    report: Report,
) -> dict[float, list[LyapunovSpectrum]]:
    """Measure the spectra of networks of several cells.

    Parameters
    ----------
    name, cells
        The parameter, and the cells by its value.
    size
        How much.
    k
        How many exponents; by default all.
    known
        Spectra that are there already, by the parameter's value.
    seed
        Of the first network.
    report
        Called with what is being computed.

    Returns
    -------
    dict
        The networks by the parameter's value.
    """
    found = dict(known)
    for value, cell in cells.items():
        report(f"Lyapunov spectra at {name} = {value:g}")
        if value not in found:
            found[value] = spectra_of(cell, size, k=k, seed=seed)
    return {value: found[value] for value in cells}


def plot_spectra(table: xr.Dataset, name: str, colours: Sequence[str], *, ax: Axes) -> Axes:
    """Draw the spectra of a table, a colour for each value of the parameter."""
    n, symbol = table.attrs["n"], rf"\alpha_{name[-1]}"
    ranks = table["rank"].values / n
    for value, colour in zip(table[name].values, colours, strict=True):
        one = table["exponents"].sel({name: value}).values
        label = rf"${symbol} = {value:g}$"
        plot_exponent_spectrum(one, ranks=ranks, ax=ax, colour=colour, label=label)
    ax.set_xlabel("rank $i / N$")
    return ax


def plot_dimensions(
    table: xr.Dataset, name: str, *, ax: Axes, colour: str, label: str, shift: float = 0.0
) -> Axes:
    """Draw the dimension per unit: each network a faint dot, the mean with its error."""
    y = table["kaplan_yorke_dimension"].values / table.attrs["n"]
    x = table[name].values + shift
    faint: dict[str, Any] = {"color": colour, "markersize": 4.0, "alpha": 0.4, "markeredgewidth": 0}
    ax.plot(np.repeat(x, y.shape[1]), y.ravel(), ".", **faint)
    error = y.std(axis=1, ddof=1) / np.sqrt(y.shape[1]) if y.shape[1] > 1 else None
    look: dict[str, Any] = {"color": colour, "markersize": 4.5, "capsize": 2, "linewidth": 1.1}
    ax.errorbar(x, y.mean(axis=1), yerr=error, fmt="o-", label=label, **look)
    return ax


def near_zero(table: xr.Dataset) -> HostArray:
    """Return the number of exponents near zero of each network, per unit, (value, network)."""
    near = np.abs(table["exponents"].values) <= NEAR
    return near.sum(axis=-1) / table.attrs["n"]


def steps_text(values: HostArray, measured: HostArray, *, rising: str) -> str:
    """Say the means along a parameter, and whether each step up is beyond the scatter.

    Parameters
    ----------
    values
        Of the parameter, ascending.
    measured
        (value, network).
    rising
        What the paper says that it does, such as "more near zero".
    """
    mean, count = measured.mean(axis=1), measured.shape[1]
    error = measured.std(axis=1, ddof=1) / np.sqrt(count) if count >= FEWEST else mean * np.nan
    told = ", ".join(
        f"{with_error(float(each), float(wide))} at {value:g}"
        for value, each, wide in zip(values, mean, error, strict=True)
    )
    if count < FEWEST:
        return f"{told}: fewer than {FEWEST} networks, nothing is called agreement"
    apart = np.diff(mean) / np.maximum(np.hypot(error[1:], error[:-1]), 1e-300)
    scores = ", ".join(f"{each:+.1f}" for each in apart)
    said = f"{told}; steps of {scores} standard errors: "
    if np.all(apart > DISTINCT):
        return said + f"{rising}, agrees"
    if np.any(apart < -DISTINCT):
        return said + f"{rising}, DISAGREES"
    return said + f"{rising}, not shown beyond the scatter at every step"


def raised_ranks(table: xr.Dataset, name: str) -> tuple[float, float]:
    """Return the parts of all exponents that the last value of a parameter raises, and lowers.

    Parts of the ranks at which the means at the first and the last value are told apart.
    """
    low, high = (table["exponents"].isel({name: place}).values for place in (0, -1))
    difference = high.mean(axis=0) - low.mean(axis=0)
    spread = np.hypot(high.std(axis=0, ddof=1), low.std(axis=0, ddof=1)) / np.sqrt(len(low))
    return (
        float(np.mean(difference > DISTINCT * spread)),
        float(np.mean(difference < -DISTINCT * spread)),
    )
