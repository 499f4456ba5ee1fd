"""Where gradients vanish, keep their size or explode: maps over gains and biases of the gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gatefield import phases
from gatefield.cells import GatedRNN
from gatefield.compare import FEWEST, GradientComparison, compare_gradients
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.phases import REGIMES, GradientMap, gradient_map, gradient_planes
from gatefield.phases.gradient_maps import UNKNOWN
from gatefield.phases.gradient_points import KINDS
from gatefield.plotting import map_handles, plot_gradient_map, style
from gatefield.theory.static import solve_static_grid

PANELS = {
    "a": "g_h:alpha_z",
    "b": "g_h:alpha_r",
    "c": "g_h:beta_z",
    "d": "beta_h:beta_z",
}
"""Planes of `gatefield.phases.gradient_planes`, by panel."""

CHECKS: dict[str, dict[str, float]] = {
    "vanish": {"g_h": 1.5},
    "the same with a shut update gate": {"g_h": 1.5, "beta_z": -3.0},
    "chaos": {"g_h": 4.0, "beta_z": 2.0},
    "the same with an adaptive update gate": {"g_h": 4.0, "beta_z": 2.0, "alpha_z": 4.0},
}
"""Cells at which networks are differentiated, by what theory says of them."""

_BURN_IN = 100.0  # of units whose gate is half open or more; a shut one takes longer to settle
_LIMIT = 0.3  # rate at the ends of the colours
_LINE = "#1b7f3b"
_CHAOS: dict[str, Any] = {"color": _LINE, "linestyle": ":", "linewidth": 1.8}


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    points
        Values of each parameter of each plane.
    horizon
        How far back gradients are followed in the maps.
    samples, batches, dt
        Of units at moving states.
    tolerance
        Of states that are sampled.
    n, networks, checked
        Units of each network, how many, and their horizon.
    planes
        Which panels.
    checks
        Which of `CHECKS`.
    """

    points: int
    horizon: float
    samples: int
    batches: int
    dt: float
    tolerance: float
    n: int
    networks: int
    checked: float
    planes: tuple[str, ...] = tuple(PANELS)
    checks: tuple[str, ...] = tuple(CHECKS)


FULL = Size(13, 60.0, 500, 8, 0.25, 2e-3, 500, 12, 15.0)
QUICK = Size(4, 30.0, 200, 4, 0.5, 1e-2, 300, 6, 10.0)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    """Compute the maps, and networks at a few points of them.

    Parameters
    ----------
    quick
        Few points, a shorter horizon, small networks.
    seed
        Of theory's samples and the first network.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        Results "map_a" to "map_d" and "check_0" and on; the tables "regime" and "lines".

    References
    ----------
    Krishnamurthy, Can and Schwab, arXiv:2007.14823, version 3: the adjoint mean field.
    """
    size = size or (QUICK if quick else FULL)
    maps, checks = {}, {}
    for panel in size.planes:
        plane = gradient_planes(size.points)[PANELS[panel]]
        maps[panel] = gradient_map(
            *plane,
            horizon=size.horizon,
            samples=size.samples,
            batches=size.batches,
            dt=size.dt,
            mean_field={"tolerance": size.tolerance},
            seed=seed,
            progress=False,
            report=_said(report, panel),
        )
    for name in size.checks:
        report(f"networks: {name}")
        parameters: dict[str, Any] = dict(CHECKS[name])
        open_ = 1 / (1 + np.exp(-parameters.get("beta_z", 0.0)))
        checks[name] = compare_gradients(
            GatedRNN(**parameters),
            horizon=size.checked,
            n=size.n,
            networks=size.networks,
            burn_in=max(_BURN_IN, _BURN_IN / (2 * open_)),
            samples=size.samples,
            batches=size.batches,
            limit=False,
            seed=seed,
        )
    told = [map_line(panel, one) for panel, one in maps.items()]
    told += [line for line in (chaos_line(maps), gate_line(maps)) if line]
    told += [check_line(name, one) for name, one in checks.items()]
    results: dict[str, Any] = {f"map_{panel}": one for panel, one in maps.items()}
    results |= {f"check_{number}": one for number, one in enumerate(checks.values())}
    tables = {f"regime_{panel}": _regimes(one) for panel, one in maps.items()}
    return FigureResult({}, {}, tables, tuple(told), results)


