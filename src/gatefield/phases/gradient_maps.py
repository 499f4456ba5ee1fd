"""`gradient_map`: where gradients vanish, keep their size or explode, over two parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.base import check_cell
from gatefield.core.checkpoints import fingerprint, writable
from gatefield.core.checks import as_number, as_parameter, check_count, check_names, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray, Int
from gatefield.phases import gradient_checkpoint as files
from gatefield.phases.gradient_points import (
    STATUSES,
    GradientPoint,
    PointOptions,
    gradient_point,
    with_parameters,
)

REGIMES = {-1: "vanish", 0: "keep their size", 1: "explode"}
"""What becomes of gradients over the horizon."""

UNKNOWN = 2
"""Regime of a point whose status is not OK."""

BAND = 2.0
"""Change of ln |a|^2 over the horizon, up or down, that still counts as keeping the size."""

_OF_DMFT = ("max_period", "max_sweeps", "period", "tolerance", "samples", "batches", "dt")


class GradientMap(AbstractResult):
    r"""What becomes of gradients over a horizon T, at each point of a plane of two parameters.

    Attributes
    ----------
    x, y
        Values of the parameters ``x_name`` and ``y_name``.
    growth_rate, growth_error
        Growth rate of :math:`|a|^2` back in time over the second half of the horizon, natural log,
        per unit of the units' time constant (maps: per step), and its sampling error; as
        `AdjointMeanField.growth_rate`.
    adjoint_norm, adjoint_error
        :math:`|a(T)|^2 / |a(0)|^2`, mean over networks, T before the end against the end itself.
    gradient_variance, gradient_standard_error
        Mean squared gradients by name, as in `AdjointMeanField`; NaN where not asked for.
    kind
        What the state does: 1 "rest", 2 "moving", 0 unknown.
    outcome
        Number of each point's status in ``gatefield.phases.gradient_points.STATUSES``; 0 is OK.
        Other points hold NaN.
    horizon
        T, in units of the units' time constant; steps for maps.
    band
        Change of :math:`\ln |a|^2` that counts as keeping the size.
    cell
        The cell whose parameters are varied.
    x_name, y_name
        Which ones.
    status
        OK if every point is; the first other one's status if not.
    settings
        How the points were solved.
    """

    x: Float[HostArray, " x"] = eqx.field(metadata=quantity("x"))
    y: Float[HostArray, " y"] = eqx.field(metadata=quantity("y"))
    growth_rate: Float[HostArray, "y x"] = eqx.field(
        metadata=quantity("y", "x", unit="1 / time constant")
    )
    growth_error: Float[HostArray, "y x"] = eqx.field(
        metadata=quantity("y", "x", unit="1 / time constant")
    )
    adjoint_norm: Float[HostArray, "y x"] = eqx.field(metadata=quantity("y", "x"))
    adjoint_error: Float[HostArray, "y x"] = eqx.field(metadata=quantity("y", "x"))
    gradient_variance: dict[str, Float[HostArray, "y x"]] = eqx.field(metadata=quantity("y", "x"))
    gradient_standard_error: dict[str, Float[HostArray, "y x"]] = eqx.field(
        metadata=quantity("y", "x")
    )
    kind: Int[HostArray, "y x"] = eqx.field(metadata=quantity("y", "x"))
    outcome: Int[HostArray, "y x"] = eqx.field(metadata=quantity("y", "x"))
    horizon: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant"))
    band: Float[HostArray, ""] = eqx.field(metadata=quantity())
    cell: AbstractCell
    x_name: str = eqx.field(static=True)
    y_name: str = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether times count steps."""
        return isinstance(self.cell, AbstractMap)

    @property
    def log_growth(self) -> Float[HostArray, "y x"]:
        r""":math:`\ln |a(T)|^2 / |a(0)|^2`: negative where gradients shrink over the horizon."""
        with np.errstate(divide="ignore"):
            return np.log(self.adjoint_norm)

    @property
    def regime(self) -> Int[HostArray, "y x"]:
        """What becomes of gradients: a number of `REGIMES`, or 2 where that is not known."""
        change = self.log_growth
        found = np.where(change > self.band, 1, np.where(change < -self.band, -1, 0))
        return np.where(np.isnan(self.adjoint_norm), UNKNOWN, found)

    @property
    def memory_time(self) -> Float[HostArray, "y x"]:
        """Time over which squared gradients fall to 1/e; infinity where they do not fall."""
        rate = self.growth_rate
        falling = -1 / np.where(rate < 0, rate, -1.0)
        return np.where(np.isnan(rate), np.nan, np.where(rate < 0, falling, np.inf))


