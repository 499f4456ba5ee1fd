"""What to change in a layer, and what to mind: sentences with the numbers they rest on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import numpy as np
from scipy.special import logit

from gatefield.compare import with_error
from gatefield.core.results import quantity
from gatefield.core.types import Float, HostArray
from gatefield.diagnosis.biases import LEVELS, Biases
from gatefield.diagnosis.couplings import Couplings
from gatefield.diagnosis.critical import UNITS
from gatefield.diagnosis.ensemble import Ensemble
from gatefield.diagnosis.exponents import Exponents
from gatefield.diagnosis.gates import CLOSED, OPEN, SATURATED, RunStatistics
from gatefield.diagnosis.gradients import Gradients
from gatefield.diagnosis.matched import AXES
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.slow_points import SlowPoints
from gatefield.diagnosis.timescales import Timescales
from gatefield.initialise.kinds import logit_of_time

URGENCY = ("warning", "proposal", "remark")
"""Kinds of advice, most urgent first."""

MANY = 0.5  # share of saturated values that is a warning
FOLDS = 5.0  # e-folds of a gradient's norm, a factor of 150, that are a warning
_ERRORS = 2.0  # standard errors by which a gain must differ from the layer's own
_NEAR = 0.05  # of the gain's logarithm: a gain that needs no change
_ENOUGH = 0.5  # of the sequence's length: a memory that needs no other bias
_MEDIAN = LEVELS.index(0.5)
_SLOW = 0.02  # of one: a leading edge that keeps a state for 50 steps


class Advice(MapPart):
    """One warning or proposal.

    Attributes
    ----------
    kind
        "warning", "proposal" or "remark".
    topic
        What it is about: "gain", "memory", "gates", "gradients", "chaos", "outliers", "structure",
        "slow points".
    text
        What to change or to mind, a sentence with numbers.
    evidence
        What was measured or computed, a sentence with numbers.
    values
        The numbers by name.
    """

    kind: str = eqx.field(static=True)
    topic: str = eqx.field(static=True)
    text: str = eqx.field(static=True)
    evidence: str = eqx.field(static=True)
    values: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())

    @property
    def urgency(self) -> int:
        """Place of the kind in `URGENCY`."""
        return URGENCY.index(self.kind)


def gate_advice(run: RunStatistics | None) -> Iterator[Advice]:
    """Warn of gates, and of activity, that hardly react because they are saturated."""
    if run is None:
        return
    shares = zip(run.gate_names, run.gate_closed, run.gate_open, run.gate_mean, strict=True)
    for name, closed, opened, mean in shares:
        if closed + opened <= MANY:
            continue
        most = "open" if opened > closed else "closed"
        yield _advice(
            "warning",
            "gates",
            f"The {_words(name)} hardly reacts: {closed + opened:.0%} of its values are saturated, "
            f"most of them {most}. Its couplings and biases get gradients of almost zero.",
            f"{closed:.0%} are below {CLOSED:g} and {opened:.0%} above {OPEN:g}; the mean is "
            f"{mean:.3g}.",
            closed=closed,
            open=opened,
            mean=mean,
        )
    if run.saturated > MANY:
        yield _advice(
            "warning",
            "gates",
            f"The activity is saturated: {run.saturated:.0%} of it is beyond {SATURATED:g} in "
            "modulus, where tanh passes no gradients. Lower gains or inputs.",
            f"The variance of the activity is {run.variance:.3g}, of at most 1.",
            saturated=run.saturated,
            variance=run.variance,
        )


def gradient_advice(gradients: Gradients | None) -> Iterator[Advice]:
    """Warn of gradients that vanish or explode over the sequence."""
    if gradients is None or not abs(gradients.growth) > FOLDS:
        return
    growth, horizon = float(gradients.growth), gradients.horizon
    rate = f"; {gradients.rate:+.3g} e-folds per step in the earlier half"
    vanish = growth < 0
    factor = f"a factor of 10^{growth / np.log(10):.1f}" if np.isfinite(growth) else "all of it"
    verb, effect = (
        ("vanish", "what happened that long ago is not learned")
        if vanish
        else ("explode", "steps of training jump; clip gradients or lower the gains")
    )
    yield _advice(
        "warning",
        "gradients",
        f"Gradients {verb}: over {horizon} steps their norm changes by {growth:+.1f} e-folds, "
        f"{factor}; {effect}.",
        f"Random readouts of the last state ({gradients.readouts}), carried back along the inputs"
        f"{rate if np.isfinite(gradients.rate) else ''}.",
        growth=growth,
        rate=gradients.rate,
        horizon=horizon,
    )


def chaos_advice(exponents: Exponents | None, *, driven: bool = True) -> Iterator[Advice]:
    """Warn of chaos: outputs that depend on rounding more than on the distant past."""
    if exponents is None or not exponents.positive:
        return
    first, error = float(exponents.exponents[0]), float(exponents.standard_errors[0])
    known = "" if np.isfinite(exponents.dimension) else "at least "
    where = "along these inputs" if driven else "of itself, without input"
    yield _advice(
        "warning",
        "chaos",
        f"The layer is chaotic {where}: differences grow by e in {1 / first:.3g} steps, "
        "so that what it reports of the past is soon lost in noise.",
        f"The largest Lyapunov exponent is {first:.4g} +- {error:.1g} per step; "
        f"{exponents.positive} are positive; the dimension is {known}"
        f"{float(exponents.dimension_above):.3g}.",
        exponent=first,
        standard_error=error,
        positive=exponents.positive,
        dimension=exponents.dimension_above,
    )


def gain_advice(ensemble: Ensemble | None) -> Iterator[Advice]:
    """Propose the candidate's gain at which random networks are at the edge of stability."""
    if ensemble is None or not np.isfinite(ensemble.critical_gain):
        return
    own, wanted = float(ensemble.gain), float(ensemble.critical_gain)
    error, spread = float(ensemble.critical_error), float(ensemble.critical_spread)
    factor = wanted / own
    if abs(np.log(factor)) < _NEAR or abs(wanted - own) < _ERRORS * error:
        return
    aim = with_error(wanted, error) if error > 0 else f"{wanted:.3g}"
    change = f"Multiply the couplings of {ensemble.gain_name} by {factor:.2g}"
    if ensemble.critical_state == "run":
        goal = "then random networks of these biases and inputs have a largest exponent of zero."
        here = float(ensemble.random_mean.get("lyapunov", np.nan))
        now = f"Their exponent is {here:+.2g} per step now; " if np.isfinite(here) else ""
        evidence = (
            f"{now}networks of {UNITS} units cross zero each at a gain of its own, which scatters "
            f"by {spread:.2g}."
        )
    else:
        goal = "then the fixed point of random networks like it is at the edge of stability."
        evidence = (
            f"Theory of their fixed point: its radius is {float(ensemble.radius_here):.3g} at the "
            f"gain {own:.3g}, and 1 at {wanted:.3g}."
        )
    yield _advice(
        "proposal",
        "gain",
        f"{change} (gain {own:.3g} to {aim}): {goal}",
        f"{evidence[0].upper()}{evidence[1:]}",
        gain=own,
        critical_gain=wanted,
        standard_error=error,
        spread=spread,
    )


