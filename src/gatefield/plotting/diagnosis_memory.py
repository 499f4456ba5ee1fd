"""The parts of a layer's diagnosis that tell how long it remembers, drawn on axes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from gatefield.core.errors import refuse
from gatefield.diagnosis import Gradients, RunStatistics, Timescales
from gatefield.plotting.panel import REFERENCE, axes_or_new
from gatefield.plotting.spectrum import DOTS, OUTLINE

MEMORY_GATES = ("update_gate", "forget_gate")
"""Gates whose value is what a unit keeps of its state in one step."""

_KEEPS = "#3d5a98"
_OTHERS = (DOTS, "#2a9d8f", "#8d5fa8")
_TIMES = (0.3, 1.0, 2.0, 5.0, 20.0)  # steps, where a gate's axis of times has its marks
_FADED = 0.05  # correlation at which it counts as gone
_AFTER = 3  # times the lag of that are shown
_ROOM = 1.7  # of the highest density, for what stands above


def plot_gate_histogram(
    run: RunStatistics, timescales: Timescales | None = None, *, ax: Axes | None = None
) -> Axes:
    r"""Draw how far each gate is open, over units, steps and sequences.

    Parameters
    ----------
    run
        The part of a diagnosis.
    timescales
        Its quantiles of the units' own times are drawn above, each time t at the value
        :math:`e^{-1/t}` of a gate that keeps the state.
    ax
        Where to draw; by default new axes.

    Returns
    -------
    Axes
        With a second axis of times where there is a gate that keeps the state.

    Raises
    ------
    InvalidInputError
        If the layer has no gates.
    """
    if not run.gate_names:
        refuse("run.gate_names", (), "at least one gate", "Draw the activity instead.")
    ax = axes_or_new(ax)
    widths = np.diff(run.bins)
    colours = iter(_OTHERS * len(run.gate_names))
    for name, shares in zip(run.gate_names, run.gate_histogram, strict=True):
        colour = _KEEPS if name in MEMORY_GATES else next(colours)
        # Dividing by the width makes a density, whose integral is one.
        ax.stairs(
            shares / widths, run.bins, color=colour, linewidth=1.4, label=name.replace("_", " ")
        )
    ax.set_xlim(0, 1)
    highest = float(np.max(run.gate_histogram / widths))
    ax.set_ylim(0, _ROOM * highest)
    ax.set_xlabel("gate (0 shut, 1 open)")
    ax.set_ylabel("density")
    if any(name in MEMORY_GATES for name in run.gate_names):
        above = ax.secondary_xaxis("top")
        above.set_xticks(np.exp(-1 / np.array(_TIMES)), [f"{each:g}" for each in _TIMES])
        above.set_xlabel("keeps its state for (steps)")
        ax.spines["top"].set_visible(True)
        if timescales is not None:
            _mark_times(ax, timescales, 1.08 * highest)
    ax.legend(loc="upper left")
    return ax


def _mark_times(ax: Axes, timescales: Timescales, height: float) -> None:
    with np.errstate(divide="ignore"):
        at = np.exp(-1 / timescales.gate_time_quantiles)
    ax.plot(at[[0, -1]], [height] * 2, color=OUTLINE, linewidth=1.0)
    ax.plot(at[[1, -2]], [height] * 2, color=OUTLINE, linewidth=3.0)
    middle = float(timescales.gate_time)
    label = f"units' own times, median {middle:.3g}"
    ax.plot([np.exp(-1 / middle) if middle > 0 else 0.0], [height], "D", color=OUTLINE, label=label)


def plot_layer_memory(timescales: Timescales, *, ax: Axes | None = None) -> Axes:
    """Draw the correlation of the activity over time, and the layer's other times beside it.

    Parameters
    ----------
    timescales
        The part of a diagnosis.
    ax
        Where to draw; by default new axes.

    Returns
    -------
    Axes
    """
    ax = axes_or_new(ax)
    lags, values = timescales.lags, timescales.activity_correlation
    gone = np.flatnonzero(np.abs(values) < _FADED)
    last = min(len(lags) - 1, _AFTER * int(gone[0]) + 2 if gone.size else len(lags) - 1)
    ax.axhline(0.0, **REFERENCE)
    ax.plot(lags[: last + 1], values[: last + 1], color=DOTS, label="correlation of the activity")
    longest = max(float(lags[last]), 1.0)
    times = {
        "gates": (timescales.gate_time, _KEEPS),
        "spectrum": (timescales.memory_time, "#2a9d8f"),
        r"$1 / |\lambda_1|$": (timescales.lyapunov_time, "#8d5fa8"),
    }
    for name, (value, colour) in times.items():
        time = float(value)
        if not np.isfinite(time):
            text = f"{name}: unbounded" if np.isinf(time) else f"{name}: unknown"
            ax.plot([], [], " ", label=text)
        elif time <= longest:
            ax.axvline(time, color=colour, linewidth=1.2, label=f"{name}: {time:.3g}")
        else:
            ax.plot([], [], color=colour, linewidth=1.2, label=f"{name}: {time:.3g} (beyond)")
    ax.set_xlim(0, longest)
    ax.set_xlabel("steps")
    ax.set_ylabel("correlation")
    ax.legend(loc="best")
    return ax


def plot_gradient_horizon(gradients: Gradients, *, ax: Axes | None = None) -> Axes:
    """Draw the size of a readout's gradient against the steps before the end.

    Parameters
    ----------
    gradients
        The part of a diagnosis.
    ax
        Where to draw; by default new axes.

    Returns
    -------
    Axes
        Root mean squares by component over that of all of them at the end, on a logarithmic scale,
        with a line at one; the title tells the e-folds over the horizon.
    """
    ax = axes_or_new(ax)
    at_end = sum(float(values[0]) for values in gradients.adjoint_variance.values())
    for place, (name, values) in enumerate(gradients.adjoint_variance.items()):
        colour = _OTHERS[place % len(_OTHERS)]
        size = np.sqrt(values / at_end) if at_end > 0 else np.full(len(values), np.nan)
        shown = np.where(size > 0, size, np.nan)
        ax.plot(gradients.times, shown, color=colour, label=f"$a_{{{name}}}$")
    ax.axhline(1.0, **REFERENCE)
    ax.set_yscale("log")
    ax.set_xlim(0, max(float(gradients.times[-1]), 1.0))
    ax.set_xlabel("steps before the end")
    ax.set_ylabel("gradient, relative to the end")
    ax.set_title(f"{float(gradients.growth):+.3g} e-folds", loc="left")
    ax.legend(loc="best")
    return ax
