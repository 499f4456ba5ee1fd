"""Figure 6 of the paper: memories are reset by the output gate and by the update gate."""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from gatefield.analysis import perturbation_growth
from gatefield.analysis.reset import (
    Erasure,
    Pulse,
    context_gate,
    memory_coupling,
    reset_by_output_gate,
    reset_by_pulse,
    reset_by_update_gate,
)
from gatefield.cells import GatedRNN, LinearGatedRNN
from gatefield.compare import FEWEST
from gatefield.figures.base import FigureResult, Report, silent, verdict
from gatefield.networks import Network, simulate
from gatefield.plotting import style
from gatefield.plotting.integrator import SLOW, plot_erasure, plot_traces, shades
from gatefield.theory.dmft import solve_dmft
from gatefield.theory.lyapunov import mean_field_lyapunov
from gatefield.theory.static import solve_static

GAIN, SWITCH = 3.0, 30.0
"""g_h and alpha_z of the network that is scrambled, alpha_r = 0."""
INPUTS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""I_z of the pulses; the caption, with the paper's values, is lost."""
DURATION, AFTER = 5.0, 30.0
"""Of a pulse, and from its end until the state is compared with the one before."""
SHUT = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
"""For how long the linear network's output gate is shut."""
MEMORY, CUES = 10.0, (0.3, 0.6, 1.2)
"""Norm of the memory in the linear network, and of cues as root mean squares over units."""
_DEPTH, _OPEN = 120.0, 60.0
"""Input that shuts the linear network's gate, and its bias: open and shut to rounding."""
_THRESHOLD, _STEEPNESS = 0.3, 80.0
_START = 0.1
"""Standard deviation of the states from which networks settle: gates then set their own values."""
_CHAOTIC = 0.01  # an exponent above, as of networks whose gates are shut at rest
_STEP = 0.1
_GREY, _BLUE = "#7a7a7a", "#3d5a98"


class Size(NamedTuple):
    """How much is computed.

    Attributes
    ----------
    n, networks, memories
        Units of each network, networks, and memories stored in each.
    relaxation
        Time in which a memory settles.
    growth, grown
        Time over which exponents under sustained input are measured, and in how many networks.
    """

    n: int
    networks: int
    memories: int
    relaxation: float
    growth: float
    grown: int


FULL = Size(400, 8, 8, 500.0, 200.0, 8)
QUICK = Size(300, 3, 6, 300.0, 100.0, 2)


def compute(
    *, quick: bool = False, seed: int = 0, report: Report = silent, size: Size | None = None
) -> FigureResult:
    """Compute Figure 6: reset to zero by the output gate, by context, and by scrambling.

    The caption is lost. Above: a linear network of 200 units with two modes of no decay, whose
    output gate is shut for a while, and one whose gate shuts where tanh(h) aligns with a pattern u.
    Below: networks of g_h = 3, alpha_z = 30 in their marginal state, and pulses of I_z to the
    update gate for five time constants.

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
        Results "shut", "context" and "scrambled" (first network), tables "scrambling" (network,
        pulse) and "exponents".

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Fig. 6, Sec. VI, Eq. 8.
    """
    size = size or (QUICK if quick else FULL)
    report("linear networks")
    shut, (context, own) = _shut(seed), _context(seed)
    found, states = [], []
    for place in range(size.networks):
        report(f"network {place + 1} of {size.networks}")
        network = Network.sample(GatedRNN(GAIN, alpha_z=SWITCH), size.n, seed=seed + place)
        starts = np.random.default_rng(seed + place).standard_normal((size.memories, 3, size.n))
        path = simulate(
            network,
            size.relaxation,
            dt=_STEP,
            initial=_START * starts,
            save_every=round(size.relaxation / _STEP),
            progress=False,
        )
        states.append((network, path.final[0]))
        found.append(
            reset_by_update_gate(
                network,
                path.final,
                INPUTS,
                duration=DURATION,
                after=AFTER,
                dt=_STEP,
                progress=False,
            )  # fmt: skip
        )
    exponents = _exponents(states[: size.grown], size, report)
    tables = {"scrambling": _scrambling(found), "exponents": exponents}
    lines = (_shut_line(shut), _context_line(context, own), *_scrambling_lines(tables))
    results = {"shut": shut, "context": context, "own": own, "scrambled": found[0]}
    return FigureResult({}, {}, tables, lines, results)


