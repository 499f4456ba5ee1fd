"""Gradients: adjoint mean-field theory against networks that were differentiated."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatefield.cells import GRU, LSTM, AbstractCell, GatedRNN, VanillaRNN
from gatefield.compare import GradientComparison, compare_gradients, with_error
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.figures.gradient_panels import (
    LossSize,
    dependent_line,
    dependent_table,
    draw_dependent,
    draw_growth,
    growth_line,
    growth_table,
)
from gatefield.plotting import plot_adjoint, plot_gradient_ratios, style
from gatefield.theory.adjoint import solve_adjoint
from gatefield.theory.static import solve_static

STATES: dict[str, tuple[str, AbstractCell, float]] = {
    "stable": (r"stable, $g_h = 1.5$", GatedRNN(1.5, alpha_z=1.0, alpha_r=1.0), 15.0),
    "marginal": (
        r"near marginal, $g_h = 2.5$, $\beta_h = 0.5$",
        GatedRNN(2.5, alpha_z=1.0, alpha_r=1.0, beta_h=0.5),
        15.0,
    ),
    "chaotic": (r"chaotic, $g_h = 3$", GatedRNN(3.0, alpha_z=2.0, alpha_r=2.0), 15.0),
}
CELLS: dict[str, tuple[str, AbstractCell, float]] = {
    "gru": ("GRU", GRU(gain_r=2.0, gain_z=2.0, gain_n=3.0), 15.0),
    "lstm": ("LSTM", LSTM(gain_i=3.0, gain_f=3.0, gain_g=6.0, gain_o=3.0), 15.0),
    "vanilla": ("vanilla RNN", VanillaRNN(2.0), 10.0),
}
"""What is drawn, the cell, and the horizon: (a) the zero state, a fixed point that is not zero and
whose leading edge is -0.03, and chaos; (b) other cells in chaos. The paper's published version has
no figure of gradients, from which values could be taken."""

SIZED = ("chaotic", "gru", "lstm")
"""Whose gradients by every coupling matrix and parameter are drawn."""

_COLOURS = ("#3d5a98", "#e08a00", "#2a7f62")


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    n, networks
        Units of each network, and how many.
    burn_in
        Before gradients are measured.
    samples, batches
        Of sampled theory.
    readouts
        Of each network.
    gains
        Values of g_h in panel (c), and networks there.
    growth_n, growth_networks
        Networks of panel (c).
    loss
        Of panel (e).
    """

    n: int
    networks: int
    burn_in: float
    samples: int
    batches: int
    readouts: int
    gains: tuple[float, ...]
    growth_n: int
    growth_networks: int
    loss: LossSize


FULL = Size(
    1000,
    16,
    150.0,
    2000,
    8,
    4,
    (1.0, 1.2, 1.4, 1.6, 1.8, 2.4, 2.7, 3.0, 3.5, 4.0, 5.0),
    600,
    8,
    LossSize(6.0, 2000, 8, 1000, 16),
)
QUICK = Size(300, 5, 80.0, 600, 4, 2, (1.4, 1.7, 3.5, 5.0), 250, 4, LossSize(5.0, 800, 4, 300, 6))


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    """Compute mean squared gradients by theory and in networks, and where theory must fail.

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
        Results "theory_stable", "networks_stable" and so on (a, b, d), and "dependent" (e); tables
        "growth" (c) and "dependent_networks" (e).

    References
    ----------
    Krishnamurthy, Can and Schwab, arXiv:2007.14823, version 3: the adjoint mean field.
    """
    size = size or (QUICK if quick else FULL)
    results: dict[str, Any] = {}
    found: dict[str, GradientComparison] = {}
    for panel, rows in (("a", STATES), ("b", CELLS)):
        for name, (_, cell, horizon) in rows.items():

            def said(text: str, panel: str = panel, name: str = name) -> None:
                report(f"({panel}) {name}: {text}")

            one = _compared(cell, horizon, size, seed, said)
            found[name] = one
            results[f"theory_{name}"], results[f"networks_{name}"] = one.theory, one
    growth = growth_table(
        size.gains,
        n=size.growth_n,
        networks=size.growth_networks,
        samples=size.samples,
        batches=size.batches,
        seed=seed,
        report=lambda text: report(f"(c) {text}"),
    )
    dependent, by_network = dependent_table(
        size.loss, seed=seed, report=lambda text: report(f"(e) {text}")
    )
    results["dependent"] = dependent
    lines = (
        *(adjoint_line("a", name, found[name]) for name in STATES),
        *(adjoint_line("b", name, found[name]) for name in CELLS),
        growth_line(growth),
        *(sizes_line(name, found[name]) for name in SIZED),
        dependent_line(dependent, by_network),
    )
    tables = {"growth": growth, "dependent_networks": by_network}
    return FigureResult({}, {}, tables, lines, results)