def memory_advice(
    run: RunStatistics | None,
    biases: Biases | None,
    timescales: Timescales | None,
    length: int | None,
) -> Iterator[Advice]:
    """Propose the gate's bias at which half of the units remember the whole sequence."""
    if run is None or biases is None or timescales is None or length is None:
        return
    now = float(timescales.gate_time)
    for axes in AXES.values():
        if axes.gate not in run.gate_names or not now < _ENOUGH * length:
            continue
        middle = run.gate_quantiles[run.gate_names.index(axes.gate), _MEDIAN]
        own = float(biases.mean[biases.names.index(axes.bias)])
        # What the gate's argument is in the median, and what inputs and couplings are of it.
        argument = float(logit(middle))
        wanted = own + float(logit_of_time(length, True)) - argument
        if not (np.isfinite(argument) and wanted > own):
            continue
        gate, rest = _words(axes.gate), argument - own
        verb = "add" if rest > 0 else "take away"
        yield _advice(
            "proposal",
            "memory",
            f"Raise the mean of {axes.bias} from {own:.3g} to {wanted:.3g} for units that keep "
            f"their state over the sequence's {length} steps.",
            f"The median unit forgets within {now:.3g} steps: the median {gate} is {middle:.3g}, "
            f"sigma of {argument:.3g}, to which inputs and couplings {verb} {abs(rest):.2g}. If "
            "they stay as they are, half of the units keep their state for "
            f"-1/ln sigma = {length} steps at that bias.",
            bias=own,
            wanted_bias=wanted,
            argument=argument,
            gate_time=now,
            length=length,
        )


