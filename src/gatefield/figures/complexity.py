"""Topological against dynamical complexity (Sec. V B, Appendix J): where points, where chaos."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from gatefield.cells import GatedRNN
from gatefield.compare.counts import FixedPointCounts, count_fixed_points
from gatefield.core.results import Status
from gatefield.core.types import HostArray
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.figures.complexity_panels import (
    COUNTED,
    GAIN,
    LARGEST,
    draw_counts,
    draw_distribution,
    draw_exponent,
    draw_topology,
)
from gatefield.figures.lines import coexisting_rows, line_table
from gatefield.phases import fixed_point_line
from gatefield.plotting import style
from gatefield.theory.complexity import (
    AnnealedComplexity,
    Complexity,
    ExpectedCount,
    annealed_complexity,
    complexity,
    expected_count,
)
from gatefield.theory.dynamical_fold import lagged_fold, potential_fold
from gatefield.theory.static import StaticMeanField, solve_static

_LOWEST = 3.0  # nothing is left of the annealed solution here


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    alphas
        Values of alpha_r on each side of the fold, for the complexity.
    moving
        Values of alpha_r for the exponent.
    sizes, networks, rounds
        Units of the networks that are counted, how many of each, and rounds of searches.
    expected, draws
        Units for the mean number by Monte Carlo, and draws.
    units
        Of the matrices whose eigenvalues are compared.
    """

    alphas: int
    moving: int
    sizes: tuple[int, ...]
    networks: int
    rounds: int
    expected: tuple[int, ...]
    draws: int
    units: int