def _shut(seed: int) -> Erasure:
    """Shut the output gate of a linear network that holds a memory of norm `MEMORY`."""
    coupling, patterns = memory_coupling(200, 2, seed=seed)
    cell = LinearGatedRNN(beta_r=_OPEN)
    network = Network.of_couplings(cell, {"r": np.zeros_like(coupling), "h": coupling})
    return reset_by_output_gate(
        network, MEMORY * patterns[0][None], SHUT, depth=_DEPTH, after=14.0, every=0.5, dt=_STEP,
        progress=False,
    )  # fmt: skip


def _context(seed: int) -> tuple[Erasure, Erasure]:
    """Send cues along u and along another pattern, and let a memory along u itself shut the gate.

    A memory along u is twice as large, to be well above the threshold.
    """
    coupling, patterns = memory_coupling(200, 2, seed=seed)
    drawn = np.random.default_rng(seed + 1).standard_normal((2, 200)).T
    drawn -= patterns.T @ (patterns @ drawn)
    cue, other = np.linalg.qr(drawn)[0].T * np.sqrt(200)
    network = context_gate(coupling, cue, threshold=_THRESHOLD, steepness=_STEEPNESS)
    pulses = [Pulse("h", strength * cue, DURATION) for strength in CUES]
    pulses.append(Pulse("h", CUES[-1] * other, DURATION))
    options: dict[str, Any] = {"after": 15.0, "every": 0.2, "dt": _STEP, "progress": False}
    found = reset_by_pulse(network, MEMORY * patterns[0][None], pulses, **options)
    listening = context_gate(coupling, patterns[0], threshold=_THRESHOLD, steepness=_STEEPNESS)
    # Without any cue: the control alone is of interest.
    silence = [Pulse("h", 0.0, DURATION)]
    own = reset_by_pulse(listening, 2 * MEMORY * patterns[0][None], silence, **options)
    return found, own


def _exponents(states: list[tuple[Network, np.ndarray]], size: Size, report: Report) -> xr.Dataset:
    """Measure the largest exponent under sustained I_z, and where Eq. 8 puts its onset."""
    given = (0.0, *INPUTS)
    rates = np.empty((len(states), len(given)))
    for row, (network, state) in enumerate(states):
        for column, strength in enumerate(given):
            report(f"exponent of network {row + 1} under I_z = {strength:g}")
            inputs = {"z": strength}
            steps = round(size.growth / _STEP)
            path = simulate(
                network, size.growth, dt=_STEP, inputs=inputs, initial=state, save_every=steps,
                progress=False,
            )  # fmt: skip
            growth = perturbation_growth(network, path.final, size.growth, dt=_STEP, inputs=inputs)
            rates[row, column] = float(growth.rate)
    static = solve_static(GatedRNN(GAIN))[-1]
    # rho^2 <s_z> = 1 with <s_z> = P(z + I_z > 0), z of variance D_z: Eq. 8 for switches.
    # I_z opens every gate where it is strong: theory is exact for s_z = 1.
    opened = mean_field_lyapunov(solve_dmft(GatedRNN(GAIN, beta_z=_OPEN)))
    critical = np.sqrt(float(static.variance["z"])) * norm.ppf(float(static.radius) ** -2)
    return xr.Dataset(
        {"exponent": (("network", "input_z"), rates, {"units": "1 / time constant"})},
        {"input_z": list(given)},
        {"critical_input": float(critical), "opened": float(opened.exponent)},
    )


def _scrambling(found: list[Erasure]) -> xr.Dataset:
    """Return what pulses of I_z leave at the end, network by network."""
    dims = ("network", "input_z")
    columns = {
        "correlation": [one.correlation[..., -1].mean(axis=1) for one in found],
        "background": [one.background[:, -1] for one in found],
        "identified": [one.identified[:, -1] for one in found],
        "separation": [one.separation[:, -1] for one in found],
    }
    return xr.Dataset(
        {
            **{name: (dims, np.array(values)) for name, values in columns.items()},
            "half": ("network", [one.threshold() for one in found]),
        },
        {"input_z": [0.0, *INPUTS]},
        {"memories": found[0].memories, "duration": DURATION, "after": AFTER},
    )


