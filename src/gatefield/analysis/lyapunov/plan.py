"""What a run of `lyapunov_spectrum` is to do: options checked, steps counted, a beginning made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.analysis.lyapunov.checkpoint import Standing, fingerprint_of_drive
from gatefield.analysis.lyapunov.frame import Path
from gatefield.analysis.lyapunov.result import LyapunovSpectrum
from gatefield.cells import AbstractMap
from gatefield.core.checkpoints import fingerprint
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.networks.inputs import Inputs, drive_of
from gatefield.networks.network import Network, as_state, compilable
from gatefield.networks.series import Series, check_series
from gatefield.numerics.steppers import STEPPERS

FEWEST_BLOCKS = 16
"""Blocks before an accuracy is believed."""

_STEP = 0.05


class Plan(NamedTuple):
    """A run: where the state goes, where the frame goes, and for how many steps.

    Attributes
    ----------
    path, low
        In the precision of the network, and in that of the frame where it is another.
    dt
        Step, in time constants (maps: 1).
    k
        Rows of the frame.
    first
        Number of the first step; not zero where a run is continued.
    relax, align
        Steps in which the state, then the frame settles.
    block, blocks
        Steps of a block, and at most how many blocks.
    accuracy
        Standard error at which to stop.
    earlier
        Blocks that an earlier run brought.
    is_map
        Whether rates are per step.
    settings
        What the result says of its making.
    """

    path: Path
    low: Path | None
    dt: float
    k: int
    first: int
    relax: int
    align: int
    block: int
    blocks: int
    accuracy: float | None
    earlier: int
    is_map: bool
    settings: dict[str, Any]

    @property
    def network(self) -> Network:
        """The network, without what compilation does not need."""
        return self.path.network

    @property
    def total(self) -> int:
        """Steps from beginning to end."""
        return self.relax + self.align + self.block * self.blocks

    @property
    def precision(self) -> str:
        """Data type of the frame."""
        return str((self.path if self.low is None else self.low).network.dtype)


class _Counted(NamedTuple):
    method: str
    dt: float
    k: int
    relax: int
    align: int
    block: int
    blocks: int
    precision: str


def planned(network: Network, k: Any, inputs: Inputs | None, given: dict[str, Any]) -> Plan:
    """Check the options of `lyapunov_spectrum` and count the steps."""
    if not isinstance(network, Network):
        refuse("network", type(network).__name__, "a Network", "Build one by Network.sample.")
    if inputs is not None and not isinstance(inputs, Mapping):
        remedy = "For a sequence {name: Series(values)}; for trained weights a LayeredNetwork."
        refuse("inputs", type(inputs).__name__, "a mapping from drive names", remedy)
    resume: LyapunovSpectrum | None = given["resume"]
    given = {**given, **_durations(given, inputs)}
    t_max = given["t_max"]
    accuracy = given["accuracy"]
    if accuracy is not None:
        accuracy = as_number("accuracy", accuracy, positive=True)
        if resume is None and check_count("blocks", given["blocks"]) < FEWEST_BLOCKS:
            expected = f"at least {FEWEST_BLOCKS}, where an accuracy is asked for"
            refuse("blocks", given["blocks"], expected, "Errors of fewer are not believed.")
    if resume is None:
        counted, first, earlier = _counted(network, k, t_max, given), 0, 0
    else:
        counted, first = _continued(network, k, t_max, resume)
        earlier = len(resume.block_exponents)
    steps = first + counted.relax + counted.align + counted.block * counted.blocks
    check_series("burn_in + frame_burn_in + t_max", inputs, steps)
    clean, drive = compilable(network), drive_of(network, inputs)
    is_map = isinstance(network.cell, AbstractMap)
    told = fingerprint_of_drive(drive, is_map=is_map)
    if resume is not None and dict(resume.settings)["inputs"] != told:
        refuse("inputs", "others", "those of the run that is continued", "Pass the same inputs.")
    path = Path(clean, drive, jnp.asarray(counted.dt, clean.dtype), counted.method)
    settings = {
        "cell": repr(network.cell),
        "n": network.n,
        "network_seed": network.seed,
        "inputs": told,
        "network": fingerprint(clean, repr(network.cell)),
        "method": counted.method,
        "dt": counted.dt,
        "seed": check_seed(given["seed"]),
        "k": counted.k,
        "block": counted.block,
        "blocks": counted.blocks,
        "relax": counted.relax,
        "align": counted.align,
        "first": first,
        "frame_dtype": counted.precision,
        "accuracy": accuracy,
    }
    return Plan(
        path=path,
        low=None if counted.precision == str(clean.dtype) else _cast(path, counted.precision),
        dt=counted.dt,
        k=counted.k,
        first=first,
        relax=counted.relax,
        align=counted.align,
        block=counted.block,
        blocks=counted.blocks,
        accuracy=accuracy,
        earlier=earlier,
        is_map=is_map,
        settings=settings,
    )


def precise(plan: Plan) -> Plan:
    """Return the same run with state and frame in double precision."""
    return plan._replace(path=_cast(plan.path, "float64"), low=None)


def beginning(plan: Plan, initial: Any, frame: Any, resume: LyapunovSpectrum | None) -> Standing:
    """Return the state and the frame with which a run begins."""
    shape = (len(plan.network.cell.state_names), plan.network.n)
    if resume is not None:
        if initial is not None or frame is not None:
            remedy = "Leave it out: the run goes on where the earlier one ended."
            refuse("initial or frame", "given", "None beside resume", remedy)
        return Standing(
            phase="measure",
            number=plan.first,
            interval=resume.interval,
            state=np.asarray(resume.state),
            frame=jnp.array(resume.frame),
            logs=resume.block_exponents * float(resume.block_time),
            departure=float(resume.departure),
            precision_error=float(resume.precision_error),
        )
    keys = jax.random.split(jax.random.key(plan.settings["seed"]))
    if initial is None:
        state = jax.random.normal(keys[0], shape, plan.network.dtype)
    else:
        state = as_state("initial", plan.network, initial)
    return Standing(
        phase="relax",
        number=0,
        interval=1,
        state=np.asarray(state),
        frame=jnp.array(_rows(plan, shape, frame, keys[1])),
        logs=np.zeros((0, plan.k)),
        departure=0.0,
        precision_error=np.nan,
    )


def _durations(given: dict[str, Any], inputs: Inputs | None) -> dict[str, float]:
    """Return t_max and the burn-ins, those left out as long as a given sequence allows."""
    lasts = min(
        (each.steps for each in (inputs or {}).values() if isinstance(each, Series)), default=None
    )
    burn_in, align, t_max = (given[name] for name in ("burn_in", "frame_burn_in", "t_max"))
    if burn_in is None:
        burn_in = 100.0 if lasts is None else min(100, lasts // 10)
    burn_in = as_number("burn_in", burn_in, nonnegative=True)
    if t_max is None and lasts is not None and given["resume"] is None:
        align = lasts // 10 if align is None else align
        t_max = lasts - round(burn_in) - round(as_number("frame_burn_in", align, nonnegative=True))
        if t_max < 2:
            expected = f"more than the burn-ins, {lasts - t_max} steps"
            refuse("steps of the Series", lasts, expected, "Pass a longer one, or shorten these.")
    if t_max is None:
        remedy = "Only with a Series as input may it be left out."
        refuse("t_max", None, "a duration", remedy)
    t_max = as_number("t_max", t_max, positive=True)
    align = t_max / 8 if align is None else align
    align = as_number("frame_burn_in", align, nonnegative=True)
    return {"burn_in": burn_in, "frame_burn_in": align, "t_max": t_max}


def _counted(network: Network, k: Any, t_max: float, given: dict[str, Any]) -> _Counted:
    is_map = isinstance(network.cell, AbstractMap)
    size = len(network.cell.state_names) * network.n
    if is_map and given["method"] not in (None, "map"):
        refuse("method", given["method"], "None for a map", "Maps advance step by step.")
    if is_map and given["dt"] is not None:
        refuse("dt", given["dt"], "None for a map", "Maps advance step by step.")
    method = "map" if is_map else (given["method"] or "rk4")
    check_choice("method", method, ("map",) if is_map else tuple(STEPPERS))
    blocks = check_count("blocks", given["blocks"], at_least=2)
    k = size if k is None else check_count("k", k)
    if k > size:
        refuse("k", k, f"at most d N = {size}", "Leave it out for all exponents.")
    burn_in, align = given["burn_in"], given["frame_burn_in"]
    precision = check_choice(
        "frame_dtype", given["frame_dtype"] or str(network.dtype), ("float64", "float32")
    )
    if is_map:
        steps = check_count("t_max (steps of a map)", t_max, at_least=blocks)
        block = steps // blocks
        # What does not fill the blocks lets the frame settle.
        more = steps - block * blocks
        return _Counted(
            method, 1.0, k, round(burn_in), round(align) + more, block, blocks, precision
        )
    dt = as_number("dt", _STEP if given["dt"] is None else given["dt"], positive=True)
    block = _steps(t_max / blocks, dt)
    dt = t_max / (block * blocks)
    return _Counted(method, dt, k, _steps(burn_in, dt), _steps(align, dt), block, blocks, precision)


def _continued(
    network: Network, k: Any, t_max: float, resume: LyapunovSpectrum
) -> tuple[_Counted, int]:
    if not isinstance(resume, LyapunovSpectrum):
        remedy = "Pass what lyapunov_spectrum returned."
        refuse("resume", type(resume).__name__, "a LyapunovSpectrum", remedy)
    made: dict[str, Any] = dict(resume.settings)
    if not len(resume.frame):
        remedy = "Continue the spectra of stack.layers one by one."
        refuse("resume", "a run of a stack", "one of a single network", remedy)
    if k is not None and k != made["k"]:
        refuse("k", k, f"{made['k']}, as in the run that is continued", "Leave it out.")
    if made["network"] != fingerprint(compilable(network), repr(network.cell)):
        known = f"a run of {made['cell']}, N = {made['n']}, seed {made['network_seed']}"
        refuse("resume", known, "one of this network", "Pass the network of the earlier run.")
    blocks = max(1, round(t_max / made["dt"] / made["block"]))
    counted = _Counted(
        made["method"], made["dt"], made["k"], 0, 0, made["block"], blocks, made["frame_dtype"]
    )
    return counted, made["steps"]


def _rows(plan: Plan, shape: tuple[int, int], frame: Any, key: Any) -> np.ndarray:
    """Return the orthonormal rows with which a run begins."""
    size = shape[0] * shape[1]
    if frame is None and plan.k == size:
        frame = "identity"  # any full frame spans all directions
    if isinstance(frame, str):
        check_choice("frame", frame, ("identity",))
        return np.eye(plan.k, size, dtype=plan.precision).reshape(plan.k, *shape)
    drawn = jax.random.normal(key, (plan.k, *shape), plan.precision) if frame is None else frame
    rows = np.asarray(drawn)
    if not np.issubdtype(rows.dtype, np.number) or np.iscomplexobj(rows):
        refuse("frame", f"array of {rows.dtype}", "real numbers", "Leave it out for random rows.")
    rows = rows.astype(float)
    if rows.shape != (plan.k, *shape):
        expected = f"{(plan.k, *shape)}: rows, components, units"
        refuse("frame.shape", rows.shape, expected, "One row for each exponent.")
    if not np.all(np.isfinite(rows)):
        refuse(
            "frame", "values that are not finite", "finite ones", "Leave it out for random rows."
        )
    flat = rows.reshape(plan.k, size)
    if np.linalg.matrix_rank(flat) < plan.k:
        refuse("frame", "dependent rows", "independent ones", "Leave it out for random rows.")
    ordered, triangle = np.linalg.qr(flat.T)
    return (ordered * np.sign(np.diag(triangle))).T.astype(plan.precision).reshape(rows.shape)


def _steps(duration: float, step: float) -> int:
    return math.ceil(duration / step * (1 - 1e-12))


def _cast(tree: Any, precision: str) -> Any:
    arrays, rest = eqx.partition(tree, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda leaf: leaf.astype(precision), arrays), rest)
