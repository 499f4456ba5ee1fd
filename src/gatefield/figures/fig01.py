"""Figure 1 of the paper: how the gates shape the spectrum of the Jacobian."""

from __future__ import annotations

import math
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gatefield.cells import GatedRNN
from gatefield.compare import StateSpectrum, compare, reached_state, state_spectrum
from gatefield.figures.base import FigureResult, Report, silent
from gatefield.figures.spectra import OUTSIDE, without_motion
from gatefield.networks import Network, linearise
from gatefield.numerics.threads import in_turn
from gatefield.plotting import plot_spectrum, style
from gatefield.theory.rmt import spectral_boundary
from gatefield.theory.rmt.gated import gated_edge
from gatefield.theory.rmt.laws import marginal_disk, near_zero_count
from gatefield.theory.rmt.outermost import farthest_on_ray
from gatefield.theory.static import solve_static

CLOUDS = {"a": (0.0, 0.0), "b": (0.0, 5.0), "c": (15.0, 0.0), "d": (15.0, 5.0)}
"""(alpha_z, alpha_r) of the panels with eigenvalues."""
GAIN = 3.0
INTERCEPT_GAINS = (2.5, 3.0, 8.0)
DELTA = 0.01
_STEP = 0.1
_SHRINKS = 0.3  # of its highest value: below it an intercept counts as pinched
_HIGHEST = 2.0  # above it no spectrum of these gains meets the imaginary axis
_COLOURS = ("#2a9d8f", "#3d5a98", "#c8553d")


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    n, n_intercept
        Units of each network in (a) to (e), and in (f).
    networks
        Networks for each point of panel (e); panel (f) takes up to three.
    alphas
        Values of alpha_z in (e) and (f).
    t_max
        Time at which states are taken. Later ones settle further where gates are switches, but
        networks of some hundred units then freeze also where large ones do not (g_h = 8).
    """

    n: int
    n_intercept: int
    networks: int
    alphas: tuple[float, ...]
    t_max: float = 100.0


FULL = Size(1000, 500, 5, (0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0))
QUICK = Size(300, 300, 3, (0.0, 10.0, 20.0, 40.0, 80.0, 160.0))


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    """Compute Figure 1: spectra, numbers of slow modes, intercepts.

    Parameters
    ----------
    quick
        Small networks.
    seed
        Of the first network.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        Spectra "a" to "d", tables "count" (e) and "intercept" (f).

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 1, Eqs. 5-8.
    """
    size = size or (QUICK if quick else FULL)
    rows = 3 * size.n
    report("(a)-(d): spectra")

    def cloud(panel: str) -> StateSpectrum:
        alpha_z, alpha_r = CLOUDS[panel]
        return _spectrum(GatedRNN(GAIN, alpha_z=alpha_z, alpha_r=alpha_r), size, seed)

    spectra = dict(zip(CLOUDS, in_turn(cloud, list(CLOUDS), size=rows), strict=True))
    jobs = [(alpha, seed + k) for alpha in size.alphas for k in range(size.networks)]
    report("(e): slow modes")

    def counted(job: tuple[float, int]) -> StateSpectrum:
        return _spectrum(GatedRNN(GAIN, alpha_z=job[0]), size, job[1])

    def said(what: str, total: int):
        return lambda done: report(f"{what}: {done} of {total} networks")

    slow = in_turn(counted, jobs, size=rows, report=said("(e): slow modes", len(jobs)))
    count = _count_table(size, slow)
    smaller = size._replace(n=size.n_intercept, networks=min(size.networks, 3))
    points = [(g, a) for g in INTERCEPT_GAINS for a in size.alphas]
    settled = [(*point, seed + k) for point in points for k in range(smaller.networks)]
    heights = in_turn(
        lambda job: _heights(GatedRNN(job[0], alpha_z=job[1]), smaller, job[2]),
        settled,
        size=rows,
        report=said("(f): intercepts", len(settled)),
    )
    intercept = _intercept_table(smaller, heights)
    lines = (
        *(_cloud_line(panel, one) for panel, one in spectra.items()),
        _count_line(count),
        *_intercept_lines(intercept),
    )
    return FigureResult(spectra, {}, {"count": count, "intercept": intercept}, lines)


def figure(result: FigureResult) -> Figure:
    """Draw Figure 1.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Panels (a) to (f).
    """
    with style():
        drawn = plt.figure(figsize=(11.5, 6.6))
        axes = drawn.subplot_mosaic("abe;cdf", width_ratios=(1, 1, 1.25))
        for panel, (alpha_z, alpha_r) in CLOUDS.items():
            ax, one = axes[panel], result.spectra[panel]
            plot_spectrum(one.boundary, one.eigenvalues, ax=ax, legend=False)
            name = rf"$\alpha_z = {alpha_z:g}$, $\alpha_r = {alpha_r:g}$"
            ax.set_title(f"({panel})  {name}")
        clouds = [axes[panel] for panel in CLOUDS]
        for limits in ("xlim", "ylim"):
            ends = np.array([getattr(ax, f"get_{limits}")() for ax in clouds])
            for ax in clouds:
                ax.set(**{limits: (ends[:, 0].min(), ends[:, 1].max())})
        for panel in "bd":
            axes[panel].set_ylabel("")
        for panel in "ab":
            axes[panel].set_xlabel("")
        plot_count(result.tables["count"], ax=axes["e"])
        plot_intercepts(result.tables["intercept"], ax=axes["f"])
        handles, labels = axes["a"].get_legend_handles_labels()
        chosen = {"theory": "theory's boundary", "eigenvalues": "eigenvalues of a network"}
        pairs = [(h, chosen[n]) for h, n in zip(handles, labels, strict=True) if n in chosen]
        drawn.legend(
            *zip(*pairs, strict=True), loc="outside upper left", ncols=2, markerscale=3, fontsize=9
        )
    return drawn


def plot_count(table: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw panel (e): the number of eigenvalues near zero against alpha_z, and return the axes."""
    alpha = table["alpha_z"].values
    ax.plot(table["fine_alpha_z"], table["fine_law"], color="black", ls="--", label="law, Eq. 7")
    ax.plot(
        alpha,
        table["theory"].mean("network"),
        "D",
        color=_COLOURS[1],
        mfc="none",
        ms=8,
        label="theory from the units",
    )
    measured = table["measured"]
    ax.errorbar(
        alpha,
        measured.mean("network"),
        yerr=_standard_error(measured),
        fmt=".",
        color="#d62839",
        capsize=2,
        label="networks",
    )
    ax.set_xlabel(r"$\alpha_z$")
    ax.set_ylabel(rf"slow modes per unit, $|\lambda| < {DELTA:g}$")
    ax.set_ylim(bottom=-0.01)
    ax.set_title(r"(e)  slow modes, $g_h = 3$, $\alpha_r = 0$")
    ax.legend(loc="lower right")
    return ax


