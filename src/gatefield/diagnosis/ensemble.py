"""The layer beside random networks of its own statistics, as theory knows them."""

from __future__ import annotations

import equinox as eqx
import numpy as np

from gatefield.core.results import Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.couplings import spectral_margin
from gatefield.diagnosis.effort import Limits
from gatefield.diagnosis.matched import Matched
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.plane import critical_gain, plane_of, radius_at
from gatefield.diagnosis.theory import (
    moving_edge,
    moving_state,
    of_fixed_point,
    of_motion,
    static_state,
)

_UNITS = 256  # at most, drawn for each spectrum while the critical gain is looked for
_ERRORS = 3.0  # standard errors that count as the same


class Ensemble(MapPart):
    """The matched random ensemble: Gaussian couplings, biases and inputs of the same variances.

    Quantities by name are "leading_edge" (largest modulus of the Jacobian's spectrum along the
    run), "lyapunov" (largest exponent per step), "variance" (second moment of the activity) and
    "gate_time" (median over units).

    Attributes
    ----------
    parameters
        The ensemble's gains and mean biases by the cell's names, the standard deviations of its
        biases as "spread_<name>", and for each drive "input_mean_<drive>", "input_static_<drive>",
        "input_varying_<drive>" (variances) and "input_time_<drive>".
    predicted, standard_error
        What theory says of the ensemble, and its sampling error; missing where theory failed.
    measured
        The same quantities of the network.
    structure
        measured - predicted: what training built beyond its ensemble (or finite size: see
        ``finite_size``).
    finite_size
        How large a difference a random network of this size may show, roughly.
    method
        "static" (a fixed point, sampled) or "dynamic" (a moving or driven state, sampled).
    gain_name, bias_name
        The parameters of the plane: the candidate's gain and the memory gate's mean bias (the bias
        itself where there are no gates).
    gains, biases
        Their values on the plane's grid.
    radius
        (gain, bias): radius of the static theory, stable below one, with all input taken as
        static; where several fixed points exist that of the smallest. NaN where theory failed.
    line_gains, line_biases
        The line radius = 1 on the plane, NaN between its pieces.
    gain, bias
        The network's own place on the plane.
    radius_here
        Radius of the static theory there.
    critical_gain
        The candidate's gain at which the ensemble's leading edge is one, all else equal: along the
        inputs where they vary, of the fixed point otherwise; NaN if none is found.
    critical_lyapunov
        The ensemble's largest exponent at that gain.
    """

    parameters: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    predicted: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    standard_error: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    measured: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    structure: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    finite_size: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    method: str = eqx.field(static=True)
    gain_name: str = eqx.field(static=True)
    bias_name: str = eqx.field(static=True)
    gains: Float[HostArray, " gain"] = eqx.field(metadata=quantity("gain"))
    biases: Float[HostArray, " bias"] = eqx.field(metadata=quantity("bias"))
    radius: Float[HostArray, "gain bias"] = eqx.field(metadata=quantity("gain", "bias"))
    line_gains: Float[HostArray, " vertex"] = eqx.field(metadata=quantity("vertex"))
    line_biases: Float[HostArray, " vertex"] = eqx.field(metadata=quantity("vertex"))
    gain: Float[HostArray, ""] = eqx.field(metadata=quantity())
    bias: Float[HostArray, ""] = eqx.field(metadata=quantity())
    radius_here: Float[HostArray, ""] = eqx.field(metadata=quantity())
    critical_gain: Float[HostArray, ""] = eqx.field(metadata=quantity())
    critical_lyapunov: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))


def ensemble_of(
    matched: Matched,
    measured: dict[str, float],
    *,
    units: int,
    limits: Limits,
    seed: int = 0,
) -> tuple[Ensemble, Status, tuple[str, ...]]:
    """Ask theory what random networks of a layer's statistics would do, and compare.

    Parameters
    ----------
    matched
        The ensemble.
    measured
        The layer's own quantities by name, as `Ensemble.measured`; NaN for missing ones.
    units
        Number of units N of the layer.
    limits
        Size of samples, and of the plane.
    seed
        Draws the samples.

    Returns
    -------
    Ensemble
    Status
        NOT_CONVERGED if part of the theory did not converge.
    tuple of str
        Notes.

    Assumptions
    -----------
    N to infinity, couplings independent of each other, inputs of units independent of each other
    and Gaussian: features that all units read in common are not.
    """
    static = static_state(matched, float(measured.get("variance", 0.0)), seed)
    rests = not matched.moves and static is not None and bool(static.stable)
    if rests and static is not None:
        found = of_fixed_point(static, units, seed)
    else:
        found = of_motion(moving_state(matched, limits, seed), limits, units, seed)
    predicted, errors, notes = found.values, found.errors, list(found.notes)
    status = Status.OK if found.complete else Status.NOT_CONVERGED
    plane = plane_of(matched, limits.plane)
    gain, exponent = _critical(matched, limits, units, seed)
    if matched.moves:
        notes.append("On the plane all input is taken as static.")
    if np.any(np.isnan(plane.radius)):
        notes.append("Static theory has no solution on part of the plane.")
    axes = matched.axes
    known = {name: measured[name] for name in predicted if np.isfinite(measured.get(name, np.nan))}
    finite = {
        "leading_edge": spectral_margin(units) * abs(predicted.get("leading_edge", np.nan)),
        "lyapunov": spectral_margin(units),
        "variance": _ERRORS * np.sqrt(2 / units) * predicted.get("variance", np.nan),
        "gate_time": _ERRORS * np.sqrt(np.pi / 2 / units) * predicted.get("gate_time", np.nan),
    }
    return (
        Ensemble(
            parameters=matched.parameters,
            predicted=_arrays(predicted),
            standard_error=_arrays(errors),
            measured=_arrays(known),
            structure=_arrays({name: known[name] - predicted[name] for name in known}),
            finite_size=_arrays(
                {name: np.hypot(finite[name], _ERRORS * errors[name]) for name in known}
            ),
            method="static" if rests else "dynamic",
            gain_name=axes.gain,
            bias_name=axes.bias,
            gains=plane.gains,
            biases=plane.biases,
            radius=plane.radius,
            line_gains=plane.line_gains,
            line_biases=plane.line_biases,
            gain=np.asarray(getattr(matched.cell, axes.gain), float),
            bias=np.asarray(getattr(matched.cell, axes.bias), float),
            radius_here=np.asarray(radius_at(matched)),
            critical_gain=np.asarray(gain),
            critical_lyapunov=np.asarray(exponent),
        ),
        status,
        tuple(notes),
    )


def _critical(matched: Matched, limits: Limits, units: int, seed: int) -> tuple[float, float]:
    """Return the gain at which the ensemble is at the edge, and its exponent there."""
    name = matched.axes.gain
    if not matched.moves:
        gain = critical_gain(matched, lambda each: radius_at(matched, **{name: each}))
        return gain, 0.0 if np.isfinite(gain) else np.nan
    few = min(units, _UNITS)
    gain = critical_gain(
        matched, lambda each: moving_edge(matched, limits, few, seed, **{name: each})
    )
    if not np.isfinite(gain):
        return gain, np.nan
    there = matched._replace(cell=matched.with_values(**{name: gain}))
    found = of_motion(moving_state(there, limits, seed), limits, few, seed)
    return gain, found.values.get("lyapunov", np.nan)


def _arrays(values: dict[str, float]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, float) for name, value in values.items()}