def outlier_advice(couplings: Couplings | None) -> Iterator[Advice]:
    """Tell of eigenvalues that random couplings of the same gain would not have."""
    if couplings is None:
        return
    for place, name in enumerate(couplings.field_names):
        count = int(couplings.outliers[place])
        if not count:
            continue
        largest = float(np.abs(couplings.eigenvalues[place, 0]))
        if couplings.bulk_gain[place] == 0:
            yield _low_rank(couplings, place, largest)
            continue
        yield _advice(
            "remark",
            "outliers",
            f"The couplings of {name} have {count} eigenvalue{'s' * (count > 1)} outside the disc "
            f"of random ones, the largest of modulus {largest:.3g}: low-rank structure.",
            f"The disc's radius is {couplings.bulk_gain[place]:.3g}, {couplings.edge[place]:.3g} "
            f"with the margin of {couplings.eigenvalues.shape[1]} units.",
            count=count,
            largest=largest,
            edge=couplings.edge[place],
        )


def _low_rank(couplings: Couplings, place: int, largest: float) -> Advice:
    rank, n = int(couplings.numerical_rank[place]), couplings.singular_values.shape[1]
    return _advice(
        "remark",
        "outliers",
        f"The couplings of {couplings.field_names[place]} are of rank {rank} of {n}, their largest "
        f"eigenvalue of modulus {largest:.3g}: nothing of them is like random ones.",
        f"The other {n - rank} singular values are below rounding in single precision; the largest "
        f"is {couplings.singular_values[place, 0]:.3g}.",
        rank=rank,
        largest=largest,
    )


def structure_advice(ensemble: Ensemble | None) -> Iterator[Advice]:
    """Tell where the layer differs from random networks of its own statistics."""
    if ensemble is None:
        return
    words = {
        "leading_edge": "leading edge",
        "lyapunov": "largest Lyapunov exponent",
        "variance": "variance of the activity",
        "gate_time": "median gate time",
    }
    for name, difference in ensemble.structure.items():
        limit = float(ensemble.finite_size[name])
        if not abs(difference) > limit:
            continue
        here, there = float(ensemble.measured[name]), float(ensemble.random_mean[name])
        spread = float(ensemble.random_spread[name])
        yield _advice(
            "remark",
            "structure",
            f"The {words[name]} is {here:.4g}, {there:.4g} with random couplings of the same gains "
            "and the layer's own biases and inputs: training built the rest into the couplings.",
            f"{ensemble.networks} such networks scatter by {spread:.2g}; 99 in a hundred lie "
            f"within {limit:.2g} of their mean, the layer at {float(difference):+.3g}.",
            measured=here,
            random_mean=there,
            random_spread=spread,
            limit=limit,
        )


def point_advice(points: SlowPoints | None) -> Iterator[Advice]:
    """Tell of points that keep a state for long, or of several stable ones."""
    if points is None:
        return
    fixed = ~points.is_slow
    stable = int(np.sum(points.stable & fixed))
    if stable > 1:
        yield _advice(
            "remark",
            "slow points",
            f"There are {stable} stable fixed points under the mean input: the layer can store "
            "which of them it is at for ever.",
            f"{int(np.sum(fixed))} fixed points were found by {points.searches} searches.",
            stable=stable,
            fixed=int(np.sum(fixed)),
        )
    near = np.abs(points.leading_edges - 1) < _SLOW
    if np.any(near):
        speed = float(np.min(points.speeds[near]))
        yield _advice(
            "remark",
            "slow points",
            f"{int(np.sum(near))} of {len(near)} points under the mean input are almost marginal: "
            "a direction there is kept for more than 50 steps.",
            f"Leading edges {_listed(points.leading_edges[near])}; the slowest moves by "
            f"{speed:.1g} per step.",
            marginal=int(np.sum(near)),
            points=len(near),
        )


def sorted_advice(advice: Iterator[Advice]) -> tuple[Advice, ...]:
    """Return the most urgent kinds first, otherwise in the given order."""
    return tuple(sorted(advice, key=lambda each: each.urgency))


def _advice(kind: str, topic: str, text: str, evidence: str, **values: Any) -> Advice:
    numbers = {name: np.asarray(value, float) for name, value in values.items()}
    return Advice(kind=kind, topic=topic, text=text, evidence=evidence, values=numbers)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _listed(values: HostArray) -> str:
    return ", ".join(f"{float(each):.4g}" for each in values[:5])
