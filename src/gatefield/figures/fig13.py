"""Figure 13 of the paper: critical lines with biases, and the red line of its Figure 7."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gatefield.cells import GatedRNN
from gatefield.figures.base import FigureResult, Report, silent
from gatefield.figures.biased_points import (
    PointsSize,
    biased_points,
    points_line,
    points_table,
)
from gatefield.phases import LineFamily, line_family, stability_line, surroundings_of
from gatefield.plotting import (
    family_handles,
    plot_line_family,
    style,
    value_colours,
    varied_symbol,
)
from gatefield.theory.perturbation import biased_stability

BETA_H, BETA_R = (0.0, 0.05, 0.2, 0.5, 1.0), (-1.0, 0.0, 1.0, 2.0)
INPUTS, RANDOM = (0.0, 0.01, 0.04, 0.16, 0.5), (0.04, 0.16)
"""Variances of static inputs to h, and of random biases, of panel (e)."""
BIAS = 0.2
"""beta_h in panel (b): without it the lines are upright."""
ALPHA = 2.0
"""alpha_r in panel (d)."""
ALPHAS = (0.0, 1.0, 2.0, 5.0, 10.0)
WEAK = (0.5, 1.0, 2.0, 3.0)
"""alpha_r in panel (f)."""
_LARGEST_ALPHA, _LARGEST_BIAS = 15.0, 1.6
_PANELS = {"a": "beta_h", "b": "beta_r", "e": "input_variance_h"}

Asked = tuple[str, str, float, float, float]
POINTS: tuple[Asked, ...] = (
    ("a", "beta_h", 0.2, 2.2, 0.0),
    ("a", "beta_h", 0.2, 3.3, 0.0),
    ("a", "beta_h", 0.2, 1.4, 5.0),
    ("a", "beta_h", 0.2, 1.95, 5.0),
    ("a", "beta_h", 1.0, 3.2, 0.0),
    ("a", "beta_h", 1.0, 3.0, 5.0),
    ("b", "beta_r", 1.0, 1.3, 2.0),
    ("b", "beta_r", 1.0, 2.2, 2.0),
    ("e", "input_variance_h", 0.04, 1.9, 2.0),
    ("e", "input_variance_h", 0.04, 3.1, 2.0),
    ("e", "input_variance_h", 0.04, 1.85, 8.0),
    ("e", "bias_variance_h", 0.16, 1.6, 4.0),
    ("e", "bias_variance_h", 0.16, 2.8, 4.0),
)
"""Panel, what is varied, its value, g_h and alpha_r: where networks are simulated."""

FULL, QUICK = PointsSize(81, 600, 5, 200.0), PointsSize(31, 240, 5, 120.0)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: PointsSize | None = None
) -> FigureResult:
    r"""Compute Figure 13: how biases move the transition to chaos and marginal stability.

    The paper's values of the biases are not known to us: those here cover what its text describes.
    Panel (e) is the red line of its Figure 7, for several strengths of input and for random biases;
    panel (f) is the beginning of the lines of (a) and (e), from the expansion that
    `theory.perturbation.biased_stability` derives.

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
        Results "lines_a", "lines_b", "lines_e", "lines_random", tables "bias_c", "bias_d", "weak",
        "networks".

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Figs. 7, 13, App. H 1.
    """
    size = size or (QUICK if quick else FULL)
    # Closer together where alpha_r is small: there the lines bend most.
    alphas = _LARGEST_ALPHA * np.linspace(0.0, 1.0, size.points) ** 1.5
    families = {}
    for name, vary, values, fixed in (
        ("a", "beta_h", BETA_H, {}),
        ("b", "beta_r", BETA_R, {"beta_h": BIAS}),
        ("e", "input_variance_h", INPUTS, {}),
        ("random", "bias_variance_h", RANDOM, {}),
    ):
        report(f"({name}) lines for several {vary}")
        families[f"lines_{name}"] = line_family(vary, values, alpha_r=alphas, **fixed)
    report("(c), (d) lines in the plane of g_h and beta_h")
    tables = {"bias_c": _bias_lines_of_alpha(size.points), "bias_d": _bias_lines_of_beta(size)}
    report("(f) weak biases")
    tables["weak"] = _weak()
    cells, conditions = zip(*(_asked(one) for one in POINTS), strict=True)
    points = biased_points(cells, size, seed=seed, report=report, conditions=conditions)
    tables["networks"] = points_table(points)
    lines = (
        *_lines_of_families(families),
        *_lines_of_bias(tables["bias_c"], tables["bias_d"]),
        _line_of_weak(tables["weak"]),
        points_line("(a), (b), (e)", points),
    )
    return FigureResult({}, {}, tables, lines, families)


def _asked(one: Asked) -> tuple[tuple[Mapping[str, float], GatedRNN], Mapping[str, Any]]:
    """Return where a point is, its cell, and its variances."""
    panel, vary, value, g_h, alpha_r = one
    around = surroundings_of(vary, value, {"beta_h": BIAS} if panel == "b" else {})
    biases = {name: around.pop(name) for name in ("beta_h", "beta_r") if name in around}
    cell = GatedRNN(g_h, alpha_r=alpha_r, input_gating="update", **biases)
    where = dict.fromkeys(("beta_h", "beta_r", "input_variance_h", "bias_variance_h"), 0.0)
    where |= biases | {vary: value, "g_h": g_h, "alpha_r": alpha_r}
    return (where, cell), around


def _biases(count: int) -> np.ndarray:
    """Return values of beta_h, closer together at the first."""
    return _LARGEST_BIAS * np.linspace(0.0, 1.0, count) ** 1.5


def _bias_lines_of_alpha(count: int) -> xr.Dataset:
    """Return the critical g_h for each beta_h, for several alpha_r."""
    biases = _biases(count)
    gains = np.array([stability_line(alpha_r=ALPHAS, beta_h=each) for each in biases])
    return xr.Dataset(
        {"g_h": (("beta_h", "alpha_r"), gains)}, {"beta_h": biases, "alpha_r": list(ALPHAS)}
    )


def _bias_lines_of_beta(size: PointsSize) -> xr.Dataset:
    biases = _biases(size.points)
    gains = np.array(
        [
            [float(stability_line(alpha_r=ALPHA, beta_h=each, beta_r=r)) for each in biases]
            for r in BETA_R
        ]
    )
    return xr.Dataset(
        {"g_h": (("beta_r", "beta_h"), gains)},
        {"beta_h": biases, "beta_r": list(BETA_R)},
        {"alpha_r": ALPHA},
    )


def _weak() -> xr.Dataset:
    """Return g_h* - 2 for weak biases: the expansion, and solved for a bias and for an input."""
    strengths = np.linspace(0.0, 0.04, 9)[1:]
    expansion = biased_stability(np.array(WEAK)[:, None], beta_h=strengths).g_h - 2
    solved = np.empty((2, len(WEAK), strengths.size))
    for place, each in enumerate(strengths):
        # An input enters tanh's argument with the gain, 2 here.
        for row, around in enumerate(
            ({"beta_h": each}, {"input_variance": {"h": float(each / 2) ** 2}})
        ):
            solved[row, :, place] = stability_line(alpha_r=WEAK, **around) - 2
    dims = ("alpha_r", "strength")
    return xr.Dataset(
        {"expansion": (dims, expansion), "bias": (dims, solved[0]), "input": (dims, solved[1])},
        {"alpha_r": list(WEAK), "strength": strengths},
    )


def figure(result: FigureResult) -> Figure:
    """Draw Figure 13.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Panels (a) to (f).
    """
    tables: Any = result.tables
    families: Any = result.results
    kinds = ("stability", "marginal")
    with style():
        drawn, axes = plt.subplots(2, 3, figsize=(11.5, 7.0))
        (a, b, c), (d, e, f) = axes
        for ax, name, shown in ((a, "a", kinds), (b, "b", kinds), (e, "e", ("stability",))):
            family = families[f"lines_{name}"]
            plot_line_family(family, kinds=shown, ax=ax, legend=False)
            _draw_networks(ax, name, family, tables["networks"])
            ax.legend(handles=family_handles(family, shown), loc="upper right", fontsize=7)
            ax.set_xlim(0.9, 7.2 if name == "a" else 6.2)
            ax.set_ylim(0, _LARGEST_ALPHA)
        a.set_title(r"(a)  $\beta_h$ varied, $\beta_r = 0$")
        b.set_title(rf"(b)  $\beta_r$ varied, $\beta_h = {BIAS:g}$")
        _draw_bias_lines(c, tables["bias_c"], "alpha_r", r"\alpha_r")
        c.set_title(r"(c)  stable left of the lines, $\beta_r = 0$")
        _draw_bias_lines(d, tables["bias_d"], "beta_r", r"\beta_r")
        d.set_title(rf"(d)  stable left of the lines, $\alpha_r = {ALPHA:g}$")
        _draw_random(e, families["lines_random"])
        e.set_title("(e)  static input (Fig. 7, red), random bias")
        _draw_weak(f, tables["weak"])
        grey: dict[str, Any] = {"color": "#555555", "ls": "", "marker": "o", "ms": 5.5}
        handles = [
            Line2D([], [], **grey, label="networks at rest"),
            Line2D([], [], **grey, mfc="white", mew=1.4, label="networks that move"),
        ]
        drawn.legend(handles=handles, loc="outside lower center", ncols=2)
    return drawn


def _draw_networks(ax: Axes, panel: str, family: LineFamily, table: xr.Dataset) -> None:
    """Draw points where networks were simulated: filled at rest, open moving."""
    colours = dict(zip(family.values.tolist(), value_colours(family.values.size), strict=True))
    rested = table["resting"].mean("network").values > 0.5
    for number, (place, vary, value, g_h, alpha_r) in enumerate(POINTS):
        if place != panel:
            continue
        colour = colours[value] if vary == family.vary else _RANDOM_COLOURS[value]
        face = colour if rested[number] else "white"
        marker = "o" if vary == family.vary else "s"
        ax.plot(
            g_h, alpha_r, marker, color=colour, mfc=face, ms=5.5, mew=1.4, zorder=5, clip_on=False
        )


_RANDOM_COLOURS = {0.04: "#e2571e", 0.16: "#9b1d1d"}


def _draw_random(ax: Axes, family: LineFamily) -> None:
    drawn = ax.get_legend()
    handles: list[Any] = [] if drawn is None else list(drawn.legend_handles)
    for value, gains in zip(family.values.tolist(), family.stability, strict=True):
        label = rf"${varied_symbol(family.vary)} = {value:g}$"
        look: dict[str, Any] = {"ls": "-.", "lw": 1.3, "color": _RANDOM_COLOURS[value]}
        handles += ax.plot(gains, family.alpha_r, label=label, **look)
    ax.legend(handles=handles, loc="upper right", fontsize=7)


def _draw_bias_lines(ax: Axes, table: xr.Dataset, other: str, name: str) -> None:
    values = table[other].values
    for colour, value in zip(value_colours(values.size), values, strict=True):
        gains = table["g_h"].sel({other: value})
        ax.plot(gains, table["beta_h"], color=colour, label=rf"${name} = {value:g}$")
    ax.set_xlim(0.9, 5.0)
    ax.set_ylim(0, _LARGEST_BIAS)
    ax.set_xlabel(r"activation gain $g_h$")
    ax.set_ylabel(r"bias $\beta_h$")
    ax.legend(loc="lower right", fontsize=7)


def _draw_weak(ax: Axes, table: xr.Dataset) -> None:
    strengths = np.append(0.0, table["strength"].values)
    for colour, alpha in zip(value_colours(len(WEAK)), WEAK, strict=True):
        one = table.sel(alpha_r=alpha)
        label = rf"$\alpha_r = {alpha:g}$"
        ax.plot(strengths, np.append(0.0, one["expansion"]), color=colour, label=label)
        ax.plot(table["strength"], one["bias"], "o", color=colour, mfc="white", ms=4.5)
        ax.plot(table["strength"], one["input"], "x", color=colour, ms=4.5)
    ax.axhline(0, color="#888888", lw=0.8, zorder=0)
    ax.set_xlim(0, None)
    ax.set_xlabel(r"$\beta_h$ (circles), $2\,\mathrm{std}\,I_h$ (crosses)")
    ax.set_ylabel(r"shift of the critical gain, $g_h^* - 2$")
    ax.set_title(r"(f)  weak biases and inputs")
    ax.legend(loc="upper left", fontsize=7)


def _lines_of_families(families: Mapping[str, LineFamily]) -> list[str]:
    lines = []
    for name, label in (("lines_a", "(a)"), ("lines_e", "(e)"), ("lines_random", "(e)")):
        family = families[name]
        first = family.stability[:, 0]
        rising = "rises" if np.all(np.diff(first) > 0) else "does NOT always rise"
        shown = ", ".join(f"{each:.3f}" for each in first)
        lines.append(
            f"{label} alpha_r = 0: the critical g_h {rising} with {family.vary} = "
            f"{', '.join(f'{each:g}' for each in family.values)}: {shown}"
        )
    weak = families["lines_a"]
    below = [
        f"{value:g}: alpha_r > {_first_below(weak.alpha_r, gains):.2f}"
        for value, gains in zip(weak.values[1:], weak.stability[1:], strict=True)
    ]
    lines.append(
        "(a) the paper says that beta_h stabilises; it DESTABILISES, with a critical g_h below the "
        "2 of beta_h = 0, at beta_h = " + ", at ".join(below)
    )
    marginal = weak.marginal[:, 0]
    lines.append(
        f"(a) alpha_r = 0: the marginal line moves from g_h = {marginal[0]:.3f} to "
        f"{marginal[-1]:.3f} at beta_h = {weak.values[-1]:g}"
    )
    by_r = families["lines_b"]
    spread = np.ptp(by_r.stability, axis=1) / by_r.stability.mean(axis=1)
    order = "less" if np.all(np.diff(spread) < 0) else "NOT always less"
    lines.append(
        f"(b) lines depend {order} on alpha_r (up to {_LARGEST_ALPHA:g}) as beta_r rises: range "
        "of g_h over its mean "
        + ", ".join(
            f"{each:.2f} at {value:g}" for each, value in zip(spread, by_r.values, strict=True)
        )
    )
    return lines


def _first_below(alphas: np.ndarray, gains: np.ndarray) -> float:
    """Return the alpha_r from which a line lies below g_h = 2, by linear interpolation."""
    place = int(np.argmax(gains < 2))
    if place == 0:
        return np.nan
    share = (gains[place - 1] - 2) / (gains[place - 1] - gains[place])
    return float(alphas[place - 1] + share * (alphas[place] - alphas[place - 1]))


def _needed(biases: np.ndarray, gains: np.ndarray, g_h: float) -> float:
    """Return the bias beyond which a gain is stable: where the line last passes it."""
    unstable = np.flatnonzero(gains < g_h)
    if unstable.size == 0:
        return 0.0
    last = int(unstable[-1])
    if last == gains.size - 1:
        return np.inf
    share = (g_h - gains[last]) / (gains[last + 1] - gains[last])
    return float(biases[last] + share * (biases[last + 1] - biases[last]))


def _lines_of_bias(by_alpha: xr.Dataset, by_beta: xr.Dataset) -> list[str]:
    lines = []
    for label, table, name, gain in (
        ("(c)", by_alpha, "alpha_r", 2.4),
        ("(d)", by_beta, "beta_r", 2.2),
    ):
        values = table[name].values.tolist()
        needed = [
            _needed(table["beta_h"].values, table["g_h"].sel({name: value}).values, gain)
            for value in values
        ]
        grows = "grows" if np.all(np.diff(needed) > 0) else "does NOT always grow"
        told = ", ".join(
            f"{each:.3f} at {value:g}" if np.isfinite(each) else f"> {_LARGEST_BIAS:g} at {value:g}"
            for each, value in zip(needed, values, strict=True)
        )
        lines.append(
            f"{label} g_h = {gain:g}: the beta_h beyond which the fixed point is stable {grows} "
            f"with {name}: {told}"
        )
    return lines


def _line_of_weak(table: xr.Dataset) -> str:
    told = []
    for alpha in WEAK:
        one = table.sel(alpha_r=alpha)
        first, solved = float(one["expansion"][0]), float(one["bias"][0])
        told.append(f"{first:+.5f} | {solved:+.5f} at alpha_r = {alpha:g}")
    strength = float(table["strength"][0])
    return f"(f) shift of g_h* by beta_h = {strength:g}, expansion | solved: " + ", ".join(told)
