"""The layer beside random networks of its own statistics, as theory knows them."""

from __future__ import annotations

import equinox as eqx
import numpy as np

from gatefield.core.results import Status, quantity
from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.critical import Critical, critical_along, critical_at_rest
from gatefield.diagnosis.effort import Limits
from gatefield.diagnosis.exponents import Followed
from gatefield.diagnosis.matched import Matched
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.plane import plane_of
from gatefield.diagnosis.random_networks import FEWEST, affordable, allowance, measured_in
from gatefield.diagnosis.runs import LayerRun
from gatefield.diagnosis.theory import moving_state, of_fixed_point, of_motion, static_state

_ROUNDING = 1e-9  # differences that are no structure: states at rest still fall


class Ensemble(MapPart):
    """The layer beside random networks of its own statistics, simulated and by theory.

    Simulated ones have Gaussian couplings of the same gains, and the layer's own biases and inputs,
    unit by unit. Theory's matched ensemble has Gaussian biases and inputs of the same variances,
    too, independent from unit to unit, and no finite size.

    Quantities by name are "leading_edge" (largest modulus of the Jacobian's spectrum along the
    run), "lyapunov" (largest exponent per step), "variance" (of the activity) and
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
    random_mean, random_spread
        Mean and standard deviation of the same quantities over simulated random networks.
    networks
        How many of these were run; 0 where they would take too long, or one of them diverged.
    structure
        measured - random_mean: what correlations between couplings, biases and inputs make.
    finite_size
        How far from ``random_mean`` 99 in a hundred random networks of this size lie at most, by
        the scatter of those that were run.
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
        Radius of the static theory there, of the fixed point whose variance is nearest to the
        layer's.
    critical_gain
        The candidate's gain at which random networks are at the edge of stability, all else equal;
        NaN if none is found.
    critical_error, critical_spread
        Its standard error, and the standard deviation of single networks' own critical gains (0
        for theory, which knows no single networks).
    critical_state
        What is at the edge there: "run", simulated networks' largest Lyapunov exponent along the
        inputs is zero; "fixed point", theory's radius of the fixed point is one (no input varies);
        empty where none is found.
    """

    parameters: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    predicted: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    standard_error: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    measured: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    random_mean: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    random_spread: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    networks: int = eqx.field(static=True)
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
    critical_error: Float[HostArray, ""] = eqx.field(metadata=quantity())
    critical_spread: Float[HostArray, ""] = eqx.field(metadata=quantity())
    critical_state: str = eqx.field(static=True)


def ensemble_of(
    matched: Matched,
    measured: dict[str, float],
    *,
    run: LayerRun,
    followed: Followed | None,
    driven: bool,
    limits: Limits,
    seed: int = 0,
) -> tuple[Ensemble, Status, tuple[str, ...]]:
    """Ask simulations and theory what random networks of a layer's statistics do, and compare.

    Parameters
    ----------
    matched
        The ensemble.
    measured
        The layer's own quantities by name, as `Ensemble.measured`; NaN for missing ones.
    run
        The layer's run.
    followed
        What it receives along the sequence of the exponents; without it no network is simulated.
    driven
        Whether there are inputs.
    limits
        Number of networks, size of samples and of the plane.
    seed
        Draws couplings and samples.

    Returns
    -------
    Ensemble
    Status
        NOT_CONVERGED if part of the theory did not converge.
    tuple of str
        Notes.

    Assumptions
    -----------
    Of theory: N to infinity, couplings independent of each other, inputs of units independent of
    each other and Gaussian. Of ``finite_size``: values of random networks are normally distributed.
    """
    units = run.network.n
    static = static_state(matched, float(measured.get("variance", 0.0)), seed)
    # A stable point beside chaos is not where a chaotic layer is.
    quiet = not measured.get("lyapunov", -1.0) > 0
    rests = not matched.moves and static is not None and bool(static.stable) and quiet
    if rests and static is not None:
        found = of_fixed_point(static, units, seed)
    else:
        found = of_motion(moving_state(matched, limits, seed), limits, units, seed)
    predicted, errors, notes = found.values, found.errors, list(found.notes)
    status = Status.OK if found.complete else Status.NOT_CONVERGED
    plane = plane_of(matched, limits.plane, seed)
    simulated, about = _simulated(run, followed, driven, limits, seed)
    critical = _critical(matched, run, followed, limits, seed)
    notes += [*about, *critical.notes]
    if matched.moves:
        notes.append("On the plane all input is taken as static.")
    if np.any(np.isnan(plane.radius)):
        notes.append("Static theory has no solution on part of the plane.")
    axes = matched.axes
    known = {name: value for name, value in measured.items() if np.isfinite(value)}
    beside = {name: simulated[name] for name in known if name in simulated}
    mean = {name: float(np.mean(values)) for name, values in beside.items()}
    return (
        Ensemble(
            parameters=matched.parameters,
            predicted=_arrays(predicted),
            standard_error=_arrays(errors),
            measured=_arrays(known),
            random_mean=_arrays(mean),
            random_spread=_arrays({name: float(np.std(x, ddof=1)) for name, x in beside.items()}),
            networks=len(next(iter(simulated.values()), ())),
            structure=_arrays({name: known[name] - mean[name] for name in mean}),
            finite_size=_arrays(
                {
                    name: max(allowance(x), _ROUNDING * max(1.0, abs(mean[name])))
                    for name, x in beside.items()
                }
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
            radius_here=np.asarray(np.nan if static is None else static.radius, float),
            critical_gain=np.asarray(critical.gain),
            critical_error=np.asarray(critical.error),
            critical_spread=np.asarray(critical.spread),
            critical_state=critical.state,
        ),
        status,
        tuple(notes),
    )


def _simulated(
    run: LayerRun, followed: Followed | None, driven: bool, limits: Limits, seed: int
) -> tuple[dict[str, HostArray], tuple[str, ...]]:
    """Return the quantities of random networks, those that are finite in all of them."""
    if followed is None:
        return {}, ()
    networks = affordable(run, followed, limits)
    if networks < FEWEST:
        note = f"Random networks of {run.network.n} units take too long to run beside the layer."
        return {}, (note,)
    found = measured_in(run, followed, networks=networks, limits=limits, driven=driven, seed=seed)
    kept = {name: values for name, values in found.items() if np.all(np.isfinite(values))}
    if found and len(kept) == len(found):
        return kept, ()
    lost = ", ".join(name for name in found if name not in kept)
    what = f"no {lost} of theirs" if kept else "nothing of theirs"
    return kept, (f"Random networks of these gains diverged: {what} stands beside the layer's.",)


def _critical(
    matched: Matched, run: LayerRun, followed: Followed | None, limits: Limits, seed: int
) -> Critical:
    if not matched.moves:
        return critical_at_rest(matched, seed)
    if followed is None:
        return Critical()
    return critical_along(matched, run.network, followed, networks=limits.networks, seed=seed)


def _arrays(values: dict[str, float]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, float) for name, value in values.items()}