def plot_intercepts(table: xr.Dataset, *, ax: Axes) -> Axes:
    """Draw panel (f): the intercept on the imaginary axis against alpha_z; return the axes."""
    for gain, colour in zip(table["g_h"].values, _COLOURS, strict=False):
        one = table.sel(g_h=gain)
        ax.plot(table["fine_alpha_z"], one["closed_form"], color=colour)
        for name, face in (("units", colour), ("still", "white")):
            ax.errorbar(
                table["alpha_z"],
                one[name].mean("network"),
                yerr=_standard_error(one[name]),
                fmt="o",
                ms=5,
                color=colour,
                mfc=face,
                capsize=2,
            )
    gains = [
        Line2D([], [], color=colour, label=rf"$g_h = {gain:g}$")
        for gain, colour in zip(table["g_h"].values, _COLOURS, strict=False)
    ]
    kinds = [
        Line2D([], [], color="black", marker="o", ls="", label="units, exact"),
        Line2D([], [], color="black", marker="o", mfc="white", ls="", label="units, $D_t = 0$"),
        Line2D([], [], color="black", label="static variance"),
    ]
    ax.set_xlabel(r"$\alpha_z$")
    ax.set_ylabel("imaginary intercept")
    # Room for the legend above everything.
    ax.set_ylim(-0.03, 1.35 * ax.get_ylim()[1])
    ax.set_title(r"(f)  pinching, $\alpha_r = 0$")
    ax.legend(handles=[*gains, *kinds], loc="upper center", ncols=2)
    return ax