def figure(result: FigureResult) -> Figure:
    """Draw it.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Panels (a) to (e); (d) has an axis for each cell.
    """
    with style():
        drawn = plt.figure(figsize=(11.5, 9.6))
        axes = drawn.subplot_mosaic(
            [
                ["a", "a", "b", "b", "c", "c"],
                ["d0", "d0", "d0", "d1", "d1", "d1"],
                ["d2", "d2", "d2", "e", "e", "e"],
            ]
        )
        _draw_adjoints(axes["a"], STATES, result)
        measured: Any = result.results["networks_stable"]
        axes["a"].set_title(rf"(a)  gated RNN; dots: networks, $N = {measured.sizes[-1]}$")
        _draw_adjoints(axes["b"], CELLS, result)
        axes["b"].set_title("(b)  other cells, in chaos")
        axes["b"].set_xlabel("time before the end\n(steps of maps; time constants)")
        draw_growth(axes["c"], result.tables["growth"])
        axes["c"].set_title(r"(c)  gated RNN, $\alpha_z = \alpha_r = 0$")
        every = {**STATES, **CELLS}
        for number, name in enumerate(SIZED):
            ax, networks = axes[f"d{number}"], result.results[f"networks_{name}"]
            if isinstance(networks, GradientComparison) and networks.comparisons():
                plot_gradient_ratios(networks, ax=ax)
            what = every[name][0] if name in CELLS else f"gated RNN, {every[name][0]}"
            ax.set_title(f"(d)  {what}")
        draw_dependent(axes["e"], result.results["dependent"], result.tables["dependent_networks"])
        axes["e"].set_title(r"(e)  loss $|h(T)|^2/2$: independence fails")
    return drawn


def _compared(
    cell: AbstractCell, horizon: float, size: Size, seed: int, report: Report
) -> GradientComparison:
    options: dict[str, Any] = {
        "samples": size.samples,
        "batches": size.batches,
        "seed": seed,
    }
    return compare_gradients(
        cell,
        n=size.n,
        networks=size.networks,
        burn_in=size.burn_in,
        readouts=size.readouts,
        report=report,
        **_theory(cell, horizon, options),
        **options,
    )


def _theory(cell: AbstractCell, horizon: float, options: dict[str, Any]) -> dict[str, Any]:
    """Return the closed form where a fixed point is all there is; otherwise the horizon alone."""
    if isinstance(cell, GatedRNN):
        branches = solve_static(cell)
        if len(branches) == 1 and bool(branches[0].stable):
            return {"theory": solve_adjoint(branches[0], horizon, progress=False, **options)}
    return {"horizon": horizon}


def _draw_adjoints(ax: Axes, rows: dict[str, Any], result: FigureResult) -> None:
    for colour, (name, (label, _, _)) in zip(_COLOURS, rows.items(), strict=True):
        pair: Any = (result.results[f"theory_{name}"], result.results[f"networks_{name}"])
        look: dict[str, Any] = {"colour": colour, "network_colour": colour}
        plot_adjoint(*pair, ax=ax, label=label, network_label="_", **look)
    ax.set_xlim(0, max(row[2] for row in rows.values()))
    ax.legend(loc="best")


def adjoint_line(panel: str, name: str, one: GradientComparison) -> str:
    """Say how the adjoint's size at the end of the horizon, and its growth, compare.

    Parameters
    ----------
    panel, name
        Where it is drawn, and what.
    one
        Theory and networks.
    """
    every = one.comparisons()
    start = (
        f"({panel}) {one.theory.mean_field.cell!r}, T = {one.theory.horizon:g}, theory by "
        f"{one.theory.method}, {int(one.belongs[-1].sum())} of {one.belongs.shape[1]} networks of "
        f"N = {int(one.sizes[-1])} in its state; theory | networks"
    )
    if not every:
        return start + ": too few to compare"
    last = f"a_{one.theory.mean_field.cell.state_names[0]}({one.times[-1]:g})"
    told = [f"{key} {_beside(every[key])}" for key in (last, "growth_rate") if key in every]
    whole = one.overall()
    if whole is not None:
        factor = float(np.exp(whole.measured))
        told.append(
            f"networks over theory, all mean squares: {factor:.3f} "
            f"({float(whole.deviation):+.1f} standard errors, {verdict(whole.agrees)})"
        )
    limit = one.against_limit()
    if limit is not None:
        kind = "twice the leading edge" if one.rests else "2 lambda_max"
        prefactor = ", with the prefactor t^-1/2" if one.rests else ""
        told.append(
            f"{kind} = {with_error(float(one.limit), float(one.limit_error))}; growth rate by it"
            f"{prefactor}: {_beside(limit)}"
        )
    return start + ":\n    " + "; ".join(told)


def sizes_line(name: str, one: GradientComparison) -> str:
    """Say how every mean squared gradient compares.

    Parameters
    ----------
    name
        Of the state.
    one
        Theory and networks.
    """
    every = {key: each for key, each in one.comparisons().items() if key in one.gradients}
    far = [key for key, each in every.items() if not each.agrees]
    told = "; ".join(f"{key} {_beside(each)}" for key, each in every.items())
    ended = f"DISAGREE: {', '.join(far)}" if far else f"all {len(every)} agree"
    return f"(d) {name}: mean squared gradients, theory | networks: {told}\n    {ended}"


def _beside(one: Any) -> str:
    return (
        f"{with_error(float(one.theory), float(one.theory_error))} | "
        f"{with_error(float(one.measured), float(one.standard_error))} "
        f"({float(one.deviation):+.1f}, {verdict(one.agrees)})"
    )
