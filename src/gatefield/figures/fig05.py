"""Figure 5 of the paper: static input induces chaos in one network and ends it in another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatefield.cells import GatedRNN
from gatefield.compare import InputResponse, input_response
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.networks import GaussianInput, Network, simulate
from gatefield.phases import dynamical_line, stability_line
from gatefield.plotting import plot_input_response, style

NETWORKS = {"induced": (1.8, 12.0), "suppressed": (3.5, 0.0)}
"""(g_h, alpha_r) on both sides: below the discontinuous line (region 2), and in chaos (region 4).

The caption's values are not in the paper's text: these are ours."""
STRENGTH = 0.3
"""Standard deviation of the input in panels (b) and (d), the same in both."""
LINES = (0.1, 0.2, 0.5)
"""Standard deviations of the input whose critical lines are drawn."""
_CLAIM = {"induced": "induces", "suppressed": "suppresses"}
_COLOURS = {"induced": "#b3123a", "suppressed": "#1f4e9c"}
_SHOWN = 6  # units
_STEP = 0.1
# Just above 0.0116 theory's fixed point is lost: the exponent jumps.
_FINE = (0.012, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0)


class Size(NamedTuple):
    """Units and number of the networks, times, and strengths where networks and theory are."""

    n: int
    networks: int
    t_max: float
    burn_in: float
    strengths: tuple[float, ...]
    fine: tuple[float, ...]


FULL = Size(
    600,
    8,
    150.0,
    250.0,
    (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0),
    tuple(sorted((0.0, 0.005, 0.01, *_FINE, 0.015, 0.025, 0.04, 0.075, 0.25, 0.4, 0.6))),
)
QUICK = Size(300, 4, 100.0, 200.0, (0.0, 0.1, 0.3, 0.5, 1.0), (0.0, 0.01, *_FINE))


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    r"""Compute Figure 5: activity without and with static input, and the largest exponent.

    The input stands within the update gate's bracket; alpha_z = 0.

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
        Tables "traces" (a to d) and "lines" (f); results "networks_induced", "theory_induced" and
        so on (e).

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. V B 4, Fig. 5.
    """
    size = size or (QUICK if quick else FULL)
    report("(a) to (d) activity")
    traces = _traces(size, seed)
    results: dict[str, InputResponse] = {}
    for name in NETWORKS:
        report(f"(e) {name}: theory")
        results[f"theory_{name}"] = input_response(_cell(name), size.fine, sizes=())
        results[f"networks_{name}"] = input_response(
            _cell(name),
            size.strengths,
            sizes=(size.n,),
            networks=size.networks,
            t_max=size.t_max,
            burn_in=size.burn_in,
            seed=seed,
            windows=False,
            report=lambda text, name=name: report(f"(e) {name}: {text}"),
        )
    report("(f) critical lines")
    lines = _critical_lines()
    told = [*_trace_lines(traces)]
    for name in NETWORKS:
        told.append(_line(name, results[f"theory_{name}"], results[f"networks_{name}"]))
    return FigureResult(
        {}, {}, {"traces": traces, "lines": lines}, (*told, _shift_line(lines)), results
    )


def figure(result: FigureResult) -> Figure:
    """Draw Figure 5.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Activity in (a) to (d), exponents in (e), critical lines in (f).
    """
    with style():
        drawn, axes = plt.subplots(
            2, 3, figsize=(11.5, 6.0), gridspec_kw={"width_ratios": [1, 1, 1.35]}
        )
        for row, name in enumerate(NETWORKS):
            for column in range(2):
                letter = "abcd"[2 * row + column]
                _draw_traces(axes[row, column], result.tables["traces"], name, column, letter)
        _draw_exponents(axes[0, 2], result.results)
        _draw_lines(axes[1, 2], result.tables["lines"])
    return drawn


def _cell(name: str) -> GatedRNN:
    g_h, alpha_r = NETWORKS[name]
    return GatedRNN(g_h, alpha_r=alpha_r, input_gating="update")


def _traces(size: Size, seed: int) -> xr.Dataset:
    """Return some units of one network each, without and with the same input."""
    strengths, states, motion = (0.0, STRENGTH), [], []
    given = GaussianInput(variance=STRENGTH**2).realise(size.n, 1.0, dt=_STEP, seed=seed)
    times = np.zeros(0)
    for name in NETWORKS:
        network = Network.sample(_cell(name), size.n, seed=seed)
        for strength in strengths:
            run = simulate(
                network,
                size.burn_in + size.t_max,
                dt=_STEP,
                inputs={"h": given} if strength else None,
                seed=seed,
                save_every=5,
                progress=False,
            )
            times = run.times - size.burn_in
            states.append(run.states[:, 0, :_SHOWN])
            late = run.states[times >= 0, 0]
            # How much units move, not how far from zero they are.
            motion.append(float(np.sqrt(np.mean(np.var(late, axis=0)))))
    shape = (len(NETWORKS), len(strengths))
    return xr.Dataset(
        {
            "h": (
                ("network", "strength", "time", "unit"),
                np.array(states).reshape(*shape, times.size, _SHOWN),
            ),
            "motion": (
                ("network", "strength"),
                np.reshape(motion, shape),
                {"description": "root mean square over units of h about its mean over time"},
            ),
        },
        {"network": list(NETWORKS), "strength": list(strengths), "time": times},
    )


def _critical_lines() -> xr.Dataset:
    """Return the g_h above which no fixed point is stable, and where chaos exists without input."""
    alphas = np.concatenate([np.linspace(0.0, 10.0, 41), np.geomspace(10.5, 60.0, 30)])
    gains = np.linspace(1.66, 1.995, 30)
    rows = [stability_line(alpha_r=alphas, input_variance={"h": s**2}) for s in LINES]
    return xr.Dataset(
        {
            "g_h": (("strength", "alpha_r"), np.array(rows)),
            "dynamical": ("gain", dynamical_line(gains, tau_r=0.0)),
        },
        {"strength": list(LINES), "alpha_r": alphas, "gain": gains},
    )


def _trace_lines(traces: xr.Dataset) -> list[str]:
    told = []
    for name, letters in (("induced", "(a), (b)"), ("suppressed", "(c), (d)")):
        without, given = (float(each) for each in traces["motion"].sel(network=name))
        good = given > 10 * without if name == "induced" else given < 0.1 * without
        told.append(
            f"{letters} one network: h moves by {without:.4f} without input and by {given:.4f} "
            f"with sigma_I = {STRENGTH:g}: {_CLAIM[name]} motion, as the paper says: "
            f"{verdict(good)}"
        )
    return told


def _line(name: str, theory: InputResponse, networks: InputResponse) -> str:
    g_h, alpha_r = NETWORKS[name]
    rows = "; ".join(
        f"{strength:g}: {exponent:.4f} | {mean:.4f} +- {error:.4f}"
        for strength, exponent, mean, error in zip(
            networks.strengths,
            networks.exponent,
            networks.mean_rates,
            networks.mean_errors,
            strict=True,
        )
    )
    windows = ", ".join(
        f"{low:.4f} to {high:.4f}" for low, high in zip(theory.lower, theory.upper, strict=True)
    )
    # With no input the network at rest below the line turns chaotic, and at last rests again.
    expected = {"induced": ("both", "induces chaos"), "suppressed": ("suppresses chaos",)}[name]
    good = theory.effect in expected and networks.effect_on_networks in expected
    return (
        f"(e) g_h = {g_h:g}, alpha_r = {alpha_r:g}: input {_CLAIM[name]} chaos in theory and in "
        f"networks: {verdict(good)} (theory: {theory.effect}, networks: "
        f"{networks.effect_on_networks}); no stable fixed point for sigma_I = {windows}\n"
        f"    sigma_I: exponent of theory | of networks of N = {int(networks.sizes[0])} (which lie "
        f"below by about 1/N): {rows}"
    )


def _shift_line(lines: xr.Dataset) -> str:
    """Say where input moves the critical line: up at small alpha_r, down at large."""
    told, good = [], True
    for strength in LINES:
        row = lines["g_h"].sel(strength=strength).values
        below = row < 2.0
        good = good and not below[0] and bool(below[-1])
        first = lines["alpha_r"].values[np.argmax(below)] if below.any() else np.inf
        told.append(
            f"sigma_I = {strength:g}: g_h = {row[0]:.3f} at alpha_r = 0, below 2 from "
            f"alpha_r = {first:.2g} on"
        )
    return f"(f) input raises the line at alpha_r = 0 and lowers it at large: {verdict(good)} (" + (
        "; ".join(told) + ")"
    )


def _draw_traces(ax: Axes, traces: xr.Dataset, name: str, column: int, letter: str) -> None:
    one = traces["h"].sel(network=name).isel(strength=column)
    late = one.sel(time=slice(-50.0, None))
    colours = plt.get_cmap("viridis")(np.linspace(0.0, 0.9, _SHOWN))
    for unit in range(_SHOWN):
        ax.plot(late["time"], late[:, unit], color=colours[unit], linewidth=1.0)
    g_h, alpha_r = NETWORKS[name]
    told = "no input" if column == 0 else rf"$\sigma_I = {STRENGTH:g}$"
    ax.set_title(rf"({letter})  $g_h = {g_h:g}$, $\alpha_r = {alpha_r:g}$, {told}", fontsize=9.5)
    ax.set_xlim(float(late["time"][0]), float(late["time"][-1]))
    largest = 1.1 * float(np.max(np.abs(traces["h"].sel(network=name, time=slice(-50.0, None)))))
    ax.set_ylim(-largest, largest)
    ax.set_xlabel("time")
    if column == 0:
        ax.set_ylabel(r"$h_i$")


def _draw_exponents(ax: Axes, results: Mapping[str, Any]) -> None:
    for name, (g_h, alpha_r) in NETWORKS.items():
        look: dict[str, Any] = {"ax": ax, "colour": _COLOURS[name]}
        theory, networks = results[f"theory_{name}"], results[f"networks_{name}"]
        plot_input_response(theory, networks=False, windows=name == "induced", **look)
        plot_input_response(networks, theory=False, windows=False, **look)
        label = rf"$g_h = {g_h:g}$, $\alpha_r = {alpha_r:g}$"
        ax.plot([], [], color=_COLOURS[name], label=label)
    handles, labels = ax.get_legend_handles_labels()
    named = {text: handle for handle, text in zip(handles, labels, strict=True)}
    kept = [text for text in named if text.startswith("$") or "no stable" in text]
    g_h = NETWORKS["induced"][0]
    shown = [text if text.startswith("$") else rf"{text} at $g_h = {g_h:g}$" for text in kept]
    ax.legend([named[text] for text in kept], shown, fontsize=8, loc="lower left")
    n = int(results["networks_induced"].sizes[0])
    ax.set_title(f"(e)  theory (lines), networks of $N = {n}$ (dots)", fontsize=9.5)


def _draw_lines(ax: Axes, lines: xr.Dataset) -> None:
    shades = plt.get_cmap("Oranges")(np.linspace(0.45, 0.95, len(LINES)))
    ax.axvline(2.0, color="black", linewidth=1.4, label="no input, fixed point unstable")
    ax.plot(
        lines["gain"],
        lines["dynamical"],
        color="black",
        linestyle="--",
        linewidth=1.4,
        label="no input, chaos appears",
    )
    for strength, shade in zip(LINES, shades, strict=True):
        row = lines["g_h"].sel(strength=strength)
        ax.plot(row, lines["alpha_r"], color=shade, label=rf"$\sigma_I = {strength:g}$")
    for name, (g_h, alpha_r) in NETWORKS.items():
        ax.plot(g_h, alpha_r, "o", color=_COLOURS[name], markersize=6, zorder=5, clip_on=False)
    ax.set_xlim(1.0, 4.0)
    ax.set_ylim(0.0, 30.0)
    ax.set_xlabel(r"$g_h$")
    ax.set_ylabel(r"$\alpha_r$")
    ax.legend(fontsize=8, loc="upper right")
    ax.set_title("(f)  where fixed points lose stability", fontsize=9.5)
