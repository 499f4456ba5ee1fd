"""The diagnosis of one layer: its parts one after the other, each on its own feet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from gatefield.core.errors import GatefieldError, NumericalFailureError
from gatefield.core.results import Status
from gatefield.diagnosis import advice as sentences
from gatefield.diagnosis.biases import biases_of
from gatefield.diagnosis.couplings import couplings_of
from gatefield.diagnosis.drives import drives_of
from gatefield.diagnosis.effort import Limits
from gatefield.diagnosis.ensemble import ensemble_of
from gatefield.diagnosis.exponents import exponents_of
from gatefield.diagnosis.gates import run_statistics
from gatefield.diagnosis.gradients import gradients_of
from gatefield.diagnosis.matched import matched_ensemble
from gatefield.diagnosis.result import STAGES, LayerDiagnosis, Stage
from gatefield.diagnosis.runs import LayerRun
from gatefield.diagnosis.slow_points import slow_points_of
from gatefield.diagnosis.spectra import spectra_of
from gatefield.diagnosis.timescales import timescales_of
from gatefield.networks import Layer, Series

_Answer = tuple[Any, Status, Iterable[str]]

NEEDS = {"ensemble": ("couplings", "biases", "drives", "run")}
"""Parts that others rest on; what else they use may be missing."""


class Subject(NamedTuple):
    """What is known of a layer before its diagnosis.

    Attributes
    ----------
    layer
        The layer.
    run
        Its run, or None with the reason in ``failure``.
    failure
        Why there is no run.
    followed
        By drive what it receives along the sequence of the exponents, and where that starts; None
        if that run failed.
    about
        Notes on that sequence.
    length
        Steps of the sequences that were given; None without inputs.
    """

    layer: Layer
    run: LayerRun | None
    failure: str
    followed: tuple[dict[str, Series], np.ndarray] | None
    about: tuple[str, ...]
    length: int | None


def diagnose_layer(
    subject: Subject,
    wanted: Iterable[str],
    limits: Limits,
    *,
    seed: int,
    begin: Callable[[str], Any],
    advance: Callable[[], Any],
) -> LayerDiagnosis:
    """Make the parts that are wanted; one that fails becomes a status and a note.

    Parameters
    ----------
    subject
        The layer and its runs.
    wanted
        Names among `STAGES`, with all that they need.
    limits
        Of the work.
    seed
        Draws starts and samples.
    begin, advance
        Called with the name of each part before it is made, and after it.

    Returns
    -------
    LayerDiagnosis
    """
    layer, wanted = subject.layer, set(wanted)
    parts: dict[str, Any] = {}
    stages = []
    for name in STAGES:
        if name not in wanted:
            continue
        begin(name)
        try:
            parts[name], status, notes = _MAKERS[name](subject, parts, limits, seed)
        except (GatefieldError, np.linalg.LinAlgError) as error:
            failed = isinstance(error, NumericalFailureError)
            status = Status.DIVERGED if failed else Status.NOT_CONVERGED
            parts[name], notes = None, (str(error),)
        stages.append(Stage(name, status, tuple(note for note in notes if note)))
        advance()
    cell = layer.network.cell
    proposals = parts.pop("advice", None)
    return LayerDiagnosis(
        depth=layer.depth,
        reverse=layer.reverse,
        kind=type(cell).__name__,
        n=layer.network.n,
        components=len(cell.state_names),
        features=layer.features,
        advice=proposals or (),
        stages=tuple(stages),
        **{name: parts.get(name) for name in STAGES if name != "advice"},
    )


def _run(subject: Subject) -> LayerRun:
    if subject.run is None:
        raise NumericalFailureError(subject.failure)
    return subject.run


def _couplings(subject, parts, limits, seed) -> _Answer:
    found, notes = couplings_of(subject.layer.network)
    return found, Status.OK, notes


def _biases(subject, parts, limits, seed) -> _Answer:
    network = subject.layer.network
    return biases_of(network.cell, network.n), Status.OK, ()


def _drives(subject, parts, limits, seed) -> _Answer:
    return drives_of(_run(subject)), Status.OK, ()


def _statistics(subject, parts, limits, seed) -> _Answer:
    return run_statistics(_run(subject), limits.moments), Status.OK, ()


def _spectra(subject, parts, limits, seed) -> _Answer:
    return spectra_of(_run(subject), states=limits.states, whole=limits.whole)


def _exponents(subject, parts, limits, seed) -> _Answer:
    _run(subject)
    if subject.followed is None:
        raise NumericalFailureError(subject.failure)
    inputs, initial = subject.followed
    found, status, notes = exponents_of(
        subject.layer.network, inputs, initial, limits.exponents, seed=seed
    )
    return found, status, (*subject.about, *notes)


def _timescales(subject, parts, limits, seed) -> _Answer:
    run = _run(subject)
    return timescales_of(run, parts.get("spectra"), parts.get("exponents")), Status.OK, ()


def _slow_points(subject, parts, limits, seed) -> _Answer:
    return slow_points_of(_run(subject), limits, seed=seed)


def _gradients(subject, parts, limits, seed) -> _Answer:
    return gradients_of(_run(subject), horizon=limits.horizon, readouts=limits.readouts, seed=seed)


def _ensemble(subject, parts, limits, seed) -> _Answer:
    known = [parts.get(name) for name in NEEDS["ensemble"]]
    if any(each is None for each in known):
        raise NumericalFailureError("Its gains, biases or inputs are not known.")
    matched = matched_ensemble(subject.layer.network.cell, *known)
    measured = {"variance": float(parts["run"].variance)}
    if parts.get("spectra") is not None:
        measured["leading_edge"] = float(np.median(parts["spectra"].leading_edges))
    if parts.get("exponents") is not None:
        measured["lyapunov"] = float(parts["exponents"].exponents[0])
    if parts.get("timescales") is not None:
        measured["gate_time"] = float(parts["timescales"].gate_time)
    return ensemble_of(matched, measured, units=subject.layer.network.n, limits=limits, seed=seed)


def _advised(subject, parts, limits, seed) -> _Answer:
    found = chain(
        sentences.gate_advice(parts.get("run")),
        sentences.gradient_advice(parts.get("gradients")),
        sentences.chaos_advice(parts.get("exponents")),
        sentences.gain_advice(parts.get("ensemble")),
        sentences.memory_advice(parts.get("ensemble"), parts.get("timescales"), subject.length),
        sentences.outlier_advice(parts.get("couplings")),
        sentences.structure_advice(parts.get("ensemble")),
        sentences.point_advice(parts.get("slow_points")),
    )
    return sentences.sorted_advice(found), Status.OK, ()


_MAKERS = dict(
    zip(
        STAGES,
        (
            _couplings,
            _biases,
            _drives,
            _statistics,
            _spectra,
            _exponents,
            _timescales,
            _slow_points,
            _gradients,
            _ensemble,
            _advised,
        ),
        strict=True,
    )
)