def critical_line(panel: str, found: GradientMap) -> tuple[Any, Any]:
    """Return x and y of theory's line above which the fixed point is unstable, rho = 1.

    Neither alpha_z nor beta_z moves a fixed point or decides whether it is stable; so lines of the
    planes with these are vertical.

    Parameters
    ----------
    panel
        Of `PANELS`.
    found
        Its map.
    """
    low, high = float(found.y[0]), float(found.y[-1])
    if panel == "d":
        gain = float(vars(found.cell)["g_h"])
        biases = np.linspace(float(found.x[0]), float(found.x[-1]), 301)
        unstable = solve_static_grid(GatedRNN(gain, beta_h=biases)).radius[:, 0] >= 1
        (edge,) = np.nonzero(unstable[1:] != unstable[:-1])
        place = 0.5 * (biases[edge[-1]] + biases[edge[-1] + 1]) if edge.size else np.nan
        return np.full(2, place), np.array([low, high])
    if panel == "b":
        alphas = np.linspace(low, high, 60)
        return phases.stability_line(alpha_r=alphas), alphas
    return np.full(2, float(phases.stability_line(alpha_r=0.0))), np.array([low, high])


def map_line(panel: str, found: GradientMap) -> str:
    """Say how many points are of each kind, and whether rates and the fixed point's edge agree."""
    counts = ", ".join(
        f"{int(np.sum(found.regime == key))} {name}" for key, name in REGIMES.items()
    )
    failed = int(np.sum(found.regime == UNKNOWN))
    told = (
        f"({panel}) {found.x_name}, {found.y_name}, horizon {float(found.horizon):g}: of "
        f"{found.regime.size} points gradients {counts}"
    )
    told += f", {failed} without a state that converged" if failed else ""
    resting = found.kind == KINDS.index("rest")
    falling = int(np.sum(found.growth_rate[resting] < 0))
    rates = found.growth_rate[np.isfinite(found.growth_rate)]
    if rates.size:
        told += f"; rates from {rates.min():.3f} to {rates.max():.3f}"
    told += f"; falling at {falling} of {int(resting.sum())} stable fixed points"
    return f"{told}: {verdict(falling == int(resting.sum()))}"


def chaos_line(maps: dict[str, GradientMap]) -> str:
    """Say whether panel (b) has moving states where the dynamical line has them, below g_h = 2."""
    found = maps.get("b")
    if found is None:
        return ""
    beside = (found.x < 2) & (found.x > 1)
    if not beside.any():
        return ""
    above = found.y[:, None] > phases.dynamical_line(found.x[beside], tau_r=1.0)
    moving = found.kind[:, beside] == KINDS.index("moving")
    same = int(np.sum(above == moving))
    return (
        f"Beside a stable fixed point (1 < g_h < 2) states move at {int(moving.sum())} points, "
        f"{int(above.sum())} lie above the dynamical line; the same at {same} of {above.size}: "
        f"{verdict(same == above.size)}"
    )


def gate_line(maps: dict[str, GradientMap]) -> str:
    """Say what shutting the update gate does at resting points of panel (c): time is rescaled."""
    found = maps.get("c")
    if found is None:
        return ""
    resting = np.all(found.kind == KINDS.index("rest"), axis=0)
    if not resting.any():
        return ""
    column = int(np.flatnonzero(resting)[-1])
    rate, open_ = found.growth_rate[:, column], 1 / (1 + np.exp(-found.y))
    return (
        f"Shutting the update gate slows everything: at g_h = {found.x[column]:g}, where the fixed "
        f"point is stable, ln |a|^2 over the horizon is {found.log_growth[-1, column]:+.2f} at "
        f"beta_z = {found.y[-1]:g} (gate {open_[-1]:.3f}, rate {rate[-1]:.3f}) and "
        f"{found.log_growth[0, column]:+.2f} at beta_z = {found.y[0]:g} (gate {open_[0]:.3f}, rate "
        f"{rate[0]:.4f})"
    )


