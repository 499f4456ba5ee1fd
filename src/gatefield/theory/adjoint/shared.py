"""Gradients by a parameter that all units share: forward sensitivities of sampled units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.base import stacked_outputs, stacked_rule
from gatefield.cells.parameters import parameter_names, stacked_gains
from gatefield.core.checks import check_names
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Array, Float, HostArray
from gatefield.numerics.batches import over_batches
from gatefield.numerics.revealed import reveal
from gatefield.theory.adjoint.plan import CHUNK, burned_in, plan, room_for, terminal_weights
from gatefield.theory.dmft.marching import (
    NEGLIGIBLE,
    March,
    advanced,
    driven,
    fresh_images,
    of_units,
    with_room_for,
)

_STREAM = 0x73656E73  # keeps the samples apart from whatever else the same seed may draw


class SharedSensitivity(AbstractResult):
    r"""Squared gradients of a random readout by parameters that all units share.

    Attributes
    ----------
    times
        Length t of the window over which the parameter acts, ascending from 0, in units of the
        units' time constant; number of steps for maps.
    shared_gradient_variance
        :math:`N^{-1} \langle (dL/d\theta)^2 \rangle`, (time,), by name of the parameter.
    standard_error
        Its sampling error, over independent batches.
    sensitivity_variance
        :math:`\langle v_c^2 \rangle` of v = ds/dtheta, (component, time), by name.
    terminal
        Variance of the readout's weights, by component.
    cell
        The cell.
    status
        OK; DIVERGED if values were not finite.
    settings
        What made the result: samples, batches, step, scheme, burn-in, seed.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    shared_gradient_variance: dict[str, Float[HostArray, " time"]] = eqx.field(
        metadata=quantity("time")
    )
    standard_error: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=quantity("time"))
    sensitivity_variance: dict[str, Float[HostArray, "component time"]] = eqx.field(
        metadata=quantity("component", "time")
    )
    terminal: dict[str, float] = eqx.field(static=True)
    cell: AbstractCell
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether times count steps."""
        return isinstance(self.cell, AbstractMap)


def solve_shared_sensitivity(
    cell: AbstractCell,
    horizon: float,
    *,
    parameters: str | Sequence[str] | None = None,
    burn_in: float = 30.0,
    terminal: Mapping[str, float] | None = None,
    inputs: Mapping[str, Any] | None = None,
    initial_variance: float | Mapping[str, float] = 1.0,
    samples: int = 2000,
    batches: int = 8,
    dt: float | None = None,
    scheme: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> SharedSensitivity:
    r"""Solve for the gradient of a random readout by ONE number theta that all units share.

    For :math:`L = \sum_{ci} w_{ci} s_{ci}(T)` with independent weights of variance terminal_c,
    :math:`N^{-1} \langle (dL/d\theta)^2 \rangle = \sum_c \mathrm{terminal}_c \langle v_c^2
    \rangle`, where the sensitivity v = ds/dtheta of each unit obeys

    .. math:: \dot v = A v + L\,\delta\eta + \partial_\theta\, \mathrm{rule}, \qquad
        \delta y = R v + Q\,\delta\eta + \partial_\theta\, \mathrm{outputs}, \qquad
        \delta\eta^a = J^a \delta y^a + (\partial_\theta \ln \mathrm{gain}_a)\,\eta^a

    (v' instead of dv/dt for maps), v = 0 where the window begins. One matrix J acts on y and on
    :math:`\delta y`, so that :math:`\eta` and :math:`\delta\eta` are jointly Gaussian. M sampled
    units reveal it along both (see `gatefield.solve_transient`).

    Parameters
    ----------
    cell
        Any cell with scalar parameters.
    horizon
        Longest window T, in units of the units' own time constant; number of steps for maps. All
        shorter windows come with it: they begin where it does.
    parameters
        Names of the cell's parameters; by default all of them.
    burn_in
        Time from the random start until the window begins, 0 for none. A result holds at
        stationarity if the units have forgotten their start by then.
    terminal
        Variance of the weights by component; by default 1 for the first.
    inputs, initial_variance
        As `gatefield.solve_transient` takes them.
    samples, batches
        Number M of sampled units in each batch, at least twice the number of steps; number B >= 2
        of independent batches, which give the standard errors.
    dt, scheme
        Step of a flow (default 0.1), and "adams-bashforth" (default, second order) or "euler" (as
        networks simulated so, step by step).
    seed
        Same seed, same result.
    progress
        True shows a progress bar, False none; by default one appears on a terminal after 3 s.
    throw
        Raise if values are not finite; otherwise the failure is the result's status.

    Returns
    -------
    SharedSensitivity
        At every step of the window.

    Raises
    ------
    InvalidInputError
        For a cell with parameters of its own for each unit, unknown names, more steps than half the
        samples, or options that do not fit.
    NumericalFailureError
        If ``throw`` and a value is not finite.

    Assumptions
    -----------
    A batch is in law a network of M units, from which the limit of many units differs by terms of
    order 1/M that grow with the horizon in chaos. What is new by less than 1e-8 of its size brings
    no field. The naive adjoint theory, in which every unit has its own theta, is not this: its
    diagonal sum misses that the units' gradients are correlated, and gives 0.35 of it for g_h of
    the gated RNN (g_h = 1.5, alpha_z = alpha_r = 1, T = 10, from a random start of variance 1).

    Notes
    -----
    The window is marched once for each parameter, with up to two directions a step: of the order of
    B T R M operations, R <= burn-in + 2 T (in steps).

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. C19-C21: the fields y.
    """
    chosen = plan(
        cell,
        horizon,
        burn_in=burn_in,
        inputs=inputs,
        initial_variance=initial_variance,
        samples=samples,
        batches=batches,
        dt=dt,
        scheme=scheme,
        seed=seed,
    )
    names, weights = _names(chosen.cell, parameters), terminal_weights(cell, terminal)
    before, steps = chosen.before, chosen.steps
    with jax.enable_x64(True):
        units, _, keys, march = chosen.begin(_STREAM)
        bar = tqdm(
            total=before + steps * len(names),
            disable=None if progress is None else not progress,
            delay=3.0 if progress is None else 0.0,
            desc="solve_shared_sensitivity",
            unit="step",
        )
        with bar:
            march = burned_in(units, keys, march, before, bar)
            squares = {
                name: _squares(units, keys, march, _direction(units.cell, name), before, steps, bar)
                for name in names
            }
    finite = all(bool(np.all(np.isfinite(each))) for each in squares.values())
    if throw and not finite:
        hint = "Reduce dt or the horizon: throw=False returns what was reached."
        raise NumericalFailureError(f"solve_shared_sensitivity ended with 'diverged'. {hint}")
    given = np.array([weights[name] for name in cell.state_names])
    # A run that diverged holds infinities, which give NaN here as they should.
    with np.errstate(all="ignore"):
        found = {name: over_batches(each @ given) for name, each in squares.items()}
    return SharedSensitivity(
        times=chosen.times,
        shared_gradient_variance={name: both[0] for name, both in found.items()},
        standard_error={name: both[1] for name, both in found.items()},
        sensitivity_variance={name: each.mean(0).T for name, each in squares.items()},
        terminal=weights,
        cell=cell,
        status=Status.OK if finite else Status.DIVERGED,
        settings=chosen.settings,
    )


def _names(cell: AbstractCell, given: Any) -> tuple[str, ...]:
    known = parameter_names(cell)
    if given is None:
        names = known
    elif isinstance(given, str):
        names = (given,)
    elif isinstance(given, Sequence) and all(isinstance(each, str) for each in given):
        names = tuple(given)
    else:
        refuse("parameters", given, "a parameter's name or a list of them", "None takes all.")
    check_names("parameters", names, known)
    if not names:
        refuse("parameters", given, "at least one parameter", "Nothing would be solved for.")
    return tuple(dict.fromkeys(names))


def _direction(cell: AbstractCell, name: str) -> AbstractCell:
    """Return the tangent of a cell along one of its parameters."""
    leaves, tree = jax.tree.flatten(cell)
    place = parameter_names(cell).index(name)
    ones = [(jnp.ones_like if k == place else jnp.zeros_like)(x) for k, x in enumerate(leaves)]
    return jax.tree.unflatten(tree, ones)


class _Window(NamedTuple):
    """A march with its sensitivity v, what the rule said of v, and <v^2> (time, batch, d)."""

    march: March
    v: Float[Array, "batch component sample"]
    slope: Float[Array, "batch component sample"]
    squares: Float[Array, "time batch component"]


def _squares(units, keys, march, direction, before, steps, bar) -> Float[HostArray, "b t d"]:
    """Return <v_c^2> of each batch at every step of the window."""
    v = jnp.zeros_like(march.state)
    # The march is used again for the next parameter, but what runs is given away.
    march = jax.tree.map(jnp.copy, march)
    room = jnp.zeros((room_for(steps + 1), len(keys), v.shape[1]))
    window = _Window(march, v, jnp.zeros_like(v), room)
    for first in range(0, steps + 1, CHUNK):
        end = min(first + CHUNK, steps + 1)
        histories = with_room_for(window.march.histories, 2 * (end - first))
        window = window._replace(march=window.march._replace(histories=histories))
        fixed = (units, keys, direction, *(jnp.asarray(k) for k in (before, first, end)))
        window = _run(fixed, window)
        bar.update(end - first - (end > steps))
    return np.moveaxis(np.asarray(window.squares)[: steps + 1], 0, 1)


@eqx.filter_jit(donate="all-except-first")
def _run(fixed, window: _Window) -> _Window:
    units, keys, direction, before, first, end = fixed
    # What v brings is drawn apart from what the state brings.
    others = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys.reshape(-1))
    others = others.reshape(keys.shape)

    def one(number, window):
        return _visit(units, keys, others, direction, before, number, window)

    return jax.lax.fori_loop(first, end, one, window)


def _visit(units, keys, others, direction, before, number, window: _Window) -> _Window:
    """Reveal the fields and how they vary at a step, and advance the state and its sensitivity."""
    cell, march, v, moment = units.cell, window.march, window.v, before + number
    state = march.state
    noise, drive = driven(units, keys, moment, march.noise)
    histories = list(march.histories)
    bare, moved = ([jnp.zeros_like(state[:, 0])] * len(cell.field_names) for _ in range(2))
    gains, raised = jax.jvp(stacked_gains, (cell,), (direction,))

    def fields():
        now, change = jnp.stack(bare, axis=1), jnp.stack(moved, axis=1)
        return gains[:, None] * now, gains[:, None] * change + raised[:, None] * now

    def varied(function):
        """Return a function of one unit and of (s, u, x, ds, du): its value and how it varies."""

        def both(unit, s, u, x, ds, du):
            at = lambda unit, s, u: function(unit, s, u, x)  # noqa: E731
            return jax.jvp(at, (unit, s, u), (direction, ds, du))

        return both

    for stage in units.wires.stages:
        now, change = fields()
        sent, more = of_units(varied(stacked_outputs), cell, state, now, drive, v, change)
        for index in stage:
            group = units.wires.groups[index]
            for each, vectors, drawn in ((bare, sent, keys), (moved, more, others)):
                fresh = fresh_images(drawn, moment, group, units)
                brought, histories[index] = reveal(
                    histories[index], vectors[:, group[0]], fresh, negligible=NEGLIGIBLE
                )
                for place, field in enumerate(group):
                    each[field] = brought[:, place]
    now, change = fields()
    slope, slope_v = of_units(varied(stacked_rule), cell, state, now, drive, v, change)
    later = advanced(units, moment, state, slope, march.slope)
    # theta acts from here on: the first step of v is Euler's, as that of a march is.
    later_v = advanced(units, number, v, slope_v, window.slope)
    march = March(later, slope, noise, (state, now, drive), tuple(histories))
    squares = window.squares.at[number].set(jnp.mean(v**2, axis=-1))
    return _Window(march, later_v, slope_v, squares)
