"""The exponent of the vanilla network as a bound state: Eqs. 10-11 where there are no gates."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import make_interp_spline
from scipy.linalg import eigh_tridiagonal

from gatefield.cells import VanillaRNN
from gatefield.compare import Station, stations
from gatefield.core.types import Float, HostArray
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.figures.lines import Size, station_text, stations_table
from gatefield.plotting import (
    plot_exponents,
    plot_measured_exponents,
    plot_schroedinger,
    style,
)
from gatefield.theory.dmft import solve_dmft
from gatefield.theory.dmft.packing import unpacked
from gatefield.theory.lyapunov import MeanFieldLyapunov, lyapunov_bounds, mean_field_lyapunov

GAINS = {"a": 1.2, "b": 1.5, "c": 2.5}
"""Gains g of the wells; chaos begins at 1."""
REFERENCE = (2.0, 0.11245811)
"""An exponent computed apart from this package, by quadrature of the potential: g, lambda."""
_WIDEST = 6.0  # widths of the ground state that are drawn
_GRID = 4001
_AGREES = 1e-4  # of the depth of the well: twice what the grid's second differences miss


FULL = Size((250, 500, 1000), 8, 25, (1.3, 1.6, 2.0, 2.5, 2.9), 200.0, 100.0)
QUICK = Size((200, 400), 4, 9, (1.5, 2.0, 2.8), 100.0, 50.0)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    r"""Compute the potential, its ground state and the exponent of the vanilla network.

    A perturbation's covariance obeys a Schroedinger equation in the lag,

    .. math:: [-\partial_\tau^2 + W(\tau)]\,X_h = E_0 X_h, \quad
        W = 1 - C_{\phi'}(\tau), \quad E_0 = 1 - (1+\lambda)^2 ,

    whose first excited state :math:`\dot C_h` has energy zero: the ground state lies below, and
    lambda is positive, wherever a moving state exists.

    Parameters
    ----------
    quick
        Small networks, and few of them.
    seed
        Of the first network.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        Tables "well_a" to "well_c", "line" and "networks" (d).

    References
    ----------
    Sompolinsky, Crisanti and Sommers, Phys. Rev. Lett. 61, 259 (1988). Krishnamurthy, Can and
    Schwab, Phys. Rev. X 12, 011011 (2022), Sec. V A 1, Appendix F.
    """
    size = size or (QUICK if quick else FULL)
    tables: dict[str, xr.Dataset] = {}
    lines = []
    for panel, gain in GAINS.items():
        report(f"({panel}) potential at g = {gain:g}")
        tables[f"well_{panel}"] = _well(gain)
        lines.append(_well_line(panel, tables[f"well_{panel}"]))
    report("(d) theory")
    tables["line"] = _theory_line(size)
    found = stations(
        {gain: VanillaRNN(gain) for gain in size.values},
        size.sizes,
        networks=size.networks,
        t_max=size.t_max,
        burn_in=size.burn_in,
        seed=seed,
        report=lambda text: report(f"(d) g = {text}"),
    )
    tables["networks"] = stations_table("g", found)
    lines.append(_exponent_line(tables["line"], found))
    return FigureResult({}, {}, tables, tuple(lines))


def figure(result: FigureResult) -> Figure:
    """Draw the wells and the exponent.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        (a) to (c) potentials with their ground states, (d) the exponent against g.
    """
    with style():
        drawn, axes = plt.subplots(1, 4, figsize=(13.0, 3.9), width_ratios=(1, 1, 1, 1.25))
        for ax, (panel, gain) in zip(axes, GAINS.items(), strict=False):
            well = result.tables[f"well_{panel}"]
            shown = well.sel(lag=slice(0, _WIDEST * well.attrs["width"]))
            energy = well.attrs["energy"]
            columns = (shown["lag"], shown["potential"], shown["mode"])
            plot_schroedinger(*columns, energy, ax=ax, legend=False)
            exponent = well.attrs["exponent"]
            ax.set_title(rf"({panel})  $g = {gain:g}$,  $\lambda = {exponent:.4f}$")
            if panel != "a":
                ax.set_ylabel("")
        handles, labels = axes[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower left", ncols=4)
        _draw_line(axes[-1], result.tables)
    return drawn


def potential(found: MeanFieldLyapunov, lags: Float[HostArray, " lag"]) -> Float[HostArray, " lag"]:
    """Return W = 1 - C_phi' of a vanilla network's moving state at any lags up to the last."""
    form, _, C = unpacked(found.mean_field)
    between = make_interp_spline(found.mean_field.lags, C[0], k=5)
    start = float(C[0, 0])
    return 1.0 - form.phi(np.minimum(between(lags), start), start)[1]


def bound_states(
    lags: Float[HostArray, " lag"], wall: Float[HostArray, " lag"]
) -> tuple[float, float]:
    """Return the energies of the lowest even and odd states, by second differences on half a line.

    Parameters
    ----------
    lags
        Evenly spaced, from 0 to where the states have decayed.
    wall
        The potential there.
    """
    step = lags[1] - lags[0]
    levels = []
    for first in (0, 1):
        inside = wall[first:-1]
        side = np.full(inside.size - 1, -1.0 / step**2)
        if first == 0:
            # Even states: X(-step) = X(step), made symmetric.
            side[0] *= np.sqrt(2.0)
        diagonal = inside + 2.0 / step**2
        found = eigh_tridiagonal(diagonal, side, eigvals_only=True, select="i", select_range=(0, 0))
        levels.append(float(found[0]))
    return levels[0], levels[1]


def _well(gain: float) -> xr.Dataset:
    found = mean_field_lyapunov(solve_dmft(VanillaRNN(gain)))
    lags = np.linspace(0.0, float(found.lags[-1]), _GRID)
    wall = potential(found, lags)
    even, odd = bound_states(lags, wall)
    mode = make_interp_spline(found.lags, found.mode, k=5)(lags)
    exponent = float(found.exponent)
    width = float(np.sqrt(np.trapezoid(lags**2 * mode**2, lags) / np.trapezoid(mode**2, lags)))
    return xr.Dataset(
        {"potential": ("lag", wall), "mode": ("lag", mode)},
        {"lag": ("lag", lags, {"units": "time constant"})},
        {
            "g": gain,
            "exponent": exponent,
            "energy": 1.0 - (1.0 + exponent) ** 2,
            "even": even,
            "odd": odd,
            "width": width,
        },
    )


def _theory_line(size: Size) -> xr.Dataset:
    # Just above 1 the states are slow: theory's line starts at zero there.
    gains = 1.0 + 2.0 * np.linspace(0, 1, size.lines)[1:] ** 1.5
    rows = [(1.0, 0.0, 0.0, 0.0)]
    for gain in gains:
        solution = solve_dmft(VanillaRNN(gain))
        bounds = lyapunov_bounds(solution)
        exponent = float(mean_field_lyapunov(solution).exponent)
        rows.append((gain, exponent, float(bounds.lower_gaussian), float(bounds.upper)))
    columns = dict(zip(("g", "exponent", "lower", "upper"), np.array(rows).T, strict=True))
    exact = mean_field_lyapunov(solve_dmft(VanillaRNN(REFERENCE[0])))
    attributes = {"g_reference": REFERENCE[0], "exponent_there": float(exact.exponent)}
    return xr.Dataset({name: ("point", each) for name, each in columns.items()}, attrs=attributes)


def _draw_line(ax: Axes, tables: Any) -> None:
    line, networks = tables["line"], tables["networks"]
    gains = line["g"].values
    look: dict[str, Any] = {"color": "#3d5a98", "alpha": 0.15, "lw": 0}
    ax.fill_between(gains, line["lower"], line["upper"], label="bounds (App. F)", **look)
    plot_exponents(gains, line["exponent"], ax=ax)
    n = int(networks["n"][-1])
    rates = networks["rate"].isel(n=-1)
    plot_measured_exponents(networks["g"], rates, ax=ax, label=rf"networks, $N = {n}$")
    ax.set_xlabel(r"gain $g$")
    ax.set_title("(d)  the exponent")
    ax.legend(loc="upper left")


def _well_line(panel: str, table: xr.Dataset) -> str:
    at = table.attrs
    depth = abs(float(table["potential"].min()))
    off = abs(at["even"] - at["energy"])
    good = verdict(off <= _AGREES * depth)
    return (
        f"({panel}) g = {at['g']:g}: lambda = {at['exponent']:.6f}; E_0 = 1 - (1 + lambda)^2 = "
        f"{at['energy']:.6f}, by second differences of W {at['even']:.6f}: {good}; first excited "
        f"state, exactly 0: {at['odd']:+.1e}; W(0) = {float(table['potential'][0]):.4f}"
    )


def _exponent_line(line: xr.Dataset, found: list[Station]) -> str:
    inside = (line["lower"] <= line["exponent"] + 1e-12) & (line["exponent"] <= line["upper"])
    gain, reference = REFERENCE
    own = line.attrs["exponent_there"]
    start = (
        f"(d) the exponent lies {'within' if bool(inside.all()) else 'OUTSIDE'} the bounds of "
        f"Appendix F at all {line.sizes['point']} gains; g = {gain:g}: {own:.8f}, by quadrature "
        f"{reference:.8f}"
    )
    return "\n    ".join([start, *(station_text(one, "g") for one in found)])