def gradient_map(
    cell: AbstractCell,
    x: tuple[str, Any],
    y: tuple[str, Any],
    *,
    horizon: float,
    terminal: Mapping[str, float] | None = None,
    band: float = BAND,
    start: float = 1.0,
    rest_first: bool = True,
    every_parameter: bool = False,
    samples: int = 300,
    batches: int = 4,
    dt: float | None = None,
    mean_field: Mapping[str, Any] | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    report: Callable[[int, int], None] | None = None,
    progress: bool | None = None,
) -> GradientMap:
    r"""Map where gradients vanish, keep their size, or explode over a plane of two parameters.

    At each point the state that large networks reach is solved for, and the adjoint mean-field
    theory in it (`solve_adjoint`): gradients

    .. math:: |\ln |a(T)|^2 / |a(0)|^2| \le \mathrm{band}

    keep their size over the horizon T; they vanish below that, and explode above.

    Parameters
    ----------
    cell
        Any cell with shared parameters.
    x, y
        (name, values) of two of its numbers, such as ``("g_h", [1, 2, 3])``.
    horizon
        How far back gradients are followed, in units of the units' time constant; steps for maps.
    terminal
        Variance of the readout by component, as in `solve_adjoint`.
    band
        By default 2: a factor of e in the size of a gradient, up or down.
    start
        Variance of the states from which networks start; it decides where several are stable.
    rest_first
        Where moving states have to be sampled (the gated RNN at alpha_z > 0), take a stable fixed
        point without looking for a moving state beside it. Lag equations always look for one.
    every_parameter
        Where the adjoint solves lag equations (moving states at alpha_z = 0, the vanilla network),
        sample mean squared gradients by the parameters that these do not know, too; otherwise they
        are NaN there.
    samples, batches, dt
        Of units where moving states are sampled, as in `solve_adjoint`. Few are quick: their
        scatter is the error.
    mean_field
        Further options of `solve_dmft` for sampled states, such as ``{"tolerance": 1e-2}``; samples
        and batches are those above unless given here.
    seed
        Of every point.
    checkpoint
        A file in which finished points are kept: the same call goes on from there, and so does one
        with other values of x and y.
    report
        Called with the points done, and how many there are.
    progress
        True shows a progress bar, False none; by default one appears on a terminal after 3 s.

    Returns
    -------
    GradientMap
        A point that fails holds NaN, and ``outcome`` says why.

    Raises
    ------
    InvalidInputError
        For parameters that the cell does not have or refuses, options that do not fit, or a
        checkpoint of other options.

    Assumptions
    -----------
    As `solve_adjoint`. Near a continuous transition the rate of a fixed point is approached from
    below by 1/(2T), since its prefactor is :math:`t^{-1/2}`. At large alpha_z the states of the
    gated RNN remember for longer than any period that is tried: such points are not known.

    References
    ----------
    Krishnamurthy, Can and Schwab, arXiv:2007.14823, version 3: the adjoint mean field.
    """
    check_cell(cell)
    (x_name, across), (y_name, along) = _axis("x", x), _axis("y", y)
    if x_name == y_name:
        refuse("y", y_name, f"another parameter than {x_name!r}", "Vary two of them.")
    options = _options(
        cell,
        horizon,
        terminal,
        start,
        (rest_first, every_parameter),
        samples,
        batches,
        dt,
        mean_field,
        seed,
    )
    band = as_number("band", band, positive=True)
    path = writable(checkpoint)
    places = [(float(a), float(b)) for b in along for a in across]
    cells = [with_parameters(cell, {x_name: a, y_name: b}) for a, b in places]
    base = with_parameters(cell, {x_name: places[0][0], y_name: places[0][1]})
    others = {name: value for name, value in vars(base).items() if name not in (x_name, y_name)}
    mark = fingerprint(type(cell).__qualname__, x_name, y_name, others, *options)
    done = {} if path is None else files.read(path, mark)
    bar = tqdm(
        total=len(places),
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc="gradient_map",
        unit="point",
    )
    with bar:
        for number, (place, own) in enumerate(zip(places, cells, strict=True)):
            if place not in done:
                done[place] = gradient_point(own, options)
                if path is not None:
                    files.write(path, mark, done)
            bar.update()
            if report is not None:
                report(number + 1, len(places))
    return _packed(cell, (x_name, across), (y_name, along), [done[one] for one in places],
                   options, band)  # fmt: skip


