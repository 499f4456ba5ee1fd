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
from gatefield.diagnosis.exponents import Followed, exponents_of
from gatefield.diagnosis.gates import run_statistics
from gatefield.diagnosis.gradients import gradients_of
from gatefield.diagnosis.matched import matched_ensemble
from gatefield.diagnosis.result import STAGES, LayerDiagnosis, Stage
from gatefield.diagnosis.runs import LayerRun
from gatefield.diagnosis.slow_points import slow_points_of
from gatefield.diagnosis.spectra import spectra_of
from gatefield.diagnosis.timescales import timescales_of
from gatefield.networks import Layer, Network

_Answer = tuple[Any, Status, Iterable[str]]

NEEDS = {
    "timescales": ("spectra", "exponents"),
    "ensemble": ("couplings", "biases", "drives", "run", "spectra", "exponents", "timescales"),
}
"""Parts that are made, too, where one is asked for."""

_RESTS_ON = ("couplings", "biases", "drives", "run")  # without these there is no ensemble


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
        What it receives along the sequence of the exponents; None if that run failed.
    about
        Notes on that sequence.
    length
        Steps of the sequences that were given; None without inputs.
    """

    layer: Layer
    run: LayerRun | None
    failure: str
    followed: Followed | None
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
    work = _Work(subject, parts, limits, seed)
    stages = []
    for name in STAGES:
        if name not in wanted:
            continue
        begin(name)
        try:
            parts[name], status, notes = _MAKERS[name](work)
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


class _Work(NamedTuple):
    """What the maker of a part is given: the layer, the parts made so far, and how to go on."""

    subject: Subject
    parts: dict[str, Any]
    limits: Limits
    seed: int

    @property
    def network(self) -> Network:
        return self.subject.layer.network

    def run(self) -> LayerRun:
        if self.subject.run is None:
            raise NumericalFailureError(self.subject.failure)
        return self.subject.run

    def missing(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.parts.get(name) is None]


def _couplings(work: _Work) -> _Answer:
    found, notes = couplings_of(work.network)
    return found, Status.OK, notes


def _biases(work: _Work) -> _Answer:
    return biases_of(work.network.cell, work.network.n), Status.OK, ()


def _drives(work: _Work) -> _Answer:
    return drives_of(work.run()), Status.OK, ()


def _statistics(work: _Work) -> _Answer:
    return run_statistics(work.run(), work.limits.moments), Status.OK, ()


def _spectra(work: _Work) -> _Answer:
    return spectra_of(work.run(), states=work.limits.states, whole=work.limits.whole)


def _exponents(work: _Work) -> _Answer:
    work.run()
    followed = work.subject.followed
    if followed is None:
        raise NumericalFailureError(work.subject.failure)
    found, status, notes = exponents_of(
        work.network, followed, work.limits.exponents, seed=work.seed
    )
    return found, status, (*work.subject.about, *notes)


def _timescales(work: _Work) -> _Answer:
    found = timescales_of(work.run(), work.parts.get("spectra"), work.parts.get("exponents"))
    missing = work.missing(NEEDS["timescales"])
    if not missing:
        return found, Status.OK, ()
    return found, Status.NOT_CONVERGED, (f"Without {_listed(missing)}, which could not be made.",)


def _slow_points(work: _Work) -> _Answer:
    return slow_points_of(work.run(), work.limits, seed=work.seed)


def _gradients(work: _Work) -> _Answer:
    horizon, readouts = work.limits.horizon, work.limits.readouts
    return gradients_of(work.run(), horizon=horizon, readouts=readouts, seed=work.seed)


def _ensemble(work: _Work) -> _Answer:
    missing = work.missing(_RESTS_ON)
    if missing:
        raise NumericalFailureError(f"It rests on {_listed(missing)}, which could not be made.")
    parts = work.parts
    matched = matched_ensemble(work.network.cell, *(parts[name] for name in _RESTS_ON))
    measured = {"variance": float(parts["run"].variance)}
    if parts.get("spectra") is not None:
        measured["leading_edge"] = float(np.median(parts["spectra"].leading_edges))
    if parts.get("exponents") is not None:
        measured["lyapunov"] = float(parts["exponents"].exponents[0])
    if parts.get("timescales") is not None:
        measured["gate_time"] = float(parts["timescales"].gate_time)
    return ensemble_of(
        matched,
        measured,
        run=work.run(),
        followed=work.subject.followed,
        driven=work.subject.length is not None,
        limits=work.limits,
        seed=work.seed,
    )


def _advised(work: _Work) -> _Answer:
    parts, length = work.parts, work.subject.length
    found = chain(
        sentences.gate_advice(parts.get("run")),
        sentences.gradient_advice(parts.get("gradients")),
        sentences.chaos_advice(parts.get("exponents"), driven=length is not None),
        sentences.gain_advice(parts.get("ensemble")),
        sentences.memory_advice(
            parts.get("run"), parts.get("biases"), parts.get("timescales"), length
        ),
        sentences.outlier_advice(parts.get("couplings")),
        sentences.structure_advice(parts.get("ensemble")),
        sentences.point_advice(parts.get("slow_points")),
    )
    missing = work.missing(_ADVISED)
    if len(missing) == len(_ADVISED):
        return (), Status.NOT_CONVERGED, ("None of the parts that it looks at was made.",)
    notes = (f"It does not look at {_listed(missing)}: not made.",) if missing else ()
    return sentences.sorted_advice(found), Status.OK, notes


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


_MAKERS: dict[str, Callable[[_Work], _Answer]] = {
    "couplings": _couplings,
    "biases": _biases,
    "drives": _drives,
    "run": _statistics,
    "spectra": _spectra,
    "exponents": _exponents,
    "timescales": _timescales,
    "slow_points": _slow_points,
    "gradients": _gradients,
    "ensemble": _ensemble,
    "advice": _advised,
}
_ADVISED = (
    "couplings",
    "run",
    "exponents",
    "timescales",
    "slow_points",
    "gradients",
    "ensemble",
)
