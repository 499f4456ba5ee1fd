"""What `diagnose` returns: for each layer one part for each question, and how it was answered."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from gatefield.core.checks import check_choice
from gatefield.core.errors import refuse
from gatefield.core.results import Status
from gatefield.diagnosis.advice import Advice
from gatefield.diagnosis.biases import Biases
from gatefield.diagnosis.couplings import Couplings
from gatefield.diagnosis.drives import Drives
from gatefield.diagnosis.ensemble import Ensemble
from gatefield.diagnosis.exponents import Exponents
from gatefield.diagnosis.gates import RunStatistics
from gatefield.diagnosis.gradients import Gradients
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.slow_points import SlowPoints
from gatefield.diagnosis.spectra import Spectra
from gatefield.diagnosis.timescales import Timescales

STAGES = (
    "couplings",
    "biases",
    "drives",
    "run",
    "spectra",
    "exponents",
    "timescales",
    "slow_points",
    "gradients",
    "ensemble",
    "advice",
)
"""The parts of a layer's diagnosis, in the order in which they are made."""


class Stage(NamedTuple):
    """How one part of a diagnosis ended.

    Attributes
    ----------
    name
        One of `STAGES`.
    status
        OK, or why the part is missing or not to be trusted.
    notes
        What was limited, approximated or left out, one sentence each.
    """

    name: str
    status: Status
    notes: tuple[str, ...]


class LayerDiagnosis(MapPart):
    """One layer in one direction. A part that failed or was not asked for is None.

    Attributes
    ----------
    depth, reverse
        Which layer: its depth, and whether it runs from the end of the sequence.
    kind
        Name of the cell's class: "GRU", "LSTM" or "ElmanRNN".
    n, components, features
        Number of units N, of components d of a unit's state, and of features that it reads.
    couplings, biases, drives, run, spectra, exponents, timescales, slow_points, gradients, ensemble
        The parts.
    advice
        Warnings and proposals, each with its evidence, most urgent first.
    stages
        How each part ended, in the order of `STAGES`; parts not asked for are left out.
    """

    depth: int = eqx.field(static=True)
    reverse: bool = eqx.field(static=True)
    kind: str = eqx.field(static=True)
    n: int = eqx.field(static=True)
    components: int = eqx.field(static=True)
    features: int = eqx.field(static=True)
    couplings: Couplings | None
    biases: Biases | None
    drives: Drives | None
    run: RunStatistics | None
    spectra: Spectra | None
    exponents: Exponents | None
    timescales: Timescales | None
    slow_points: SlowPoints | None
    gradients: Gradients | None
    ensemble: Ensemble | None
    advice: tuple[Advice, ...]
    stages: tuple[Stage, ...] = eqx.field(static=True)

    @property
    def name(self) -> str:
        """The layer's place, for instance "layer 0" or "layer 1, reverse"."""
        return f"layer {self.depth}" + (", reverse" if self.reverse else "")

    @property
    def status(self) -> Status:
        """OK if every part is; else the status of the first that is not."""
        return next((s.status for s in self.stages if s.status is not Status.OK), Status.OK)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of all parts, each after the part's name."""
        return tuple(f"{s.name}: {note}" for s in self.stages for note in s.notes)

    def part(self, name: str) -> Any:
        """Return a part by its name, refusing with its notes if it is missing."""
        check_choice("name", name, STAGES)
        value = getattr(self, name)
        if value is None:
            notes = [note for stage in self.stages if stage.name == name for note in stage.notes]
            remedy = " ".join(notes) or f"Ask for it by stages=({name!r},)."
            refuse(name, "missing", "a part that was made", remedy)
        return value

    def stage(self, name: str) -> Stage:
        """Return how a part ended."""
        check_choice("name", name, [each.name for each in self.stages])
        return next(each for each in self.stages if each.name == name)


class Diagnosis(MapPart):
    """What a trained recurrent network is as a dynamical system, layer by layer.

    Attributes
    ----------
    layers
        One `LayerDiagnosis` for each layer and direction, in the order of PyTorch's h_n.
    kind
        Name of the cell's class.
    n, features, depth
        Units N of each layer, features of the input, number of depths.
    bidirectional
        Whether layers run in both directions.
    dtype
        Precision of the weights that were given.
    driven
        Whether inputs were given; without them the input is zero.
    sequences, sequence_steps
        How many sequences were given, and the steps T of each.
    notes
        What holds for all layers, one sentence each.
    settings
        What made the diagnosis.
    """

    layers: tuple[LayerDiagnosis, ...]
    kind: str = eqx.field(static=True)
    n: int = eqx.field(static=True)
    features: int = eqx.field(static=True)
    depth: int = eqx.field(static=True)
    bidirectional: bool = eqx.field(static=True)
    dtype: str = eqx.field(static=True)
    driven: bool = eqx.field(static=True)
    sequences: int = eqx.field(static=True)
    sequence_steps: int = eqx.field(static=True)
    notes: tuple[str, ...] = eqx.field(static=True)
    settings: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    @property
    def status(self) -> Status:
        """OK if every part of every layer is; else the first other status."""
        return next((s for s in (x.status for x in self.layers) if s is not Status.OK), Status.OK)

    @property
    def advice(self) -> tuple[tuple[str, Advice], ...]:
        """All layers' advice with the layer's name, most urgent first."""
        each = [(layer.name, advice) for layer in self.layers for advice in layer.advice]
        order = np.argsort([advice.urgency for _, advice in each], kind="stable")
        return tuple(each[place] for place in order)