def _axis(which: str, given: Any) -> tuple[str, Float[HostArray, " value"]]:
    remedy = 'For instance ("g_h", [1.0, 2.0, 3.0]).'
    try:
        name, values = given
    except (TypeError, ValueError):
        refuse(which, given, "(name, values)", remedy)
    if not isinstance(name, str):
        refuse(which, given, "the name of a parameter, and its values", remedy)
    values = np.asarray(as_parameter(which, values), float)
    if values.ndim != 1 or values.size == 0 or np.any(np.diff(values) <= 0):
        refuse(f"{which} ({name})", values, "ascending numbers", remedy)
    return name, values


def _options(
    cell: AbstractCell,
    horizon: Any,
    terminal: Any,
    start: Any,
    switches: tuple[Any, Any],
    samples: Any,
    batches: Any,
    dt: Any,
    mean_field: Any,
    seed: Any,
) -> PointOptions:
    is_map = isinstance(cell, AbstractMap)
    if is_map and dt is not None:
        refuse("dt", dt, "None for a map", "Maps advance step by step.")
    if is_map:
        horizon = check_count("horizon (steps of a map)", horizon)
    if terminal is None:
        terminal = {cell.state_names[0]: 1.0}
    if not isinstance(terminal, Mapping):
        refuse("terminal", terminal, "variances by component", "Pass {name: variance}.")
    check_names("terminal", terminal, cell.state_names)
    each = {
        name: as_number(f"terminal[{name!r}]", value, nonnegative=True)
        for name, value in terminal.items()
    }
    if not any(each.values()):
        refuse("terminal", each, "a positive variance", "Nothing is read out.")
    further = {} if mean_field is None else dict(mean_field)
    check_names("mean_field", further, _OF_DMFT)
    for name, value in zip(("rest_first", "every_parameter"), switches, strict=True):
        if not isinstance(value, bool):
            refuse(name, value, "True or False", "Leave it out for what is quicker.")
    return PointOptions(
        horizon=as_number("horizon", horizon, positive=True),
        terminal=tuple(sorted(each.items())),
        start=as_number("start", start, nonnegative=True),
        rest_first=switches[0],
        every_parameter=switches[1],
        samples=check_count("samples", samples, at_least=2),
        batches=check_count("batches", batches, at_least=2),
        dt=None if dt is None else as_number("dt", dt, positive=True),
        mean_field=tuple(sorted(further.items())),
        seed=check_seed(seed),
    )


def _packed(
    cell: AbstractCell,
    x: tuple[str, HostArray],
    y: tuple[str, HostArray],
    points: list[GradientPoint],
    options: PointOptions,
    band: float,
) -> GradientMap:
    shape = (y[1].size, x[1].size)
    names = list(dict.fromkeys(name for one in points for name in one.gradients))

    def column(values: list[Any]) -> HostArray:
        return np.array(values).reshape(shape)

    def by_name(which: str) -> dict[str, HostArray]:
        rows = [getattr(one, which) for one in points]
        return {name: column([row.get(name, np.nan) for row in rows]) for name in names}

    outcome = column([one.status for one in points])
    failed = outcome[outcome != STATUSES.index(Status.OK)]
    settings: dict[str, object] = options._asdict()
    return GradientMap(
        x=x[1],
        y=y[1],
        growth_rate=column([one.growth_rate for one in points]),
        growth_error=column([one.growth_error for one in points]),
        adjoint_norm=column([one.norm for one in points]),
        adjoint_error=column([one.norm_error for one in points]),
        gradient_variance=by_name("gradients"),
        gradient_standard_error=by_name("errors"),
        kind=column([one.kind for one in points]),
        outcome=outcome,
        horizon=np.asarray(options.horizon),
        band=np.asarray(band),
        cell=cell,
        x_name=x[0],
        y_name=y[0],
        status=STATUSES[int(failed[0])] if failed.size else Status.OK,
        settings=tuple((key, value) for key, value in settings.items() if key != "horizon"),
    )