def check_line(name: str, one: GradientComparison) -> str:
    """Say what networks gave for the adjoint at the horizon and for the growth rate."""
    cell, compared = one.theory.mean_field.cell, one.comparisons()
    parameters = ", ".join(f"{key} = {value:g}" for key, value in CHECKS[name].items())
    head = f"{name} ({parameters}; {one.belongs.size} networks of {int(one.sizes[-1])})"
    last = f"a_{cell.state_names[0]}({one.theory.horizon:g})"
    shown = [compared[key] for key in (last, "growth_rate") if key in compared]
    if not shown:
        return f"{head}: fewer than {FEWEST} networks in theory's state, nothing compared"
    told = "; ".join(
        f"{each.name} = {float(each.theory):.4g} | {float(each.measured):.4g} +- "
        f"{float(each.standard_error):.2g}, {verdict(each.agrees)}"
        for each in shown
    )
    wrong = [each for each in compared.values() if not each.agrees]
    return f"{head}: {told}; of {len(compared)} comparisons {len(compared) - len(wrong)} agree"


def figure(result: FigureResult) -> Figure:
    """Draw the maps.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        One panel for each map.
    """
    maps: dict[str, Any] = {
        name.removeprefix("map_"): one
        for name, one in result.results.items()
        if name.startswith("map_")
    }
    with style():
        drawn, axes = plt.subplots(
            1 if len(maps) < 3 else 2,
            min(len(maps), 2),
            figsize=(9.2, 8.2 if len(maps) > 2 else 4.6),
            squeeze=False,
        )
        for ax, (panel, found) in zip(axes.ravel(), maps.items(), strict=False):
            plot_gradient_map(found, ax=ax, limit=_LIMIT, colourbar=False)
            _draw_lines(ax, panel, found)
            ax.set_title(f"({panel})" + (r"  $g_h = 3$" if panel == "d" else ""))
        first = next(iter(maps.values()))
        scale = ScalarMappable(Normalize(-_LIMIT, _LIMIT), "RdBu_r")
        label = f"growth rate of $|a|^2$, per {first.time_unit}"
        drawn.colorbar(scale, ax=axes, label=label, extend="both", shrink=0.7)
        lines = [
            Line2D([], [], color=_LINE, label=r"fixed point ends ($\rho = 1$)"),
            Line2D([], [], label="(b): chaos appears beside it", **_CHAOS),
        ]
        unsure = max(maps.values(), key=lambda each: int(np.isnan(each.growth_rate).sum()))
        drawn.legend(handles=[*map_handles(unsure), *lines], loc="outside lower center", ncols=3)
    return drawn


def _draw_lines(ax: Axes, panel: str, found: GradientMap) -> None:
    ax.plot(*critical_line(panel, found), color=_LINE, linewidth=1.5)
    if panel == "b":
        gains = np.linspace(float(found.x[0]), float(found.x[-1]), 200)
        alphas = phases.dynamical_line(gains, tau_r=1.0)
        ax.plot(gains, np.where(np.isfinite(alphas) & (alphas > 0), alphas, np.nan), **_CHAOS)


def _said(report: Report, panel: str) -> Callable[[int, int], None]:
    return lambda done, of: report(f"panel ({panel}): {done} of {of} points")


def _regimes(found: GradientMap) -> xr.Dataset:
    meaning = {"meaning": "-1 vanish, 0 keep their size, 1 explode, 2 unknown"}
    return xr.Dataset(
        {"regime": (("y", "x"), found.regime, meaning)},
        {"x": found.x, "y": found.y},
        {"x_name": found.x_name, "y_name": found.y_name},
    )
