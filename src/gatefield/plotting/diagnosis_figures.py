"""Figures of a layer's diagnosis, one for each question."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gatefield.core.errors import refuse
from gatefield.diagnosis import LayerDiagnosis
from gatefield.plotting.diagnosis import (
    plot_coupling_eigenvalues,
    plot_layer_exponents,
    plot_layer_jacobian,
    plot_phase_place,
    plot_slow_points,
)
from gatefield.plotting.diagnosis_memory import (
    plot_gate_histogram,
    plot_gradient_horizon,
    plot_layer_memory,
)
from gatefield.plotting.style import style

_PANEL = 3.4  # inches, width and height


def diagnosis_figures(layer: LayerDiagnosis) -> dict[str, Figure]:
    """Draw all parts that a layer's diagnosis has.

    Parameters
    ----------
    layer
        One of ``Diagnosis.layers``.

    Returns
    -------
    dict
        "couplings": eigenvalues of each recurrent block; "dynamics": Jacobian, Lyapunov exponents,
        fixed and slow points; "memory": gates, correlation of the activity, gradients; "place":
        the phase plane. A figure none of whose parts were made is left out.

    Raises
    ------
    InvalidInputError
        If the argument is no diagnosis of a layer.
    """
    if not isinstance(layer, LayerDiagnosis):
        refuse("layer", type(layer).__name__, "a LayerDiagnosis", "Take one of diagnosis.layers.")
    with style():
        drawn = {
            "couplings": _couplings(layer),
            "dynamics": _dynamics(layer),
            "memory": _memory(layer),
            "place": _place(layer),
        }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _couplings(layer: LayerDiagnosis) -> Figure | None:
    if layer.couplings is None:
        return None
    names = layer.couplings.field_names
    figure, axes = _row(len(names))
    for field, ax in zip(names, axes, strict=True):
        plot_coupling_eigenvalues(layer.couplings, field, ax=ax)
    return figure


def _dynamics(layer: LayerDiagnosis) -> Figure | None:
    spectra, exponents, points = layer.spectra, layer.exponents, layer.slow_points
    seen = spectra is not None and len(spectra.whole) > 0
    known = points is not None and len(points.is_slow) > 0
    count = seen + (exponents is not None) + known
    if not count:
        return None
    figure, axes = _row(count)
    free = iter(axes)
    if spectra is not None and seen:
        plot_layer_jacobian(spectra, ax=next(free))
    if exponents is not None:
        plot_layer_exponents(exponents, ax=next(free))
    if points is not None and known:
        plot_slow_points(points, ax=next(free))
    return figure


def _memory(layer: LayerDiagnosis) -> Figure | None:
    run, times, gradients = layer.run, layer.timescales, layer.gradients
    gated = run is not None and len(run.gate_names) > 0
    count = gated + (times is not None) + (gradients is not None)
    if not count:
        return None
    figure, axes = _row(count)
    free = iter(axes)
    if run is not None and gated:
        plot_gate_histogram(run, times, ax=next(free))
    if times is not None:
        plot_layer_memory(times, ax=next(free))
    if gradients is not None:
        plot_gradient_horizon(gradients, ax=next(free))
    return figure


def _place(layer: LayerDiagnosis) -> Figure | None:
    if layer.ensemble is None:
        return None
    figure, (ax,) = _row(1, wide=1.4)
    plot_phase_place(layer.ensemble, ax=ax)
    return figure


def _row(count: int, wide: float = 1.0) -> tuple[Figure, list[Axes]]:
    figure, axes = plt.subplots(1, count, squeeze=False, figsize=(wide * count * _PANEL, _PANEL))
    return figure, list(axes[0])