def _shut_line(shut: Erasure) -> str:
    left = shut.at_end("size")[:, 0]
    off = float(np.max(np.abs(left / np.exp(-shut.durations) - 1)))
    later = float(np.max(np.abs(shut.size[1:, 0, -1] / left[1:] - 1)))
    return (
        f"(a) linear network, output gate shut for d: |h| = {MEMORY:g} e^-d to {off:.0e} for d up "
        f"to {max(SHUT):g}, {verdict(off < 1e-4)}; afterwards it stays what it is to {later:.0e}: "
        "the gate resets to zero only as far as it is shut for long"
    )


def _context_line(context: Erasure, own: Erasure) -> str:
    kept = context.overlap[:, 0, -1]
    cues = ", ".join(f"{k:.3f} at {c:g}" for k, c in zip(kept[1:], CUES, strict=False))
    reset, spared = kept[len(CUES)] < 0.05, kept[-1] > 0.95
    return (
        f"(b) gate that shuts where tanh(h) aligns with u (threshold {_THRESHOLD:g}): a memory "
        f"along another direction is left with {cues} after a cue along u for {DURATION:g}, and "
        f"with {kept[-1]:.3f} after a cue of {CUES[-1]:g} that is orthogonal to u; reset by "
        f"context alone: {verdict(bool(reset and spared))}. A memory along u itself is cut from "
        f"{2 * MEMORY:g} to {2 * MEMORY * own.size[0, 0, -1]:.2f}, not to zero: the gate opens "
        "again at its threshold"
    )


def _scrambling_lines(tables: dict[str, xr.Dataset]) -> list[str]:
    table, exponents = tables["scrambling"], tables["exponents"]
    mean = table.mean("network")

    def row(name: str, form: str) -> str:
        return ", ".join(format(float(value), form) for value in mean[name])

    falls = bool(np.all(np.diff(mean["correlation"]) < 0))
    kept, gone = float(mean["correlation"][0]), float(mean["correlation"][-1])
    ends = verdict(falls and kept > 0.95 and gone < 0.5 * kept)
    rates = exponents["exponent"].median("network")
    count = exponents.sizes["network"]
    chaotic = (exponents["exponent"] > _CHAOTIC).sum("network")
    longest = DURATION * max(float(exponents["exponent"].max()), exponents.attrs["opened"])
    critical, half = exponents.attrs["critical_input"], float(table["half"].mean())
    given = ", ".join(f"{value:g}" for value in table["input_z"].values)
    return [
        f"(c) alpha_z = {SWITCH:g}, I_z for {DURATION:g}, {AFTER:g} later; I_z = {given}: "
        f"correlation with the state before {row('correlation', '.2f')} (a memory without pulse, "
        f"erased by strong ones: {ends}); states of other memories {row('background', '.2f')}; "
        f"memories identified {row('identified', '.2f')} of {table.attrs['memories']}; distance of "
        f"two memories, relative, {row('separation', '.2f')}",
        f"    largest exponent under sustained I_z, median of {count} networks: "
        f"{', '.join(f'{float(r):+.3f}' for r in rates)}; chaotic (> {_CHAOTIC:g}): "
        f"{', '.join(str(int(c)) for c in chaotic)} of them. Theory for gates wide open: "
        f"{exponents.attrs['opened']:+.3f}, weak chaos that dies out in some networks of this "
        f"size. Eq. 8 with <s_z> raised puts its onset at I_z = {critical:.2f} for switches: "
        f"{_onset(exponents)}",
        f"    half is erased at I_z = {half:.2f}, as the paper has it near that onset: "
        f"{verdict(0.5 < half / critical < 2)}; but the state is erased gradually from zero on, "
        f"and chaos has no time to act: distances grow by e^({longest / DURATION:.3f} x "
        f"{DURATION:g}) = {np.exp(longest):.1f} at most during the pulse. Units whose "
        "gate is opened move to where their fields send them, the more of them the stronger the "
        "pulse",
    ]


def _onset(exponents: xr.Dataset) -> str:
    """Say whether most networks are chaotic above the onset, and few below."""
    if exponents.sizes["network"] < FEWEST:
        return f"not judged in fewer than {FEWEST} networks"
    chaotic = exponents["exponent"] > _CHAOTIC
    above = chaotic["input_z"] > exponents.attrs["critical_input"]
    parts = [float(chaotic.where(side, drop=True).mean()) for side in (~above, above)]
    return (
        f"{parts[0]:.0%} of the runs below and {parts[1]:.0%} above it are chaotic, "
        f"{verdict(parts[0] < 0.5 < parts[1])}"
    )


