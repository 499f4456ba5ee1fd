"""Panels of the figure of gradients: growth through a transition, and a loss that knows J."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from gatefield.analysis.gradients import network_gradients
from gatefield.cells import GatedRNN
from gatefield.compare import FEWEST, compare, compare_gradients, reached_state, with_error
from gatefield.figures.base import Report, silent, verdict
from gatefield.networks import Network
from gatefield.numerics.threads import in_turn
from gatefield.plotting import plot_growth
from gatefield.theory.adjoint import DependentAdjoint, solve_adjoint, solve_dependent_adjoint
from gatefield.theory.dmft import follow_dmft, solve_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov

GROWN = 20.0
"""Horizon of panel (c)."""

TRANSITION = 2.0
"""Gain at which the zero state of the gated RNN loses its stability (Eq. 8)."""

DEPENDENT = GatedRNN(3.0, alpha_z=1.0, alpha_r=1.0)
_STEP = 0.1
_BURN_IN = 30.0
_FINE = 25
_NETWORKS = "#d62839"
_SLOPES = "#3d5a98"


class LossSize(NamedTuple):
    """How much panel (e) computes: horizon, sampled units and batches, networks and their units."""

    horizon: float
    samples: int
    batches: int
    n: int
    networks: int


def growth_table(
    gains: Sequence[float],
    *,
    n: int,
    networks: int,
    samples: int,
    batches: int,
    seed: int = 0,
    report: Report = silent,
) -> xr.Dataset:
    """Return growth rates over the horizon along g_h, by theory, in networks, and in the limit.

    Parameters
    ----------
    gains
        Values of g_h, none of them at the transition.
    n, networks
        Units of each network, and how many at each gain.
    samples, batches
        Of the adjoint in states that move.
    seed
        Of the first network.
    report
        Called with the gains.
    """
    rows: dict[str, list[Any]] = {
        name: []
        for name in (
            "theory",
            "theory_error",
            "limit",
            "expected",
            "measured",
            "error",
            "deviation",
            "limit_deviation",
            "count",
        )
    }
    for g_h in gains:
        report(f"g_h = {g_h:g}")
        cell = GatedRNN(g_h)
        found = solve_adjoint(
            solve_dmft(cell), GROWN, samples=samples, batches=batches, seed=seed, progress=False
        )
        # Fixed points are approached at the leading edge, and left at it by what is not yet there.
        one = compare_gradients(
            cell, n=n, networks=networks, burn_in=150.0, theory=found, readouts=4, seed=seed
        )
        rates, limit = one.comparisons().get("growth_rate"), one.against_limit()
        rows["theory"].append(found.growth_rate)
        rows["theory_error"].append(found.growth_standard_error)
        rows["limit"].append(float(one.limit))
        rows["expected"].append(one.expected_growth)
        rows["measured"].append(np.nan if rates is None else float(rates.measured))
        rows["error"].append(np.nan if rates is None else float(rates.standard_error))
        rows["deviation"].append(np.nan if rates is None else float(rates.deviation))
        rows["limit_deviation"].append(np.nan if limit is None else float(limit.deviation))
        rows["count"].append(int(one.belongs.sum()))
    below = np.linspace(min(gains), TRANSITION, _FINE)
    above = np.linspace(TRANSITION, max(gains), _FINE)[1:]
    moving = follow_dmft([GatedRNN(g) for g in above])
    edges = (below / 2 - 1) / 2
    exponents = [float(mean_field_lyapunov(each).exponent) for each in moving]
    return xr.Dataset(
        {
            **{name: ("g_h", values) for name, values in rows.items()},
            "fine_limit": ("fine_g_h", 2 * np.concatenate([edges, exponents])),
        },
        {"g_h": list(gains), "fine_g_h": np.concatenate([below, above])},
        {"horizon": GROWN, "n": n, "networks": networks},
    )


def draw_growth(ax: Axes, table: xr.Dataset) -> None:
    """Draw growth rates against g_h.

    Parameters
    ----------
    ax
        Where to draw.
    table
        From `growth_table`.
    """
    gains, fine = table["g_h"].to_numpy(), table["fine_g_h"].to_numpy()
    limit = r"$2\lambda_{\max}$, at rest $2\times$ leading edge"
    plot_growth(fine, table["fine_limit"], ax=ax, label=limit)
    rest = fine <= TRANSITION
    lowered = table["fine_limit"].to_numpy()[rest] + prefactor(table.attrs["horizon"])
    plot_growth(
        fine[rest],
        lowered,
        ax=ax,
        label=r"with the prefactor $t^{-1/2}$",
        linestyle="--",
        colour="#7a7a7a",
    )
    look: dict[str, Any] = {"ax": ax, "look": "squares", "colour": _SLOPES}
    label = f"adjoint theory, T = {table.attrs['horizon']:g}"
    plot_growth(gains, table["theory"], table["theory_error"], label=label, **look)
    label = f"networks, N = {table.attrs['n']}"
    look = {"ax": ax, "look": "dots", "colour": _NETWORKS}
    plot_growth(gains, table["measured"], table["error"], label=label, **look)
    ax.set_xlabel(r"gain $g_h$")
    ax.legend(loc="best", fontsize=7.5)


def prefactor(horizon: float) -> float:
    r"""Return what :math:`t^{-1/2}` adds to the slope of the logarithm over the horizon's half.

    Parameters
    ----------
    horizon
        T; the slope by least squares over T/2 ... T, in closed form.
    """
    # The integral of (t - 3T/4) ln t over T/2 ... T, over that of (t - 3T/4)^2, times -1/2.
    return -(9 - 12 * math.log(2)) / horizon


def growth_line(table: xr.Dataset) -> str:
    """Say where theory, its limit and networks agree.

    Parameters
    ----------
    table
        From `growth_table`.
    """
    told = [
        f"(c) growth rate of |a|^2 over T = {table.attrs['horizon']:g} at alpha_z = alpha_r = 0, "
        "theory | its limit over this horizon (limit for T -> infinity) | networks of "
        f"N = {table.attrs['n']}"
    ]
    for g_h in table["g_h"].to_numpy():
        row = table.sel(g_h=g_h)
        theory = with_error(float(row["theory"]), float(row["theory_error"]))
        part = f"g_h = {g_h:g}: {theory} | {float(row['expected']):.4f} ({float(row['limit']):.4f})"
        if np.isfinite(row["measured"]):
            off, far = float(row["deviation"]), float(row["limit_deviation"])
            part += (
                f" | {with_error(float(row['measured']), float(row['error']))} "
                f"({off:+.1f} from theory, {verdict(abs(off) <= 4)}; {far:+.1f} from the limit, "
                f"{verdict(abs(far) <= 4)})"
            )
        else:
            part += f" | {int(row['count'])} networks in this state: too few"
        told.append(part)
    return "\n    ".join(told)


def dependent_table(
    size: LossSize, *, seed: int = 0, report: Report = silent
) -> tuple[DependentAdjoint, xr.Dataset]:
    """Return theory and networks for the loss |h(T)|^2/2, whose adjoint depends on J.

    Parameters
    ----------
    size
        Horizon, samples and networks.
    seed
        Of theory and of the first network.
    report
        Called with what is done.
    """
    report("theory")
    found = solve_dependent_adjoint(
        DEPENDENT,
        size.horizon,
        burn_in=_BURN_IN,
        samples=size.samples,
        batches=size.batches,
        seed=seed,
        progress=False,
    )

    def one(number: int):
        network = Network.sample(DEPENDENT, size.n, seed=seed + number, dtype="float32")
        start = reached_state(network, _BURN_IN, dt=_STEP, seed=seed + number)
        return network_gradients(
            network, start, size.horizon, loss="quadratic", dt=_STEP, progress=False
        )

    every = in_turn(
        one,
        range(size.networks),
        size=size.n,
        lapack=False,
        report=lambda done: report(f"{done} of {size.networks} networks"),
    )
    names = [f"J_{name}" for name in DEPENDENT.field_names]
    columns: dict[str, Any] = {
        "adjoint": (("network", "time"), [each.adjoint_variance["h"] for each in every])
    }
    for name in names:
        values = [float(each.gradient_variance[name]) for each in every]
        columns[name] = ("network", values)
    return found, xr.Dataset(columns, {"time": every[0].times}, {"n": size.n})


def draw_dependent(ax: Axes, theory: Any, networks: xr.Dataset) -> None:
    """Draw the adjoint of that loss: with and without gradient independence, and in networks.

    Parameters
    ----------
    ax
        Where to draw.
    theory, networks
        From `dependent_table`.
    """
    looks = (
        ("adjoint", "exact theory", "black", "-"),
        ("naive_adjoint", "gradient independence", "#e08a00", "--"),
    )
    for name, label, colour, dash in looks:
        value = getattr(theory, f"{name}_variance")["h"]
        error = getattr(theory, f"{name}_standard_error")["h"]
        ax.plot(theory.times, value, color=colour, linestyle=dash, linewidth=1.5, label=label)
        ax.fill_between(theory.times, value - error, value + error, color=colour, alpha=0.22, lw=0)
    rows, times = networks["adjoint"].to_numpy(), networks["time"].to_numpy()
    places = np.unique(np.round(np.linspace(0, times.size - 1, 13)).astype(int))
    error = rows.std(axis=0, ddof=1) / np.sqrt(len(rows))
    ax.errorbar(
        times[places],
        rows.mean(axis=0)[places],
        yerr=error[places],
        fmt="o",
        color=_NETWORKS,
        markersize=3.6,
        capsize=1.5,
        linewidth=0.9,
        label=f"networks, N = {networks.attrs['n']}",
    )
    ax.set_yscale("log")
    ax.set_xlim(0, theory.times[-1])
    ax.set_xlabel("time before the end (time constants)")
    ax.set_ylabel(r"$\langle |a_h|^2 \rangle / N$")
    ax.legend(loc="best")


def dependent_line(theory: DependentAdjoint, networks: xr.Dataset) -> str:
    """Say by how much gradient independence fails, and whether the exact theory holds.

    Parameters
    ----------
    theory, networks
        From `dependent_table`.
    """
    horizon = float(theory.times[-1])
    rows = {
        f"a_h({horizon:g})": (
            *(
                float(getattr(theory, f"{kind}adjoint_{what}")["h"][-1])
                for kind in ("", "naive_")
                for what in ("variance", "standard_error")
            ),
            networks["adjoint"].to_numpy()[:, -1],
        )
    }
    for name in [key for key in map(str, networks.data_vars) if key != "adjoint"]:
        rows[name] = (
            float(theory.gradient_variance[name]),
            float(theory.gradient_standard_error[name]),
            float(theory.naive_gradient_variance[name]),
            float(theory.naive_gradient_standard_error[name]),
            networks[name].to_numpy(),
        )
    told = [
        f"(e) {theory.cell!r}, loss |h(T)|^2/2, T = {horizon:g}: exact theory | with gradient "
        f"independence | networks of N = {networks.attrs['n']}"
    ]
    for name, (exact, error, naive, naive_error, values) in rows.items():
        part = f"{name} {with_error(exact, error)} | {with_error(naive, naive_error)}"
        if values.size >= FEWEST:
            good = compare(exact, values, theory_error=error)
            bad = compare(naive, values, theory_error=naive_error)
            measured = with_error(float(good.measured), float(good.standard_error))
            part += (
                f" | {measured} ({float(good.deviation):+.1f}, {verdict(good.agrees)}; "
                f"from independence {float(bad.deviation):+.1f}, a factor of "
                f"{float(good.measured) / naive:.2f}: "
                f"{'not told from 1' if bad.agrees else 'independence FAILS'})"
            )
        told.append(part)
    return "\n    ".join(told)