def _standard_error(points: xr.DataArray) -> xr.DataArray:
    """Return the standard error of the mean over networks; zero where there is only one."""
    number = points.sizes["network"]
    if number < 2:
        return 0 * points.isel(network=0)
    return points.std("network", ddof=1) / np.sqrt(number)


def verdict(good: bool) -> str:
    """Say whether theory and networks agree."""
    return "agree" if good else "DISAGREE"


def _spectrum(cell: GatedRNN, size: Size, seed: int) -> StateSpectrum:
    network = Network.sample(cell, size.n, seed=seed)
    state = reached_state(network, size.t_max, dt=_STEP, seed=seed)
    return state_spectrum(network, state, near=DELTA)


def _heights(cell: GatedRNN, size: Size, seed: int) -> tuple[float, float]:
    """Return the intercept from a network's units, and what it were if h stood still."""
    network = Network.sample(cell, size.n, seed=seed)
    state = reached_state(network, size.t_max, dt=_STEP, seed=seed)
    units = linearise(network, state)
    exact, still = (spectral_boundary(each) for each in (units, without_motion(units)))
    return float(exact.imaginary_intercept), float(still.imaginary_intercept)


def _count_table(size: Size, spectra: list[StateSpectrum]) -> xr.Dataset:
    """Return counts per unit: in networks, by theory from their units, and by the law of Eq. 7."""
    shape = (len(size.alphas), size.networks)
    variance = np.array([float(np.mean(one.state[1] ** 2)) for one in spectra]).reshape(shape)
    measured = np.array([one.network_near for one in spectra], float).reshape(shape) / size.n
    theory = np.array([one.theory_near for one in spectra]).reshape(shape) / size.n
    alphas = np.array(size.alphas)
    fine = _fine(alphas.max())
    # The variance of z changes little with alpha_z: between the states it is interpolated.
    between = np.interp(fine, alphas, variance.mean(axis=1))
    dims = ("alpha_z", "network")
    return xr.Dataset(
        {
            "measured": (dims, measured),
            "theory": (dims, theory),
            "law": (dims, near_zero_count(DELTA, alphas[:, None], variance).fraction),
            "z_variance": (dims, variance),
            "fine_law": ("fine_alpha_z", near_zero_count(DELTA, fine, between).fraction),
        },
        {"alpha_z": alphas, "fine_alpha_z": fine},
        {"delta": DELTA, "g_h": GAIN, "n": size.n},
    )


def _fine(highest: float) -> np.ndarray:
    """Return values of alpha_z for lines, closer together where they bend."""
    return highest * np.linspace(0, 1, 61) ** 2


def _intercept_table(size: Size, heights: list[tuple[float, float]]) -> xr.Dataset:
    fine = _fine(max(size.alphas))
    lines, marginal = [], []
    for gain in INTERCEPT_GAINS:
        branches = [solve_static(GatedRNN(gain, alpha_z=alpha))[-1] for alpha in fine]
        lines.append([farthest_on_ray(gated_edge(b), 0.0, 1j, _HIGHEST * gain) for b in branches])
        marginal.append(bool(marginal_disk(branches[0]).marginal))
    shape = (len(INTERCEPT_GAINS), len(size.alphas), size.networks, 2)
    units = np.reshape(heights, shape)
    dims = ("g_h", "alpha_z", "network")
    return xr.Dataset(
        {
            "units": (dims, units[..., 0]),
            "still": (dims, units[..., 1], {"description": "of the same units with D_t = 0"}),
            "closed_form": (("g_h", "fine_alpha_z"), np.maximum(lines, 0.0)),
            "pinches": ("g_h", marginal, {"description": "Eq. 8 with the static variance"}),
        },
        {"g_h": list(INTERCEPT_GAINS), "alpha_z": list(size.alphas), "fine_alpha_z": fine},
        {"n": size.n, "t_max": size.t_max},
    )


