"""What a design was asked for: targets, inputs and options that were checked together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.checks import as_number, check_choice, check_count, check_names, check_seed
from gatefield.core.errors import refuse
from gatefield.initialise.moving import Moving
from gatefield.initialise.prediction import BRANCHES
from gatefield.initialise.predictor import Options
from gatefield.initialise.quantities import QUANTITIES, is_positive
from gatefield.initialise.sources import Source, sources_of
from gatefield.initialise.statistics import InputStatistics

STATES = ("auto", "fixed point", "moving")
_TOLERANCE = {"fixed point": 1e-3, "moving": 2e-2}
_SAMPLES = {"fixed point": 2048, "moving": 400}
_BATCHES, _STARTS, _START = 4, 8, 1.0
_UNITS, _NETWORKS = 300, 4
_MEASURED_ONLY = 150  # units of the networks that predict what theory cannot


class Request(NamedTuple):
    """A design's targets and options.

    Attributes
    ----------
    wanted
        Targets by quantity.
    sources
        What drives the networks.
    dt
        Time of a flow for which a step of its data is held; None without such data.
    state
        "fixed point" or "moving".
    options
        How theory predicts.
    tolerance, starts, n, networks, seed
        As in `design`.
    idle
        What was given and has no effect, in words.
    """

    wanted: dict[str, float]
    sources: list[Source]
    dt: float | None
    state: str
    options: Options
    tolerance: float
    starts: int
    n: int
    networks: int
    seed: int
    idle: tuple[str, ...]


def checked_request(
    cell: AbstractCell,
    targets: Any,
    *,
    inputs: Any,
    weight_variance: float | None,
    dt: float | None,
    branch: str,
    state: str,
    horizon: float | None,
    quantile: float | None,
    tolerance: float | None,
    starts: int | None,
    samples: int | None,
    batches: int | None,
    start: float | None,
    verify: bool,
    n: int | None,
    networks: int | None,
    seed: int,
) -> Request:
    """Check what `design` was given; parameters and errors as there."""
    wanted = _checked_targets(cell, targets)
    sources, dt = _checked_sources(cell, inputs, weight_variance, dt)
    check_choice("branch", branch, BRANCHES)
    chosen = _state(check_choice("state", state, STATES), wanted, sources)
    if chosen == "moving" and branch != "auto":
        refuse("branch", branch, "'auto' in a state that moves", "Runs lead to it from `start`.")
    if chosen == "fixed point":
        for name, value in (("start", start), ("batches", batches)):
            if value is not None:
                refuse(name, value, "nothing at fixed points", "It belongs to state='moving'.")
    if "gradient_growth" in wanted and horizon is None:
        refuse("horizon", None, "how far back gradients are followed", "For instance 50.")
    length = 1.0 if horizon is None else as_number("horizon", horizon, positive=True)
    if isinstance(cell, AbstractMap):
        length = check_count("horizon (steps of a map)", length)
    part = 0.5 if quantile is None else as_number("quantile", quantile, positive=True)
    if part >= 1:
        refuse("quantile", quantile, "a number between 0 and 1", "0.5 is the median.")
    limit = _TOLERANCE[chosen] if tolerance is None else tolerance
    limit = as_number("tolerance", limit, positive=True)
    seed = check_seed(seed)
    units = check_count("n", _UNITS if n is None else n, at_least=2)
    number = check_count("networks", _NETWORKS if networks is None else networks)
    count = check_count("samples", _SAMPLES[chosen] if samples is None else samples, at_least=2)
    moving = Moving(
        samples=count,
        batches=check_count("batches", _BATCHES if batches is None else batches, at_least=2),
        start=as_number("start", _START if start is None else start, nonnegative=True),
        tolerance=max(limit / 4, 1e-3),
        seed=seed,
        n=min(units, _MEASURED_ONLY),
        networks=min(number, 2),
    )
    given = {
        "horizon": horizon is not None and "gradient_growth" not in wanted,
        "quantile": quantile is not None and "gate_time" not in wanted,
        "n": n is not None and not verify,
        "networks": networks is not None and not verify,
    }
    if chosen == "moving" and set(wanted) & {"dimension", "lyapunov"}:
        given["n"] = given["networks"] = False
    return Request(
        wanted,
        sources,
        dt,
        chosen,
        Options(branch, chosen, length, part, count, seed, moving),
        limit,
        check_count("starts", _STARTS if starts is None else starts),
        units,
        number,
        seed,
        tuple(name for name, idle in given.items() if idle),
    )


def _checked_targets(cell: AbstractCell, targets: Any) -> dict[str, float]:
    if not isinstance(targets, Mapping) or not targets:
        refuse("targets", targets, "a mapping from quantities to values", "Say {'radius': 1.0}.")
    check_names("targets", targets, QUANTITIES)
    found = {}
    for name, value in targets.items():
        found[name] = as_number(f"targets[{name!r}]", value, positive=is_positive(name, cell))
    if found.get("dimension", 0.0) > len(cell.state_names):
        remedy = "It is the Kaplan-Yorke dimension over the number of units."
        refuse("targets['dimension']", found["dimension"], "no more than a unit has", remedy)
    return found


def _checked_sources(
    cell: AbstractCell, inputs: Any, weight_variance: float | None, dt: float | None
) -> tuple[list[Source], float | None]:
    """Return what drives a cell, data in the cell's own time."""
    of_data, is_map = isinstance(inputs, InputStatistics), isinstance(cell, AbstractMap)
    if weight_variance is not None and not of_data:
        remedy = "Give the variance of each drive's input itself, or InputStatistics."
        refuse("weight_variance", weight_variance, "None without InputStatistics", remedy)
    if dt is not None and (is_map or not of_data):
        remedy = "A map takes one step of data in each of its own; inputs by drive have their time."
        refuse("dt", dt, "None but for a flow that reads InputStatistics", remedy)
    if of_data:
        weight_variance = 1 / inputs.features if weight_variance is None else weight_variance
        if not is_map:
            if dt is None:
                remedy = "Data count steps: pass the module's dt, for instance 0.1."
                refuse("dt", None, "how long a flow holds a step of its data", remedy)
            dt = as_number("dt", dt, positive=True)
            inputs = inputs.held(dt)
    return sources_of(cell, inputs, weight_variance), dt


def _state(state: str, targets: dict[str, float], sources: list[Source]) -> str:
    varies = any(not each.input.is_static and each.input.variance > 0 for each in sources)
    moves = "dimension" in targets or targets.get("lyapunov", -1.0) > 0
    if state == "fixed point" and varies:
        refuse("state", state, "'moving' where an input varies in time", "Leave it out.")
    if state == "fixed point" and "dimension" in targets:
        refuse("state", state, "'moving' for a dimension", "Leave it out.")
    if state == "fixed point" and moves:
        remedy = "Networks leave an unstable fixed point. Leave it out, or ask for leading_edge."
        refuse("state", state, "'moving' for a positive lyapunov", remedy)
    if state != "auto":
        return state
    return "moving" if varies or moves else "fixed point"
