"""Figure 9 of the paper: correlation functions by mean-field theory against networks."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from gatefield.analysis import CorrelationFunctions, correlation_functions
from gatefield.cells import GatedRNN
from gatefield.compare import Measure, correlation_measures, last_lag, with_error
from gatefield.core.results import Status
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.networks import Network
from gatefield.plotting import plot_correlation, style
from gatefield.theory.dmft import MeanField, solve_dmft

GAIN = 3.0
ROWS = {"a": (0.0, 2.0), "b": (5.0, 2.0)}
"""(alpha_z, alpha_r): without an update gate theory is exact, with one it is sampled."""
QUANTITIES = ("h", "phi", "sigma_r", "sigma_z")
LONGEST = {"a": 30.0, "b": 100.0}
"""Largest lag drawn."""


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
        networks: Any = result.results["networks_a"]
        n = networks.n
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
    lags = networks.lags[networks.lags <= last_lag(theory) * (1 + 1e-9)]
    for name in QUANTITIES:
        found = correlation_measures(name, theory, networks, lags, at=0.2 * LONGEST[row])
        constant = [] if len(found) == 3 else ["constant"]
        told.append(f"C_{name}: " + "; ".join([*map(_beside, found), *constant]))
    return "\n    ".join(told)


def _beside(one: Measure) -> str:
    """Say theory's number, the networks', and whether they agree where that can be told."""
    measured = with_error(float(one.networks.mean()), one.spread)
    text = f"{one.name} {with_error(one.theory, one.error)} | {measured}"
    found = one.comparison
    if found is None:
        return text
    return text + f" ({float(found.deviation):+.1f}, {verdict(found.agrees)})"
