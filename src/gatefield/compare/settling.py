"""Whether networks with biases and static inputs come to rest, and with which variance."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.analysis import perturbation_growth
from gatefield.cells import AbstractCell, AbstractMap, GatedRNN, VanillaRNN
from gatefield.core.checks import as_number, as_parameter, check_count, check_names, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Bool, Float, HostArray
from gatefield.networks import Network, simulate
from gatefield.numerics.threads import in_turn

REST = 1e-3
"""Speed, relative to the size of the state, below which a network counts as at rest."""
_STEP = 0.1
_SMALL = 1e-2  # of the root mean square: smaller states move slowly in any case
_BLOCKS, _DISCARD = 10, 2
_BIASES: dict[type, dict[str, str]] = {
    GatedRNN: {"h": "beta_h", "z": "beta_z", "r": "beta_r"},
    VanillaRNN: {"h": "beta"},
}


class Settling(AbstractResult):
    """Networks of one cell after a time: where they are, and whether they still move.

    Attributes
    ----------
    variance
        Of the first state component over units at the end, for each network.
    speed
        Its root-mean-square change over the last unit of time (step, of a map), relative to its
        root mean square (to 0.01 where that is less), for each network.
    rate, error
        Growth rate of perturbations of the final state, and its standard error.
    n
        Units of each network.
    t_max
        Duration.
    is_map
        Whether time counts steps.
    """

    variance: Float[HostArray, " network"] = eqx.field(metadata=quantity("network"))
    speed: Float[HostArray, " network"] = eqx.field(
        metadata=quantity("network", unit="1 / time constant")
    )
    rate: Float[HostArray, " network"] = eqx.field(
        metadata=quantity("network", unit="1 / time constant")
    )
    error: Float[HostArray, " network"] = eqx.field(
        metadata=quantity("network", unit="1 / time constant")
    )
    n: int = eqx.field(static=True)
    t_max: float = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)

    @property
    def resting(self) -> Bool[HostArray, " network"]:
        """Which networks came to rest: they hardly move, and perturbations shrink."""
        return (self.speed < REST) & (self.rate < 0)


def settle(
    cell: AbstractCell,
    *,
    n: int,
    networks: int,
    t_max: float = 200.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
    start: float = 0.1,
    dt: float | None = None,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> Settling:
    """Let networks with drawn biases and static inputs run, and see whether they come to rest.

    Parameters
    ----------
    cell
        Any cell.
    n, networks
        Units of each, and how many.
    t_max
        Duration, in units of the time constant (steps of a map), then half of it to measure how
        perturbations grow.
    input_variance
        Variance over units of static Gaussian input, by drive name.
    bias_variance
        Variance of the random part of the biases, by name; gated and vanilla RNN only.
    start
        Standard deviation of the initial states: small ones end in the fixed point that continues
        from small gains, where others coexist with it.
    dt
        Step of a flow, 0.1 by default. Maps have none.
    seed
        Of the first network.
    report
        Called as networks are done.

    Returns
    -------
    Settling

    Raises
    ------
    InvalidInputError
        For unknown names, negative variances, or random biases of a cell that has no such names.
    """
    is_map = isinstance(cell, AbstractMap)
    if is_map and dt is not None:
        refuse("dt", dt, "None for a map", "Maps advance step by step.")
    step = 1.0 if is_map else as_number("dt", _STEP if dt is None else dt, positive=True)
    time = as_number("t_max", t_max, positive=True)
    if time < 2:
        refuse("t_max", t_max, "at least 2", "The speed is measured over the last unit of time.")
    size = as_number("start", start, nonnegative=True)
    n, networks, seed = check_count("n", n), check_count("networks", networks), check_seed(seed)
    inputs = _deviations("input_variance", input_variance, cell.drive_names)
    parameters = _BIASES.get(type(cell), {})
    if bias_variance and not parameters:
        remedy = "Pass per-unit parameters (N,) to the cell."
        refuse("bias_variance", bias_variance, f"none for {type(cell).__name__}", remedy)
    biases = _deviations("bias_variance", bias_variance, tuple(parameters))
    options: dict[str, Any] = {} if is_map else {"dt": step}

    def one(number: int) -> tuple[float, float, float, float]:
        rng = np.random.default_rng(seed + number)
        initial = size * rng.standard_normal((len(cell.state_names), n))
        own = _with_random_biases(cell, biases, parameters, n, rng)
        drawn = {name: each * rng.standard_normal(n) for name, each in inputs.items()}
        network = Network.sample(own, n, seed=seed + number)
        run = simulate(
            network,
            time,
            initial=initial,
            inputs=drawn,
            save_every=max(1, round(1 / step)),
            progress=False,
            **options,
        )
        before, after = run.component(cell.state_names[0])[-2:]
        moved = np.sqrt(np.mean((after - before) ** 2)) / (run.times[-1] - run.times[-2])
        # A state that falls to zero is at rest, however fast its last digits fall.
        speed = moved / max(float(np.sqrt(np.mean(after**2))), _SMALL)
        grown = perturbation_growth(
            network,
            run.final,
            time / 2,
            inputs=drawn,
            blocks=_BLOCKS,
            discard=_DISCARD,
            seed=seed + number,
            **options,
        )
        return float(np.var(after)), float(speed), float(grown.rate), float(grown.standard_error)

    rows = in_turn(
        one,
        range(networks),
        size=n,
        lapack=False,
        report=None if report is None else lambda done: report(f"{done} of {networks} networks"),
    )
    return Settling(*np.array(rows).T, n=n, t_max=time, is_map=is_map)


def _deviations(label: str, given: Mapping[str, Any] | None, names: tuple[str, ...]):
    """Return standard deviations by name of the variances that are not zero."""
    given = {} if given is None else given
    if not isinstance(given, Mapping):
        refuse(label, given, "a mapping by name", f"For instance {{{(*names, 'h')[0]!r}: 0.1}}.")
    check_names(label, given, names)
    found = {}
    for name, value in given.items():
        variance = as_number(f"{label}[{name!r}]", value, nonnegative=True)
        if variance > 0:
            found[name] = float(np.sqrt(variance))
    return found


def _with_random_biases(cell, biases, parameters, n, rng):
    drawn = {
        parameters[name]: as_parameter(name, getattr(cell, parameters[name]))
        + each * rng.standard_normal(n)
        for name, each in biases.items()
    }
    return _replaced(cell, drawn) if drawn else cell


def _replaced(cell, values):
    fields = {each.name: getattr(cell, each.name) for each in dataclasses.fields(cell)}
    return type(cell)(**{**fields, **values})
