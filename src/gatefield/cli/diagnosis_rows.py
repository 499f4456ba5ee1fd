"""A layer's diagnosis as rows of text, which the terminal and the page show alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from gatefield.compare import with_error
from gatefield.core.results import Status
from gatefield.diagnosis import LayerDiagnosis

_NAMES = {
    "leading_edge": "leading edge",
    "lyapunov": "exponent",
    "variance": "variance",
    "gate_time": "gate time",
}


class Row(NamedTuple):
    """A quantity, its value, and what to compare it with."""

    name: str
    value: str
    beside: str = ""


class Section(NamedTuple):
    """The rows of one part of a diagnosis."""

    title: str
    rows: tuple[Row, ...]


def sections_of(layer: LayerDiagnosis) -> list[Section]:
    """Return the rows of each part that a layer has; of one that failed its reason.

    Parameters
    ----------
    layer
        One of ``Diagnosis.layers``.

    Returns
    -------
    list of Section
        In the order in which the parts were made, without the advice.
    """
    found = []
    for stage in layer.stages:
        if stage.name not in _WRITERS:
            continue
        title, rows = _WRITERS[stage.name]
        made = getattr(layer, stage.name) is not None
        lines = list(rows(layer)) if made else []
        if stage.status is not Status.OK:
            why = " ".join(stage.notes) or "no reason was given"
            lines.append(Row("not to be trusted" if made else "not computed", "", why))
        found.append(Section(title, tuple(lines)))
    return found


def _couplings(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.couplings
    assert part is not None
    for k, name in enumerate(part.field_names):
        count = int(part.outliers[k])
        radius = _number(np.abs(part.eigenvalues[k, 0]))
        outside = f"{_count(count, 'outlier')}, largest {radius}" if count else "no outliers"
        rank = int(part.numerical_rank[k])
        bulk = f"bulk {_number(part.bulk_gain[k])}"
        if rank and part.bulk_gain[k] == 0:
            bulk = f"of rank {rank}"
        yield Row(f"gain {name}", _number(part.gain[k]), f"{bulk}, {outside}")


def _biases(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.biases
    assert part is not None
    for k, name in enumerate(part.names):
        reach = f"{_short(part.quantiles[k, 0])} to {_short(part.quantiles[k, -1])}"
        value = f"{_short(part.mean[k])} +- {_short(part.spread[k])}"
        yield Row(name.replace("_", " "), value, f"{_between(part.levels)}: {reach}")


def _drives(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.drives
    assert part is not None
    for k, name in enumerate(part.names):
        shares = f"static {_short(part.static_variance[k])}"
        if part.varying_variance[k] > 0:
            shares += f", time {_short(part.correlation_time[k])}"
        yield Row(f"variance of {name}", _number(part.variance[k]), shares)


def _run(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.run
    assert part is not None
    beside = f"{_number(part.dimension)} dimensions"
    if np.isfinite(part.saturated):
        beside += f", {float(part.saturated):.0%} saturated"
    yield Row("variance", _number(part.variance), beside)
    for k, name in enumerate(part.gate_names):
        value = f"{_number(part.gate_mean[k])} +- {_number(part.gate_spread[k])}"
        shut, wide = float(part.gate_closed[k]), float(part.gate_open[k])
        yield Row(name.replace("_", " "), value, f"{shut:.0%} shut, {wide:.0%} wide open")


def _spectra(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.spectra
    assert part is not None
    if not part.leading_edges.size:
        return
    edges, theory = part.leading_edges, part.theory_edges
    states = _count(len(edges), "state")
    outside = part.outside[part.outside >= 0]
    beside = f"theory {_number(np.median(theory))}"
    if outside.size:
        beside += f", at most {int(outside.max())} outside"
    yield Row("leading edge", _number(np.median(edges)), beside)
    yield Row("over the run", f"{_number(edges.min())} to {_number(edges.max())}", states)


def _exponents(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.exponents
    assert part is not None
    first, error = float(part.exponents[0]), float(part.standard_errors[0])
    positive = f"{part.positive} of {len(part.exponents)} are positive"
    yield Row("largest", _exponent(first, error), positive)
    known = np.isfinite(part.dimension)
    size = part.dimension if known else part.dimension_above
    rate = f"entropy {'' if part.entropy_complete else 'above '}{_short(part.entropy_rate)}"
    value = f"{'' if known else 'above '}{_number(size)}"
    yield Row("dimension", value, f"of {layer.components * layer.n}, {rate}")


def _times(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.timescales
    assert part is not None
    quantiles = part.gate_time_quantiles
    if np.any(quantiles > 0):
        reach = f"{_number(quantiles[0])} to {_number(quantiles[-1])}"
        beside = f"{_between(part.levels)} of units {reach}"
        yield Row("gates", _number(part.gate_time), beside)
    yield Row("spectrum", _number(part.memory_time), "-1 / ln(leading edge)")
    yield Row("perturbations", _number(part.lyapunov_time), "1 / |exponent|")
    beside = f"to 1/e, integral {_number(part.activity_integral_time)}"
    yield Row("activity", _number(part.activity_time), beside)


def _points(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.slow_points
    assert part is not None
    fixed = ~part.is_slow
    stable = int(np.sum(part.stable & fixed))
    searched = f"by {float(part.converged):.0%} of {_count(part.searches, 'search', 'es')}"
    yield Row("fixed points", str(int(np.sum(fixed))), f"{stable} stable, {searched}")
    if np.any(part.is_slow):
        fastest = f"up to {_number(part.speeds[part.is_slow].max())} per step"
        yield Row("slow points", str(int(np.sum(part.is_slow))), fastest)
    if len(part.leading_edges):
        edges = part.leading_edges
        reach = f"{_number(edges.min())} to {_number(edges.max())}"
        unstable = part.unstable[part.unstable >= 0]
        most = f"unstable directions: {int(unstable.max(initial=0))}"
        yield Row("leading edges", reach, most)


def _gradients(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.gradients
    assert part is not None
    value = f"{float(part.growth):+.3g} e-folds" if np.isfinite(part.growth) else _lost(part.growth)
    yield Row("growth", value, f"over {part.horizon} steps back")
    rate = f"{float(part.rate):+.3g}" if np.isfinite(part.rate) else _number(part.rate)
    yield Row("rate", rate, "per step, earlier half")


def _ensemble(layer: LayerDiagnosis) -> Iterator[Row]:
    part = layer.ensemble
    assert part is not None
    gain, bias = part.gain_name.replace("_", " "), part.bias_name.replace("_", " ")
    here = f"at {gain} {_short(part.gain)}, {bias} {_short(part.bias)}"
    yield Row("radius", _number(part.radius_here), here)
    if np.isfinite(part.critical_gain):
        along = "exponent 0 of random networks" if part.critical_state == "run" else "radius 1"
        critical = with_error(float(part.critical_gain), float(part.critical_error))
        yield Row(f"{gain} at the edge", critical, along)
    for name, measured in part.measured.items():
        beside = []
        if name in part.random_mean:
            limit = float(part.finite_size[name])
            verdict = "structure" if abs(float(part.structure[name])) > limit else "as random"
            mean, spread = _number(part.random_mean[name]), _short(part.random_spread[name])
            beside += [f"random {mean} +- {spread}", verdict]
        if name in part.predicted:
            beside.insert(1, f"theory {_number(part.predicted[name])}")
        label = _NAMES.get(name, name.replace("_", " "))
        yield Row(label, _number(measured), ", ".join(beside))


_Writer = Callable[[LayerDiagnosis], Iterator[Row]]
_WRITERS: dict[str, tuple[str, _Writer]] = {
    "couplings": ("weights", _couplings),
    "biases": ("biases", _biases),
    "drives": ("inputs", _drives),
    "run": ("activity", _run),
    "spectra": ("Jacobian", _spectra),
    "exponents": ("Lyapunov", _exponents),
    "timescales": ("times", _times),
    "slow_points": ("points", _points),
    "gradients": ("gradients", _gradients),
    "ensemble": ("random nets", _ensemble),
}


def _number(value: float | np.floating | np.ndarray) -> str:
    number = float(value)
    if np.isnan(number):
        return "unknown"
    if np.isinf(number):
        return "unbounded" if number > 0 else "-inf"
    return f"{number:.3g}" if abs(number) < 1e5 else f"{number:.2e}"


def _lost(growth: float | np.floating | np.ndarray) -> str:
    return "all of it" if float(growth) < 0 else _number(growth)


def _short(value: float | np.floating | np.ndarray) -> str:
    number = float(value)
    return f"{number:.2g}" if np.isfinite(number) else _number(number)


def _exponent(value: float, error: float) -> str:
    return with_error(value, error) if np.isfinite(value) else _number(value)


def _count(number: int, word: str, plural: str = "s") -> str:
    return f"{number} {word}{'' if number == 1 else plural}"


def _between(levels: np.ndarray) -> str:
    return f"{float(levels[-1] - levels[0]):.0%}"