def figure(result: FigureResult) -> Figure:
    """Draw Figure 6.

    Parameters
    ----------
    result
        From `compute`.

    Returns
    -------
    Figure
        Above: (a) the output gate, (b) reset by context, (c) scrambling against the input. Below:
        units of one network under pulses of three strengths.
    """
    shut: Any = result.results["shut"]
    context: Any = result.results["context"]
    scrambled: Any = result.results["scrambled"]
    with style():
        drawn, axes = plt.subplots(2, 3, figsize=(11.5, 6.6))
        _draw_shut(axes[0, 0], shut)
        colours = [_GREY, *shades(len(CUES)), _BLUE]
        labels = [
            "no cue",
            *(f"cue along u, {c:g}" for c in CUES),
            f"cue not along u, {CUES[-1]:g}",
        ]
        plot_erasure(context, "overlap", ax=axes[0, 1], labels=labels, colours=colours)
        for line, dash in ((axes[0, 1].lines[len(CUES) + 1], "--"), (axes[0, 1].lines[0], ":")):
            line.set(linestyle=dash, zorder=4)
        axes[0, 1].set_ylabel("overlap with the memory")
        axes[0, 1].set_title("(b)  the gate shuts along u")
        axes[0, 1].legend(loc="center right", bbox_to_anchor=(1.0, 0.62))
        _draw_scrambling(axes[0, 2], result)
        shown = (0, 1 + INPUTS.index(0.5), len(INPUTS))
        for ax, pulse, letter in zip(axes[1], shown, "def", strict=True):
            plot_traces(scrambled, pulse, ax=ax)
            strength = scrambled.strengths[pulse]
            what = rf"$I_z = {strength:g}$" if pulse else "no pulse"
            ax.set_title(rf"({letter})  $\alpha_z = {SWITCH:g}$, {what}")
            ax.sharey(axes[1, 0])
    return drawn


def _draw_shut(ax: Axes, shut: Erasure) -> None:
    fine = np.linspace(0.0, max(SHUT), 100)
    ax.plot(fine, MEMORY * np.exp(-fine), color="black", lw=1.2, label=rf"${MEMORY:g}\,e^{{-d}}$")
    left = MEMORY * shut.at_end("size")[:, 0]
    ax.plot(shut.durations, left, "o", color=SLOW, ms=5, label="when the gate opens")
    later = MEMORY * shut.size[:, 0, -1]
    label = f"{shut.times[-1]:g} after it shut"
    ax.plot(shut.durations, later, "x", color=_BLUE, ms=7, label=label)
    ax.set_yscale("log")
    ax.set_xlabel("gate shut for $d$ (time constants)")
    ax.set_ylabel(r"$|h|$")
    ax.set_title("(a)  linear network, output gate shut")
    ax.legend(loc="best")


def _draw_scrambling(ax: Axes, result: FigureResult) -> None:
    table, exponents = result.tables["scrambling"], result.tables["exponents"]
    given = table["input_z"].to_numpy()
    every = table["correlation"].to_numpy()
    ax.plot(np.tile(given, len(every)), every.ravel(), ".", color=SLOW, ms=4, alpha=0.5)
    ax.plot(given, every.mean(axis=0), "-", color=SLOW, lw=1.4, label="correlation with before")
    other = table["background"].mean("network")
    ax.plot(given, other, "--", color=SLOW, lw=1.1, label="with other memories")
    ax.plot(given, table["identified"].mean("network"), "s-", color=_BLUE, ms=4, lw=1.1,
            label="memories identified")  # fmt: skip
    critical = exponents.attrs["critical_input"]
    ax.axvline(critical, color=_GREY, ls=":", lw=1.1, label="chaos by Eq. 8")
    ax.set_ylim(min(-0.05, 1.1 * float(other.min())), 1.05)
    ax.set_xlabel(rf"$I_z$, for {DURATION:g} time constants")
    ax.set_ylabel(f"{AFTER:g} after the pulse")
    ax.set_title("(c)  update gate opened")
    ax.legend(loc="upper right")