def _cloud_line(panel: str, one: StateSpectrum) -> str:
    alpha_z, alpha_r = CLOUDS[panel]
    outside, allowed = one.outside, OUTSIDE * math.sqrt(1000 / one.network.n)
    limit = "at most" if outside <= allowed else "MORE than the"
    return (
        f"({panel}) alpha_z = {alpha_z:g}, alpha_r = {alpha_r:g}: outside theory's boundary: "
        f"{outside:.2%} of the eigenvalues, {limit} {allowed:.1%} expected; theory | network: "
        f"leading edge {one.boundary.leading_edge:.4f} | {one.leading_edge:.4f}, largest Im "
        f"{one.boundary.largest_imaginary:.3f} | {one.largest_imaginary:.3f}; theory's intercept "
        f"{one.boundary.imaginary_intercept:.3f}"
    )


def _count_line(table: xr.Dataset) -> str:
    told = []
    for alpha in table["alpha_z"].values:
        one = table.sel(alpha_z=alpha)
        measured, theory, law = (one[name].values for name in ("measured", "theory", "law"))
        text = f"{alpha:g}: {measured.mean():.4f} | {theory.mean():.4f} | {law.mean():.4f}"
        if measured.size >= 3 and np.all(np.isfinite(theory)):
            # Where hardly any eigenvalue is expected, none may be found in all networks alike:
            # rare numbers scatter as Poisson's law says.
            expected = theory.mean() * table.attrs["n"]
            rare = np.sqrt(expected / measured.size) / table.attrs["n"] if expected < 1 else 0.0
            found = compare(
                theory.mean(),
                theory.mean() + measured - theory,
                theory_error=rare,
                name="count",
            )
            text += f" ({found.deviation:+.1f} standard errors, {verdict(found.agrees)})"
        told.append(text)
    return "(e) alpha_z: networks | theory from units | law of Eq. 7\n    " + "\n    ".join(told)


def _intercept_lines(table: xr.Dataset) -> list[str]:
    lines: list[str] = []
    last = float(table["alpha_z"].max())
    for gain in table["g_h"].values:
        one = table.sel(g_h=gain)
        ends, shrunk = {}, {}
        for name in ("units", "still"):
            means = one[name].mean("network")
            ends[name] = float(means.sel(alpha_z=last))
            # Small networks may lie at a stable fixed point at every alpha_z, without intercept.
            highest = max(float(means.max()), float(one["closed_form"][0]))
            shrunk[name] = ends[name] < _SHRINKS * highest
        error = float(_standard_error(one["units"]).sel(alpha_z=last))
        line, predicted = one["closed_form"], bool(one["pinches"])
        lines.append(
            f"(f) g_h = {gain:g}: Eq. 8 says {_pinched(predicted)}, units with D_t = 0 are "
            f"{_pinched(shrunk['still'])}: {verdict(shrunk['still'] == predicted)}; the exact "
            f"curve, whose D_t is not zero, is {_pinched(shrunk['units'])}\n"
            f"    intercept at alpha_z = {last:g}: {ends['units']:.3g} +- {error:.1g} exact, "
            f"{ends['still']:.3g} with D_t = 0, {float(line[-1]):.3g} with the static variance "
            f"({float(line[0]):.3f} at alpha_z = 0)"
        )
    return lines


def _pinched(flag: bool) -> str:
    return "pinched" if flag else "not pinched"
