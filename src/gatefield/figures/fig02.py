"""Figure 2 of the paper: update gates that are switches make the network an integrator."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatefield.analysis import network_spectrum
from gatefield.analysis.integrator import (
    IntegratorMemory,
    LineAttractor,
    integrator_memory,
    line_attractor,
)
from gatefield.cells import GatedRNN
from gatefield.core.results import AbstractResult
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.networks import Network, simulate
from gatefield.plotting import style
from gatefield.plotting.integrator import FAST, RANDOM, SLOW, plot_integrator_memory
from gatefield.theory.rmt.laws import near_zero_count

GAIN, SWITCH = 3.0, 15.0
"""g_h, and alpha_z of panel (a), alpha_r = 0: a state that Eq. 8 makes marginal."""
DURATION = 10.0
"""Of the input, as in the paper; its strengths are lost with the caption."""
STRENGTHS = (0.02, 0.04, 0.06, 0.08, 0.1)
"""Of panel (a): Euclidean norms of the input, which moves h by up to ten times as much. Stronger
input moves the state to where it has other modes: from 0.2 on (a third of |h|) projections of some
networks of 400 units wander after the input."""
SMALL = 0.1
"""Of the other panels: small beside |h|, which is about 6 at N = 400."""
AFTER = 40.0
"""Time since the input ended at which what is retained is asked."""
DELTA = 0.01
"""Modes of |lambda| below are slow: with a memory of 100 time constants or more."""
KEPT, GONE = 0.5, 0.05
"""Least part that an integrator keeps, and most of what decays, at that time."""
_LAW_HOLDS = 10.0  # Eq. 7 is for switches: alpha_z from here on
_KINDS = {"slow": SLOW, "fast": FAST, "random": RANDOM}
_STEP = 0.1


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    n, networks
        Units of each network, and how many at each alpha_z.
    alphas
        Gains of the update gate; one of them is `SWITCH`.
    relaxation
        Time before the input: switches take long to settle.
    patterns, attractors
        Random inputs that measure the slow manifold, and in how many networks at each alpha_z.
    """

    n: int
    networks: int
    alphas: tuple[float, ...]
    relaxation: float
    patterns: int
    attractors: int


FULL = Size(400, 8, (0.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0), 500.0, 40, 2)
QUICK = Size(250, 3, (0.0, 5.0, 15.0, 30.0), 500.0, 20, 1)


