"""The marginal state of switch-like update gates: the largest exponent against g_h (Sec. IV B)."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from gatefield.cells import GatedRNN
from gatefield.compare import network_rates
from gatefield.figures.base import FigureResult, Report, silent
from gatefield.phases import marginal_line
from gatefield.plotting import plot_exponents, style
from gatefield.theory.dmft import follow_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov

SWITCHES = (10.0, 100.0, 1000.0)
GAINS = (3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
_INSIDE = 5.5
"""Largest gain at which networks are expected to freeze whatever their history: below both ends of
the marginal states by Eq. 8, 6.02 and 6.55."""
_CHAOTIC = 0.02
"""An exponent above counts as chaos: it is twice the largest one that networks were found to have
among the marginal states, .0098 (g_h = 5, alpha_z = 1000, N = 200)."""
_COLOURS = ("#9db4d6", "#3d5a98", "#d62839")


def compute(*, quick: bool = False, seed: int = 0, report: Report = silent) -> FigureResult:
    """Measure the largest exponent of networks whose update gates become switches.

    Parameters
    ----------
    quick
        Fewer, smaller networks.
    seed
        Of the first network.
    report
        Called with what is being computed.

    Returns
    -------
    FigureResult
        Table "exponents" (gate, gain, network), and theory at alpha_z = 0.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Sec. IV B, Eq. 8.
    """
    n, networks, t_max, burn_in = (200, 3, 200.0, 150.0) if quick else (500, 8, 500.0, 500.0)
    gains = GAINS[::2] if quick else GAINS
    rates = np.empty((len(SWITCHES), len(gains), networks))
    for row, alpha_z in enumerate(SWITCHES):
        for column, g_h in enumerate(gains):
            report(f"alpha_z = {alpha_z:g}, g_h = {g_h:g}")
            cell = GatedRNN(g_h, alpha_z=alpha_z)
            rates[row, column] = network_rates(
                cell, n=n, networks=networks, t_max=t_max, burn_in=burn_in, seed=seed
            ).rate
    fine = np.linspace(2.05, 9.5, 40)
    states = follow_dmft([GatedRNN(g) for g in fine])
    theory = np.array([float(mean_field_lyapunov(each).exponent) for each in states])
    ends = {name: float(marginal_line(alpha_r=0.0, method=name)) for name in ("static", "dmft")}
    table = xr.Dataset(
        {
            "exponent": (("alpha_z", "g_h", "network"), rates),
            "theory": (("fine_g_h",), theory),
        },
        coords={"alpha_z": list(SWITCHES), "g_h": list(gains), "fine_g_h": fine},
        attrs={f"marginal_end_{name}": value for name, value in ends.items()} | {"n": n},
    )
    return FigureResult({}, {}, {"exponents": table}, tuple(_lines(table, ends)))


def _lines(table: xr.Dataset, ends: dict[str, float]) -> list[str]:
    """Say how far the exponent falls where theory expects marginal states, and beyond."""
    median = xr.apply_ufunc(np.abs, table["exponent"]).median("network")
    below = median.where(table["g_h"] <= _INSIDE, drop=True).max("g_h")
    each = ", ".join(
        f"{float(value):.4f} at alpha_z = {float(alpha):g}"
        for alpha, value in zip(below["alpha_z"], below, strict=True)
    )
    switch = table["exponent"].isel(alpha_z=-1)
    beyond = switch.where(switch["g_h"] > ends["static"], drop=True)
    chaotic = int((beyond > _CHAOTIC).sum())
    return [
        f"Largest median |lambda_max| for 2 < g_h <= {_INSIDE:g}: {each}; marginal states have 0 "
        "in the limit.",
        f"At alpha_z = {float(switch['alpha_z']):g} and g_h > {ends['static']:.3f} (the end of the "
        f"marginal states from the static variance; {ends['dmft']:.3f} from the chaotic one, both "
        f"by Eq. 8), {chaotic} of {beyond.size} networks are chaotic (lambda_max > {_CHAOTIC:g}); "
        "the others froze. Which happens depends on history.",
    ]


def figure(result: FigureResult) -> Figure:
    """Draw the exponents over g_h, with both values at which Eq. 8 ends the marginal states.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Theory at alpha_z = 0, and the networks of each alpha_z with their medians.
    """
    table = result.tables["exponents"]
    with style():
        drawn, ax = plt.subplots(figsize=(5.6, 3.9))
        plot_exponents(table["fine_g_h"], table["theory"], ax=ax, label=r"theory, $\alpha_z = 0$")
        gains = table["g_h"].to_numpy()
        for colour, alpha_z in zip(_COLOURS, table["alpha_z"].to_numpy(), strict=True):
            values = table["exponent"].sel(alpha_z=alpha_z).to_numpy()
            ax.plot(np.repeat(gains, values.shape[1]), values.ravel(), ".", color=colour, ms=4)
            label = rf"networks, $\alpha_z = {alpha_z:g}$ (median)"
            ax.plot(gains, np.median(values, axis=1), color=colour, lw=1.1, label=label)
        for name, shown in (("dmft", ":"), ("static", "--")):
            end = table.attrs[f"marginal_end_{name}"]
            label = f"Eq. 8, variance of the {'chaotic' if name == 'dmft' else 'static'} state"
            ax.axvline(end, color="#7a7a7a", lw=1, linestyle=shown, label=label)
        ax.set_xlabel(r"gain $g_h$")
        ax.legend(loc="upper left", fontsize=8)
    return drawn
