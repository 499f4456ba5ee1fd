"""`diagnose`: a trained recurrent network as a dynamical system, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from gatefield.core.checks import check_choice, check_names, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.diagnosis.effort import EFFORTS, Limits, limits_of
from gatefield.diagnosis.exponents import Followed
from gatefield.diagnosis.layer import NEEDS, Subject, diagnose_layer
from gatefield.diagnosis.result import STAGES, Diagnosis
from gatefield.diagnosis.runs import (
    Sequences,
    checked_inputs,
    joined,
    layer_runs,
    received_along,
    sequences_of,
)
from gatefield.networks import LayeredNetwork


def diagnose(
    stack: LayeredNetwork,
    inputs: Any = None,
    *,
    effort: str = "normal",
    stages: Iterable[str] | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> Diagnosis:
    """Report what the weights of a recurrent module do along its inputs, and what to change.

    For each layer: couplings against random ones, biases, what it receives, its activity and gates,
    the Jacobian's spectrum with theory's boundary, Lyapunov exponents, times of memory, fixed and
    slow points, growth of gradients, the place of its matched random ensemble on the phase plane,
    and advice with its evidence::

        stack = gf.Network.from_file("model.safetensors")
        diagnosis = gf.diagnose(stack, np.load("data.npy"))
        for name, advice in diagnosis.advice:
            print(name, advice.text, advice.evidence)

    Parameters
    ----------
    stack
        What `Network.from_torch` and `Network.from_file` return.
    inputs
        A sequence (T, features), or several (samples, T, features), as the module reads them. By
        default zeros, from a random state: what the layers do of themselves.
    effort
        "quick", "normal" or "thorough": how many states, exponents, searches and samples. Of
        small layers the first takes much longer than the others, for its code is compiled.
    stages
        Which parts to make, of `gatefield.diagnosis.STAGES`; by default all. What a part needs is
        made, too. Advice looks at the parts that are made; asked for alone, at all of them.
    seed
        Draws states, searches and the samples of theory.
    progress
        True shows a bar of the parts, None on a terminal after some seconds.

    Returns
    -------
    Diagnosis
        A part that fails is None: its status and notes say why, the others go on.

    Raises
    ------
    InvalidInputError
        For what is no stack, inputs of another shape or that are not finite, or unknown options.

    Assumptions
    -----------
    Exponents and spectra of a layer are those under the input that it receives from the layers
    below. Random networks beside a layer have independent Gaussian couplings, and its own biases
    and inputs; the ensemble that theory describes has inputs that are independent from unit to
    unit, more randomness than a few features give that drive all units.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022). Sussillo and Barak, Neural
    Computation 25, 626 (2013), for slow points.
    """
    given = checked_inputs(stack, inputs)
    check_choice("effort", effort, EFFORTS)
    wanted = _wanted(stages)
    seed = check_seed(seed)
    cell = stack.layers[0].network.cell
    limits = limits_of(effort, stack.n, len(cell.state_names), len(cell.field_names))
    chosen = sequences_of(stack, given, most=limits.sequences, steps=limits.steps, seed=seed)
    bar = tqdm(
        total=(len(wanted) + 1) * len(stack.layers),
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc="diagnose",
        unit="part",
    )
    with bar:
        bar.set_postfix_str("runs")
        subjects = _subjects(stack, chosen, limits, None if given is None else given.shape[1])
        layers = []
        for subject in subjects:
            bar.update(1)
            place = f"layer {subject.layer.depth}{' reverse' * subject.layer.reverse}"

            def begin(name: str, place: str = place) -> None:
                bar.set_postfix_str(f"{place}: {name.replace('_', ' ')}")

            layers.append(
                diagnose_layer(
                    subject,
                    wanted,
                    limits,
                    seed=seed,
                    begin=begin,
                    advance=lambda: bar.update(1),
                )
            )
    settings = {"effort": effort, "stages": wanted, "seed": seed, "limits": limits._asdict()}
    return Diagnosis(
        layers=tuple(layers),
        kind=type(cell).__name__,
        n=stack.n,
        features=stack.features,
        depth=stack.depth,
        bidirectional=any(layer.reverse for layer in stack.layers),
        dtype=str(stack.dtype),
        driven=given is not None,
        sequences=0 if given is None else len(given),
        sequence_steps=0 if given is None else given.shape[1],
        notes=chosen.notes,
        settings=tuple((name, _hashable(value)) for name, value in settings.items()),
    )


def _wanted(stages: Iterable[str] | None) -> tuple[str, ...]:
    if stages is None:
        return STAGES
    if isinstance(stages, str):
        refuse("stages", stages, "a sequence of names", f"Pass ({stages!r},).")
    asked = set(stages)
    check_names("stages", asked, STAGES)
    if asked == {"advice"}:
        return STAGES  # advice on nothing would find nothing
    needed = set(asked)
    while True:
        more = needed.union(*(NEEDS.get(name, ()) for name in needed))
        if more == needed:
            return tuple(name for name in STAGES if name in needed)
        needed = more


def _subjects(
    stack: LayeredNetwork, chosen: Sequences, limits: Limits, length: int | None
) -> list[Subject]:
    """Run the stack along its inputs, and along the sequence of the exponents."""
    failure, runs, followed, about = "", [None] * len(stack.layers), None, ""
    try:
        runs = layer_runs(stack, chosen)
        # A tenth each for the state and for the frame to settle.
        sequence, about = joined(chosen, limits.exponent_steps * 5 // 4)
        starts = np.stack([run.states[-1, -1] for run in runs])
        if length is not None:
            starts = np.zeros_like(starts)
        received = received_along(stack, sequence, starts)
        followed = [Followed(*each) for each in zip(received, starts, strict=True)]
    except NumericalFailureError as error:
        failure = f"The run along the inputs failed: {error}"
    return [
        Subject(
            layer=layer,
            run=run,
            failure=failure,
            followed=None if followed is None else followed[place],
            about=(about,),
            length=length,
        )
        for place, (layer, run) in enumerate(zip(stack.layers, runs, strict=True))
    ]


def _hashable(value: Any) -> Any:
    return tuple(value.items()) if isinstance(value, dict) else value