class _One(NamedTuple):
    """One network."""

    memory: IntegratorMemory
    attractor: LineAttractor | None
    variance: float


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    """Compute Figure 2: what networks keep of input along slow modes, fast ones, and at random.

    Input I_h (outside the update gate) along the most extended slow mode of the relaxed state, for
    ten time constants. The caption is lost: g_h = 3, alpha_z = 15, alpha_r = 0, tau = 1 are chosen
    inside the marginal states of Eq. 8, where the text puts the figure ("moderately large
    alpha_z"); panels (b) to (d) are ours.

    Parameters
    ----------
    quick
        Fewer, smaller networks.
    seed
        Of the first network.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        Result "example" of panel (a), tables "memory" (alpha_z, network, kind) and "manifold".

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 2, Sec. IV B, Eq. 7.
    """
    size = size or (QUICK if quick else FULL)
    found: dict[float, list[_One]] = {}
    for alpha_z in size.alphas:
        found[alpha_z] = []
        for place in range(size.networks):
            report(f"alpha_z = {alpha_z:g}, network {place + 1} of {size.networks}")
            found[alpha_z].append(_one(alpha_z, place, seed + place, size))
    table, manifold = _memory_table(found), _manifold_table(found)
    kept = table["retained"].sel(alpha_z=SWITCH, kind="slow").values
    typical = int(np.argsort(kept)[(kept.size - 1) // 2])
    report("panel (a)")
    example = _example(seed + typical, size)
    results: dict[str, AbstractResult] = {"example": example}
    for alpha_z, each in found.items():
        one = each[0].attractor
        if one is not None:
            results[f"manifold_{alpha_z:g}"] = one
    lines = tuple(_lines(table, manifold, example))
    tables = {"memory": table, "manifold": manifold}
    return FigureResult({}, {}, tables, lines, results)


def _settled(alpha_z: float, seed: int, size: Size) -> tuple[Network, np.ndarray]:
    """Return a network and the state that it settles in from a random one."""
    network = Network.sample(GatedRNN(GAIN, alpha_z=alpha_z), size.n, seed=seed)
    steps = round(size.relaxation / _STEP)
    path = simulate(network, size.relaxation, dt=_STEP, save_every=steps, seed=seed, progress=False)
    return network, path.final


def _one(alpha_z: float, place: int, seed: int, size: Size) -> _One:
    network, state = _settled(alpha_z, seed, size)
    shared: dict[str, Any] = {
        "spectrum": network_spectrum(network, state, vectors="both"),
        "duration": DURATION,
        "slow": DELTA,
        "onto": ("h",),
        "dt": _STEP,
        "seed": seed,
        "progress": False,
    }
    memory = integrator_memory(network, state, (SMALL,), **shared)
    attractor = None
    if place < size.attractors:
        attractor = line_attractor(
            network, state, SMALL, patterns=size.patterns, after=AFTER, **shared
        )
    return _One(memory, attractor, float(np.mean(state[1] ** 2)))


def _example(seed: int, size: Size) -> IntegratorMemory:
    network, state = _settled(SWITCH, seed, size)
    options: dict[str, Any] = {"duration": DURATION, "slow": DELTA, "dt": _STEP, "seed": seed}
    return integrator_memory(network, state, STRENGTHS, onto=("h",), progress=False, **options)


def _memory_table(found: dict[float, list[_One]]) -> xr.Dataset:
    kinds = list(_KINDS)
    shape = (len(found), len(next(iter(found.values()))), len(kinds))
    columns = {
        name: np.full(shape, np.nan)
        for name in ("retained", "memory_time", "fitted_time", "peak", "participation", "rate")
    }
    censored = np.zeros(shape, bool)
    for row, each in enumerate(found.values()):
        for place, one in enumerate(each):
            kept = one.memory.retained(AFTER)
            for number, kind in enumerate(kinds):
                which, at = one.memory.kind(kind)[0], (row, place, number)
                columns["retained"][at] = kept[which, 0]
                columns["memory_time"][at] = one.memory.memory_times[which, 0]
                columns["fitted_time"][at] = one.memory.fitted_times[which, 0]
                columns["peak"][at] = one.memory.peaks[which, 0]
                columns["participation"][at] = one.memory.participation[which]
                columns["rate"][at] = one.memory.eigenvalues_real[which]
                censored[at] = one.memory.censored[which, 0]
    dims = ("alpha_z", "network", "kind")
    return xr.Dataset(
        {
            **{name: (dims, values) for name, values in columns.items()},
            "censored": (dims, censored),
        },
        {"alpha_z": list(found), "kind": kinds},
        {"after": AFTER, "strength": SMALL, "duration": DURATION},
    )


def _manifold_table(found: dict[float, list[_One]]) -> xr.Dataset:
    """Return the number of slow modes beside Eq. 7, and the quality of the line attractors."""
    alphas = np.array(list(found))
    variance = np.array([[one.variance for one in each] for each in found.values()])
    n = dict(next(iter(found.values()))[0].memory.settings)["n"]
    counts = np.array([[int(one.memory.slow_count) for one in each] for each in found.values()])
    law = near_zero_count(DELTA, alphas, variance.mean(axis=1)).fraction
    measured = [[one.attractor for one in each if one.attractor] for each in found.values()]
    quality = {
        "dimension": [[one.dimension[-1] for one in each] for each in measured],
        "written": [[one.dimension[0] for one in each] for each in measured],
        "persistence": [[float(one.persistence_time) for one in each] for each in measured],
        "size": [[one.size[-1] for one in each] for each in measured],
        "overlap": [[one.overlap[-1] for one in each] for each in measured],
        "within": [[one.within[-1] for one in each] for each in measured],
        "drift_along": [[one.drift_along[-1] for one in each] for each in measured],
        "drift_away": [[one.drift_away[-1] for one in each] for each in measured],
    }
    return xr.Dataset(
        {
            "slow": (("alpha_z", "network"), counts / n),
            "z_variance": (("alpha_z", "network"), variance),
            "law": ("alpha_z", law),
            **{name: (("alpha_z", "measured"), np.array(v)) for name, v in quality.items()},
        },
        {"alpha_z": alphas},
        {"n": n, "delta": DELTA},
    )


def _lines(table: xr.Dataset, manifold: xr.Dataset, example: IntegratorMemory) -> list[str]:
    median = table["retained"].sel(alpha_z=SWITCH).median("network")
    slow, fast, random = (float(median.sel(kind=kind)) for kind in _KINDS)
    at = table.sel(alpha_z=SWITCH)
    spread = at["participation"].sel(kind="slow")
    low, high = float(spread.min()), float(spread.max())
    grown = at["peak"].sel(kind="slow").median() / (SMALL * DURATION)
    first, last = (table["memory_time"].isel(alpha_z=k).median("network") for k in (0, -1))
    longer = float(last.sel(kind="slow")) > float(first.sel(kind="slow"))
    lines = [
        f"(a) alpha_z = {SWITCH:g}, input of {DURATION:g} along the most extended slow mode "
        f"(on {low:.0f} to {high:.0f} of {manifold.attrs['n']} units): projection at its end "
        f"{float(grown):.2f} of strength x {DURATION:g} (a perfect integrator: 1), median of "
        f"{at.sizes['network']} networks; strengths of the example: "
        + ", ".join(
            f"{p / (s * DURATION):.2f} at {s:g} ({kept:.0%} retained)"
            for s, p, kept in zip(
                example.strengths, example.peaks[0], example.retained(AFTER)[0], strict=True
            )
        ),
        f"(b) {AFTER:g} after the input ends a slow mode has {slow:.0%} of its peak (above "
        f"{KEPT:.0%} expected, {verdict(slow > KEPT)}), a fast one {fast:.1%} (below {GONE:.0%} "
        f"expected, {verdict(fast < GONE)}); medians of {at.sizes['network']} networks",
        f"    a random direction has {random:.0%}: the paper says that input which is not aligned "
        "with slow modes decays quickly. That holds for fast modes; a random direction has parts "
        "in all of them, and units whose gate is shut hold theirs.",
        "(c) memory times, medians (>: longer than the run in half of the networks): "
        + "; ".join(_memory_text(table, kind) for kind in _KINDS)
        + " (where no mode is slow, the slowest stands for them): longer for switches, "
        + verdict(longer),
    ]
    return [*lines, _count_line(manifold), _manifold_line(manifold)]


def _memory_text(table: xr.Dataset, kind: str) -> str:
    each = table.sel(kind=kind)
    shown = []
    for alpha in each["alpha_z"].values:
        one = each.sel(alpha_z=alpha)
        more = ">" if float(one["censored"].mean()) >= 0.5 else ""
        shown.append(f"{more}{float(one['memory_time'].median()):.1f} at {alpha:g}")
    return f"{kind} {', '.join(shown)}"


def _count_line(manifold: xr.Dataset) -> str:
    parts, good = [], True
    for alpha in manifold["alpha_z"].values:
        one = manifold.sel(alpha_z=alpha)
        mean, law = float(one["slow"].mean()), float(one["law"])
        text = f"{mean:.3f} | {law:.3f} at {alpha:g}"
        if alpha >= _LAW_HOLDS and one.sizes["network"] >= 3:
            error = float(one["slow"].std(ddof=1)) / np.sqrt(one.sizes["network"])
            good &= abs(mean - law) <= 4 * error
        parts.append(text)
    return (
        f"(d) slow modes (|lambda| < {DELTA:g}) as a part of N, networks | Eq. 7: "
        f"{', '.join(parts)}; for alpha_z >= {_LAW_HOLDS:g}, where the law holds, within four "
        f"standard errors: {verdict(good)}"
    )


def _manifold_line(manifold: xr.Dataset) -> str:
    at = manifold.sel(alpha_z=SWITCH)
    mean = {name: float(at[name].mean()) for name in manifold.data_vars if name in at}
    return (
        f"    line attractor at alpha_z = {SWITCH:g}, {AFTER:g} after random inputs: overlap with "
        f"what was written {mean['overlap']:.2f}, {mean['within']:.0%} of it in the slow subspace, "
        f"drifting by {mean['drift_along']:.4f} along and {mean['drift_away']:.4f} away from it "
        f"per time constant; dimension {mean['written']:.0f} when written, {mean['dimension']:.0f} "
        f"now, of {mean['slow'] * manifold.attrs['n']:.0f} slow modes, and size x "
        f"{mean['size']:.2f}"
    )


def figure(result: FigureResult) -> Figure:
    """Draw Figure 2.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        (a) projections, (b) what is retained, (c) memory times, (d) the number of slow modes.
    """
    table, manifold = result.tables["memory"], result.tables["manifold"]
    example: Any = result.results["example"]
    with style():
        drawn, axes = plt.subplots(2, 2, figsize=(10.0, 7.0))
        plot_integrator_memory(example, ax=axes[0, 0])
        spread = example.participation[example.kind("slow")[0]]
        axes[0, 0].set_title(
            rf"(a)  $\alpha_z = {SWITCH:g}$; the slow mode is on {spread:.0f} of "
            f"{manifold.attrs['n']} units"
        )
        _draw_each(axes[0, 1], table, "retained")
        axes[0, 1].axhline(KEPT, color="#c8c8c8", lw=0.9, zorder=0)
        axes[0, 1].set_ylim(-0.03, 1.05)
        axes[0, 1].set_ylabel(f"part retained {AFTER:g} after the input")
        axes[0, 1].set_title("(b)  what is retained")
        axes[0, 1].legend(loc=(0.55, 0.2))
        _draw_each(axes[1, 0], table, "memory_time")
        axes[1, 0].set_yscale("log")
        limit = float(table["memory_time"].max())
        axes[1, 0].axhline(limit, color="#c8c8c8", lw=0.9, zorder=0)
        axes[1, 0].annotate("length of the run", (0.02, limit), xycoords=("axes fraction", "data"),
                            va="bottom", fontsize=8, color="#7a7a7a")  # fmt: skip
        axes[1, 0].set_ylim(top=2.2 * limit)
        axes[1, 0].set_ylabel("time to half (time constants)")
        axes[1, 0].set_title("(c)  memory time")
        _draw_counts(axes[1, 1], manifold)
        for ax in axes.flat[1:]:
            ax.set_xlabel(r"$\alpha_z$")
    return drawn


def _draw_each(ax: Axes, table: xr.Dataset, name: str) -> None:
    """Draw every network as a dot, and the median of each kind as a line."""
    alphas = table["alpha_z"].to_numpy()
    for shift, (kind, colour) in enumerate(_KINDS.items()):
        values = table[name].sel(kind=kind).to_numpy()
        places = np.repeat(alphas + 0.35 * (shift - 1), values.shape[1])
        ax.plot(places, values.ravel(), ".", color=colour, ms=4, alpha=0.55)
        label = f"{kind} mode" if kind != "random" else "random direction"
        ax.plot(alphas, np.median(values, axis=1), color=colour, lw=1.3, label=label)


def _draw_counts(ax: Axes, manifold: xr.Dataset) -> None:
    alphas, n = manifold["alpha_z"].to_numpy(), manifold.attrs["n"]
    slow = manifold["slow"].to_numpy()
    ax.plot(np.repeat(alphas, slow.shape[1]), slow.ravel(), ".", color=SLOW, ms=4, alpha=0.55)
    ax.plot(alphas, slow.mean(axis=1), "o", color=SLOW, ms=4.5, label="slow modes, networks")
    fine = np.linspace(0.0, 1.03 * alphas[-1], 200)
    variance = np.interp(fine, alphas, manifold["z_variance"].mean("network"))
    law = near_zero_count(DELTA, fine, variance).fraction
    ax.plot(fine, law, color="black", lw=1.2, label="Eq. 7")
    kept = manifold["dimension"].to_numpy() / n
    label = f"dimension kept of random input, {AFTER:g} later"
    ax.plot(alphas, kept.mean(axis=1), "s--", color=RANDOM, ms=4, lw=1, label=label)
    ax.set_ylim(0, 1.35 * float(max(slow.max(), law.max())))
    ax.set_ylabel("fraction of N")
    ax.set_title(rf"(d)  modes with $|\lambda| < {DELTA:g}$")
    ax.legend(loc="upper left")
