"""Figure 9 of the paper: correlation functions by mean-field theory against networks."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from gatefield.analysis import CorrelationFunctions, correlation_functions
from gatefield.cells import GatedRNN
from gatefield.compare import compare
from gatefield.core.results import Status
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.networks import Network
from gatefield.numerics.relaxation import relaxation_time
from gatefield.plotting import plot_correlation, style
from gatefield.theory.dmft import MeanField, solve_dmft

GAIN = 3.0
ROWS = {"a": (0.0, 2.0), "b": (5.0, 2.0)}
"""(alpha_z, alpha_r): without an update gate theory is exact, with one it is sampled."""
QUANTITIES = ("h", "phi", "sigma_r", "sigma_z")
LONGEST = {"a": 30.0, "b": 100.0}
"""Largest lag drawn."""
_FEWEST = 3
_ROUNDING = 1e-9  # of C(0): closer than this nothing is told apart


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    n, networks
        Units of each network, and how many.
    t_max, burn_in
        Duration averaged over, and before it.
    samples, batches
        Of sampled theory.
    """

    n: int
    networks: int
    t_max: float
    burn_in: float
    samples: int
    batches: int


FULL = Size(600, 8, 400.0, 100.0, 1500, 10)
QUICK = Size(300, 5, 300.0, 100.0, 400, 4)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    """Compute Figure 9: theory's correlation functions, and those of networks.

    Parameters
    ----------
    quick
        Small networks, and few of them.
    seed
        Of the first network, and of theory's samples.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        Results "theory_a", "networks_a" and so on.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 9, Eqs. C19-C25.
    """
    size = size or (QUICK if quick else FULL)
    results: dict[str, Any] = {}
    lines = []
    for row, (alpha_z, alpha_r) in ROWS.items():
        cell = GatedRNN(GAIN, alpha_z=alpha_z, alpha_r=alpha_r)
        report(f"({row}) theory")
        theory = solve_dmft(
            cell,
            samples=size.samples,
            batches=size.batches,
            seed=seed,
            progress=False,
            throw=False,
        )
        report(f"({row}) networks")
        sampled = [Network.sample(cell, size.n, seed=seed + k) for k in range(size.networks)]
        networks = correlation_functions(
            sampled,
            size.t_max,
            burn_in=size.burn_in,
            max_lag=LONGEST[row],
            dt=0.1,
            quantities=QUANTITIES,
            seed=seed,
            progress=False,
        )
        results[f"theory_{row}"], results[f"networks_{row}"] = theory, networks
        lines.append(_line(row, theory, networks))
    return FigureResult({}, {}, {}, tuple(lines), results)


def figure(result: FigureResult) -> Figure:
    """Draw Figure 9.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        A row for each pair of gate gains, a panel for each quantity.
    """
    with style():
        shape = (len(ROWS), len(QUANTITIES))
        drawn, axes = plt.subplots(*shape, figsize=(12.0, 5.6), squeeze=False)
        for (row, (alpha_z, alpha_r)), line in zip(ROWS.items(), axes, strict=True):
            pair: Any = (result.results[f"theory_{row}"], result.results[f"networks_{row}"])
            for number, (name, ax) in enumerate(zip(QUANTITIES, line, strict=True)):
                plot_correlation(name, *pair, ax=ax, legend=False)
                if row != list(ROWS)[-1]:
                    ax.set_xlabel("")
                if number == 0:
                    gains = rf"$\alpha_z = {alpha_z:g}$, $\alpha_r = {alpha_r:g}$"
                    ax.set_title(f"({row})  {gains}")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        n = dict(result.results["networks_a"].to_dataset().attrs)["n"]
        labels = [
            rf"single networks, $N = {n}$" if each == "single networks" else each for each in labels
        ]
        drawn.legend(handles, labels, loc="outside lower center", ncols=3)
    return drawn


def _line(row: str, theory: MeanField, networks: CorrelationFunctions) -> str:
    alpha_z, alpha_r = ROWS[row]
    start = (
        f"({row}) g_h = {GAIN:g}, alpha_z = {alpha_z:g}, alpha_r = {alpha_r:g}: theory by "
        f"{theory.method}, residual {float(theory.residual):.1g}; theory | networks of "
        f"N = {networks.n}"
    )
    if theory.status is not Status.OK:
        start += f" (theory ended {theory.status.value})"
    told = [start]
    for name in QUANTITIES:
        parts = [_compared(name, lag, theory, networks) for lag in (0.0, 0.2 * LONGEST[row])]
        told.append(f"C_{name}: " + "; ".join([*parts, _decay(name, theory, networks)]))
    return "\n    ".join(told)


def _compared(name: str, lag: float, theory: MeanField, networks: CorrelationFunctions) -> str:
    place = int(np.argmin(np.abs(networks.lags - lag)))
    predicted = float(theory.at(name, networks.lags[[place]])[0])
    error = float(np.interp(networks.lags[place], theory.lags, theory.standard_error[name]))
    least = (_ROUNDING + float(theory.truncation)) * abs(predicted)
    values = networks.by_network[name][:, place]
    text = f"C({lag:g}) {_with(predicted, error)} | "
    if values.size < _FEWEST:
        return text + f"{values.mean():.4f}"
    found = compare(predicted, values, theory_error=np.hypot(error, least), name=name)
    return (
        text
        + _with(float(found.measured), float(found.standard_error))
        + f" ({float(found.deviation):+.1f}, {verdict(found.agrees)})"
    )


def _decay(name: str, theory: MeanField, networks: CorrelationFunctions) -> str:
    """Say how long both take to fall to 1/e of the way to the value at the last lag."""
    times = [relaxation_time(networks.lags, each) for each in networks.by_network[name]]
    own = relaxation_time(networks.lags, theory.at(name, networks.lags))
    if own == 0 or len(times) < _FEWEST or not np.all(np.isfinite(times)):
        return "constant" if own == 0 else f"relaxation {own:.2f} | {np.mean(times):.2f}"
    error = float(np.std(times, ddof=1) / np.sqrt(len(times)))
    return f"relaxation {own:.2f} | {_with(float(np.mean(times)), error)}"


def _with(value: float, error: float) -> str:
    return f"{value:.4f} +- {error:.4f}" if error > 1e-6 * abs(value) else f"{value:.6f}"