FULL = Size(14, 8, (10, 16, 24), 32, 10, (10, 16, 24, 32, 48, 64, 96), 4000, 1000)
QUICK = Size(7, 4, (10, 16), 12, 4, (10, 16, 32, 64), 600, 400)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    """Compare where fixed points proliferate with where chaos appears, along alpha_r at g_h = 1.8.

    The paper has no such figure: Sec. V B says it in words. The parameters are those of its Fig. 4.

    Parameters
    ----------
    quick
        Few and small networks.
    seed
        Of the first network.
    report
        Called with what is being computed.
    size
        Overrides ``quick``.

    Returns
    -------
    FigureResult
        Tables "branches" and "mean_number" (a), "exponent" (b), "counts" and "expected" (c),
        "eigenvalues" (d); result "distribution".

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. V B, Appendix J.
    """
    size = size or (QUICK if quick else FULL)
    critical = {
        "fixed_points": float(fixed_point_line(GAIN)),
        "fast": float(potential_fold(GAIN).alpha_r),
        "slow": float(lagged_fold(GAIN, 1.0).alpha_r),
    }
    report("(a) complexity of the branches")
    branches = _branches(critical["fixed_points"], size)
    report("(a) mean number of fixed points")
    followed, mean_number = _mean_number(critical["fixed_points"], size)
    report("(b) largest Lyapunov exponent")
    part = np.linspace(0.03, 1, size.moving) ** 2
    values = critical["slow"] + (LARGEST - critical["slow"]) * part
    cells = {float(alpha): GatedRNN(GAIN, alpha_r=alpha) for alpha in values}
    exponent = line_table("alpha_r", coexisting_rows(cells, critical["slow"]), **critical)
    cell = GatedRNN(GAIN, alpha_r=COUNTED)
    upper = solve_static(cell)[-1]
    counts = []
    for n in size.sizes:
        report(f"(c) fixed points of networks of {n} units")
        counts.append(
            count_fixed_points(cell, n, networks=size.networks, rounds=size.rounds, seed=seed)
        )
    expected = []
    annealed = annealed_complexity(upper)
    for n in size.expected:
        report(f"(c) mean number of fixed points, {n} units")
        one = expected_count(annealed, n, draws=size.draws, seed=seed, progress=False)
        expected.append(one)
    report("(d) eigenvalues")
    distribution = complexity(upper)
    moduli = _moduli(upper, size.units, seed)
    tables = {
        "branches": branches.assign_attrs(**critical),
        "mean_number": mean_number,
        "exponent": exponent,
        "counts": _counts_table(counts),
        "expected": _expected_table(expected),
        "eigenvalues": xr.Dataset({"modulus": ("mode", moduli)}),
    }
    lines = (
        _topology_line(branches, mean_number, critical),
        _dynamics_line(exponent, critical),
        _count_line(counts, expected, distribution, annealed),
        _distribution_line(distribution, moduli),
    )
    results = {"distribution": distribution, "annealed": annealed, "lowest": followed}
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
        Panels (a) to (d).
    """
    tables = result.tables
    critical = tables["branches"].attrs
    with style():
        drawn = plt.figure(figsize=(10.6, 7.0))
        axes = drawn.subplot_mosaic("ac;bd")
        axes["b"].sharex(axes["a"])
        draw_topology(axes["a"], tables, critical)
        draw_exponent(axes["b"], tables["exponent"], critical)
        draw_counts(axes["c"], result)
        draw_distribution(axes["d"], result)
    return drawn


def _branches(fold: float, size: Size) -> xr.Dataset:
    """Return the complexity of both nonzero branches from the fold on."""
    # They meet as a square root.
    alphas = fold + (LARGEST - fold) * np.linspace(0.01, 1, size.alphas) ** 2
    rows = np.full((2, 2, alphas.size), np.nan)
    for place, alpha in enumerate(alphas):
        for number, one in enumerate(solve_static(GatedRNN(GAIN, alpha_r=alpha))[1:]):
            found = complexity(one, points=2)
            rows[:, number, place] = float(found.value), float(found.radius)
    dims = ("branch", "alpha_r")
    names = ["lower", "upper"]
    columns = {"complexity": (dims, rows[0]), "radius": (dims, rows[1])}
    return xr.Dataset(columns, {"alpha_r": alphas, "branch": names}, {"g_h": GAIN})


def _mean_number(fold: float, size: Size) -> tuple[AnnealedComplexity, xr.Dataset]:
    """Return the exponent of the mean number, followed from above the fold to below it."""
    alphas = np.linspace(_LOWEST, fold, size.alphas)[::-1]
    above = fold + (LARGEST - fold) * np.linspace(0.01, 1, size.alphas) ** 2
    found = {
        float(alpha): annealed_complexity(solve_static(GatedRNN(GAIN, alpha_r=alpha))[-1])
        for alpha in above
    }
    last = found[float(above[0])]
    for alpha in alphas:
        one = annealed_complexity(last, cell=GatedRNN(GAIN, alpha_r=alpha), throw=False)
        if one.status is not Status.OK:
            break
        last = found[float(alpha)] = one
    places = sorted(found)
    values = [float(found[alpha].value) for alpha in places]
    return last, xr.Dataset({"exponent": ("alpha_r", values)}, {"alpha_r": places})


def _moduli(solution: StaticMeanField, n: int, seed: int) -> HostArray:
    """Return the moduli of the eigenvalues of J^h (a + b J^r q), the matrix that counts."""
    cell: Any = solution.cell
    rng = np.random.default_rng(seed)
    J_h, J_r = rng.standard_normal((2, n, n)) / np.sqrt(n)
    h = np.sqrt(float(solution.variance["h"])) * rng.standard_normal(n)
    r = np.sqrt(float(solution.variance["r"])) * rng.standard_normal(n)
    phi, gate = np.tanh(cell.g_h * h), 1 / (1 + np.exp(-cell.alpha_r * r))
    slope, gate_slope = cell.g_h * (1 - phi**2), cell.alpha_r * gate * (1 - gate)
    matrix = J_h @ (np.diag(slope * gate) + (phi * gate_slope)[:, None] * J_r * slope)
    return np.sort(np.abs(np.linalg.eigvals(matrix)))


def _counts_table(counts: list[FixedPointCounts]) -> xr.Dataset:
    columns: dict[str, Any] = {
        name: (("n", "network"), np.array([getattr(one, name) for one in counts]))
        for name in ("found", "once", "missing", "index", "searches")
    }
    for name in ("log_mean", "mean_log", "mean_log_error"):
        columns[name] = ("n", [float(getattr(one, name)) for one in counts])
    ends = np.array([one.log_mean_interval for one in counts])
    columns["log_mean_interval"] = (("n", "end"), ends)
    return xr.Dataset(columns, {"n": [one.n for one in counts]})


def _expected_table(expected: list[ExpectedCount]) -> xr.Dataset:
    names = ("value", "standard_error", "effective")
    columns = {name: ("n", [float(getattr(one, name)) for one in expected]) for name in names}
    return xr.Dataset(columns, {"n": [one.n for one in expected]})


def _crossing(mean_number: xr.Dataset) -> float:
    """Return the alpha_r at which the mean number begins to grow, by interpolation."""
    values, places = mean_number["exponent"].values, mean_number["alpha_r"].values
    if values.min() > 0:
        return float("nan")
    return float(np.interp(0.0, values, places))


def _topology_line(branches: xr.Dataset, mean_number: xr.Dataset, critical: Any) -> str:
    C = branches["complexity"]
    fold = critical["fixed_points"]
    at = float(np.interp(fold, mean_number["alpha_r"], mean_number["exponent"]))
    below = _crossing(mean_number)
    jump = float(C.values[:, 0].mean())
    ordered = bool((C > 0).all())
    return (
        f"(a) the paper's complexity is 0 below alpha_r = {fold:.6f}, where two branches appear "
        f"with C = {C.values[0, 0]:.5f} and {C.values[1, 0]:.5f} (radius > 1): a jump of "
        f"{jump:.4f}, {verdict(ordered)} with the claim; at alpha_r = {LARGEST:g} C = "
        f"{C.values[0, -1]:.5f} and {C.values[1, -1]:.5f}.\n    The exponent of the mean number, "
        f"with the points' distribution left free, is {at:.4f} at the fold and "
        f"{float(mean_number['exponent'][-1]):.4f} at {LARGEST:g}; it vanishes at alpha_r = "
        f"{below:.3f} already "
        f"and passes the fold without a jump: {verdict(not below < fold)} with the claim"
    )


def _dynamics_line(exponent: xr.Dataset, critical: Any) -> str:
    moving = exponent["kind"].values == "moving"
    first = float(exponent["exponent"].values[moving][0])
    decoupled = critical["fixed_points"] < min(critical["slow"], critical["fast"]) and first > 0
    return (
        f"(b) lambda_max stays at {GAIN / 4 - 0.5:.4f} (the zero fixed point) up to alpha_r = "
        f"{critical['slow']:.4f} (tau_r = 1; {critical['fast']:.4f} for tau_r -> 0) and jumps to "
        f"{first:.4f} there: chaos appears later than fixed points, {verdict(decoupled)} with the "
        "claim that topological and dynamical complexity are decoupled"
    )


def _count_line(
    counts: list[FixedPointCounts],
    expected: list[ExpectedCount],
    paper: Complexity,
    annealed: AnnealedComplexity,
) -> str:
    told = [
        f"(c) alpha_r = {COUNTED:g}: C = {float(paper.value):.4f} (paper), "
        f"{float(annealed.value):.4f} (mean number); found by search | exact mean number"
    ]
    known = {one.n: one for one in expected}
    for one in counts:
        mean, error = one.found.mean(), one.found.std(ddof=1) / np.sqrt(one.found.size)
        low, high = one.log_mean_interval
        part = (
            f"N = {one.n}: {mean:.2f} +- {error:.2f}, ln(mean)/N = {float(one.log_mean):.3f} "
            f"({low:.3f} to {high:.3f}), mean ln/N = {float(one.mean_log):.3f} +- "
            f"{float(one.mean_log_error):.3f}; found once {one.share_once:.0%}, missing (Chao) "
            f"{one.missing.mean():.2f}, index 1 in {one.complete:.0%}"
        )
        if one.n in known:
            other = known[one.n]
            off = (mean - float(other.value)) / np.hypot(error, float(other.standard_error))
            part += (
                f" | {float(other.value):.2f} +- {float(other.standard_error):.2f} "
                f"({off:+.1f} standard errors, {verdict(bool(abs(off) < 4))})"
            )
        told.append(part)
    first, last = expected[-2], expected[-1]
    logs = [float(np.log(one.value)) for one in (first, last)]
    errors = [float(one.standard_error / one.value) for one in (first, last)]
    slope = (logs[1] - logs[0]) / (last.n - first.n)
    error = float(np.hypot(errors[0], errors[1])) / (last.n - first.n)
    for name, value in (("the paper's C", paper.value), ("the mean number's", annealed.value)):
        off = (slope - float(value)) / error
        told.append(
            f"exact growth rate from N = {first.n} to {last.n}: {slope:.4f} +- {error:.4f}, "
            f"{off:+.1f} standard errors from {name} {float(value):.4f}"
        )
    return "\n    ".join(told)


def _distribution_line(paper: Complexity, moduli: HostArray) -> str:
    inside = np.searchsorted(moduli, paper.radii, side="right") / moduli.size
    off = float(np.max(np.abs(inside - paper.distribution)))
    # The number of eigenvalues in a disc scatters by less than the root of N / 4 of free points.
    bound = 2 / np.sqrt(moduli.size)
    return (
        f"(d) F(r) of {moduli.size} eigenvalues is within {off:.4f} of theory (radius "
        f"{float(paper.radius):.4f}, largest modulus {moduli[-1]:.4f}), {verdict(off < bound)}"
    )
