"""Gradients of losses of a network's own state, whose adjoint knows the couplings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.base import check_cell
from gatefield.cells.parameters import parameter_names
from gatefield.core.checks import check_choice
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Array, Float, HostArray
from gatefield.numerics.batches import over_batches
from gatefield.theory.adjoint.plan import burned_in, plan, terminal_weights
from gatefield.theory.adjoint.reverse import Adjoint, march_and_record, march_back, revealed
from gatefield.theory.dmft.marching import normal, of_units

_STREAM = 0x6F776E73  # keeps the samples apart from whatever else the same seed may draw
_TIME = quantity("time")


class DependentAdjoint(AbstractResult):
    r"""Mean squared gradients of a loss of the final state, exactly and by the naive theory.

    Attributes
    ----------
    times
        Time s = T - t before the end, ascending from 0, in units of the units' time constant;
        steps for maps.
    adjoint_variance, adjoint_standard_error
        :math:`\langle a_c(s)^2 \rangle`, (time,), by component, and its sampling error over
        independent batches.
    gradient_variance, gradient_standard_error
        :math:`N^{-2} \sum_{ij} (dL/dJ^a_{ij})^2` by "J_" and the name of the field; the mean over
        units of :math:`(dL/d\theta_i)^2`, as if each unit had its own, by name of the parameter.
    naive_adjoint_variance, naive_adjoint_standard_error
        The same if the backward pass met couplings that are independent of the forward pass.
    naive_gradient_variance, naive_gradient_standard_error
        The same.
    loss
        "quadratic", "readout" or "given".
    terminal
        Weights of a quadratic loss or variances of a readout, by component.
    cell
        The cell.
    status
        OK; DIVERGED if values were not finite.
    settings
        What made the result: samples, batches, step, scheme, burn-in, seed.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    adjoint_variance: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=_TIME)
    adjoint_standard_error: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=_TIME)
    gradient_variance: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    gradient_standard_error: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    naive_adjoint_variance: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=_TIME)
    naive_adjoint_standard_error: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=_TIME)
    naive_gradient_variance: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    naive_gradient_standard_error: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    loss: str = eqx.field(static=True)
    terminal: dict[str, float] = eqx.field(static=True)
    cell: AbstractCell
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether times count steps."""
        return isinstance(self.cell, AbstractMap)


def solve_dependent_adjoint(
    cell: AbstractCell,
    horizon: float,
    *,
    loss: str | Callable[[Array], Any] = "quadratic",
    terminal: Mapping[str, float] | None = None,
    burn_in: float = 30.0,
    inputs: Mapping[str, Any] | None = None,
    initial_variance: float | Mapping[str, float] = 1.0,
    samples: int = 2000,
    batches: int = 8,
    dt: float | None = None,
    scheme: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> DependentAdjoint:
    r"""Solve for the gradients of a loss :math:`L = \sum_i \ell(s_i(T))` of the final state.

    The adjoint of such a loss depends on the couplings, and the gradient independence on which
    `gatefield.solve_adjoint` rests may fail. Here the couplings of the backward pass are those of
    the forward pass. Given a forward pass that met :math:`J Q = W` for orthonormal Q,

    .. math:: J = W Q^T + \tilde J\,(1 - Q Q^T), \qquad
        J^T b = Q\,(W^T b) + (1 - Q Q^T)\, \tilde J^T b

    with an independent :math:`\tilde J`, of which M sampled units draw only what the b's ask for.

    Parameters
    ----------
    cell
        Any cell with scalar parameters.
    horizon
        T, in units of the units' own time constant; number of steps for maps.
    loss
        "quadratic" is :math:`\ell = \sum_c \mathrm{terminal}_c\, s_c^2 / 2`; a function of one
        unit's state (d,) that JAX can differentiate is :math:`\ell` itself; "readout" is the loss
        of `gatefield.solve_adjoint`, with independent weights of variance terminal_c.
    terminal
        By component; by default 1 for the first. None for a function.
    burn_in
        Time from the random start to the window of length T in which gradients count, 0 for none.
    inputs, initial_variance
        As `gatefield.solve_transient` takes them.
    samples, batches
        Number M of sampled units in each batch, at least twice the number of steps; number B >= 2
        of independent batches, which give the standard errors.
    dt, scheme
        Step of a flow (default 0.1), and "adams-bashforth" (default, second order) or "euler". The
        backward pass transposes each step.
    seed
        Same seed, same result.
    progress
        True shows a progress bar, False none; by default one appears on a terminal after 3 s.
    throw
        Raise if values are not finite; otherwise the failure is the result's status.

    Returns
    -------
    DependentAdjoint
        Exact moments, and the naive ones of couplings drawn afresh for the same forward pass.

    Raises
    ------
    InvalidInputError
        For a cell with parameters of its own for each unit, more steps than half the samples, or
        options that do not fit.
    NumericalFailureError
        If ``throw`` and a value is not finite.

    Assumptions
    -----------
    None on independence. The naive theory takes :math:`\xi^a = J^{aT} b^a` for a Gaussian field of
    its own, and so lacks (by Stein's lemma) the response

    .. math:: J^{aT} b^a(t) - \xi^a(t) = \mathrm{gain}_a^2 \sum_{t'} y^a(t')\,
        \Big\langle \frac{\partial b^a(t)}{\partial \eta^a(t')} \Big\rangle,

    for flows an integral and a functional derivative. It holds where this vanishes: for readouts
    :math:`L = \sum_i w_i f(s_i)`, since the mean over independent w of mean zero does. It fails
    where dl/ds responds to the fields of the unit itself. For x' = J x and the quadratic loss the
    naive :math:`\langle a(s)^2 \rangle` is low by s + 1, and the gradient by (T + 1) / 2. Measured
    for :math:`|h(T)|^2 / 2` as exact over naive squared gradients by couplings: 2.2 (vanilla,
    g = 2, T = 6); 2.7 for J_h, 2.3 for J_z, 4.3 for J_r (gated, g_h = 3, alpha_z = alpha_r = 1,
    T = 6), all about 4 at T = 20; 1.9 (GRU in chaos, 30 steps). Chaos forgets, and the factors
    saturate; in transients to a fixed point they grow (6 to 11 for g_h = 1.5, T = 10).

    A batch is in law a network of M units, from which the limit of many units differs by terms of
    order 1/M that grow with the horizon. They show in loss="readout", where both treatments agree
    but for them: in vanilla chaos, g = 3, T = 8, the exact :math:`\langle a(T)^2 \rangle` is
    0.54(10) of the naive one at M = 250 and 0.85(13) at M = 1000; networks of these sizes meet the
    exact one. What is new by less than 1e-8 of its size brings no field.

    Notes
    -----
    For a window of T steps the states, fields and adjoints of all of them are kept: some
    8 B T M (d + 5 K) bytes, of which each pass adds some.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. C19-C21: the forward fields.
    """
    if not callable(loss):
        loss = check_choice("loss", loss, ("quadratic", "readout"))
    elif terminal is not None:
        refuse("terminal", terminal, "None for a loss that is a function", "Weigh it there.")
    else:
        _check_loss(cell, loss)
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
    weights = terminal_weights(cell, terminal)
    before, steps = chosen.before, chosen.steps
    with jax.enable_x64(True):
        units, own, keys, march = chosen.begin(_STREAM)
        given = jnp.asarray([weights[name] for name in cell.state_names])
        bar = tqdm(
            total=before + 3 * steps,
            disable=None if progress is None else not progress,
            delay=3.0 if progress is None else 0.0,
            desc="solve_dependent_adjoint",
            unit="step",
        )
        with bar:
            march = burned_in(units, keys, march, before, bar)
            march, record = march_and_record(units, keys, march, before, steps, bar)
            end = _terminal(cell, loss, given, march.state, own)
            known = revealed(units, march)
            exact, naive = (
                march_back(units, _keys(keys, number), record, steps, each, end, bar)
                for number, each in enumerate((known, known.nothing()))
            )
    finite = all(bool(np.all(np.isfinite(each))) for each in (*exact, *naive))
    if throw and not finite:
        hint = "Reduce dt or the horizon: throw=False returns what was reached."
        raise NumericalFailureError(f"solve_dependent_adjoint ended with 'diverged'. {hint}")
    # A run that diverged holds infinities, which give NaN here as they should.
    with np.errstate(all="ignore"):
        found = (*_named(cell, exact), *_named(cell, naive))
    return DependentAdjoint(
        chosen.times,
        *found,
        loss="given" if callable(loss) else loss,
        terminal={} if callable(loss) else weights,
        cell=cell,
        status=Status.OK if finite else Status.DIVERGED,
        settings=chosen.settings,
    )


def _check_loss(cell: AbstractCell, loss: Callable[[Array], Any]) -> None:
    with jax.enable_x64(True):
        unit = jax.ShapeDtypeStruct((len(check_cell(cell).state_names),), float)
        try:
            shape = getattr(jax.eval_shape(loss, unit), "shape", None)
            if shape == ():
                jax.eval_shape(jax.grad(loss), unit)
        # What JAX raises for code that it cannot trace is a TypeError or an IndexError.
        except (TypeError, ValueError, IndexError) as error:
            remedy = f"Use jax.numpy and return one number ({type(error).__name__}: {error})."
            refuse("loss", loss, "a real function of one unit's state (d,) for JAX", remedy)
    if shape != ():
        refuse("shape of loss(state)", shape, "()", "Return one number for one unit's state (d,).")


def _keys(keys: Array, number: int) -> Array:
    """Return keys of each batch and field that draw apart from those of the forward march."""
    drawn = jax.vmap(lambda key: jax.random.fold_in(key, 2 + number))(keys.reshape(-1))
    return drawn.reshape(keys.shape)


def _terminal(cell: AbstractCell, loss: Any, weights: Array, state: Array, keys: Array) -> Array:
    """Return dl/ds of every unit at the end, (batch, d, M)."""
    if loss == "quadratic":
        return weights[:, None] * state
    if loss == "readout":
        drawn = normal(keys, 1, state.shape[1:], state.dtype)
        return jnp.sqrt(weights)[:, None] * drawn
    return of_units(lambda _, state: jax.grad(loss)(state), cell, state)


def _named(cell: AbstractCell, adjoint: Adjoint) -> tuple[dict[str, Any], ...]:
    """Return adjoint variances and gradient variances, each with its errors, by name."""
    mean, error = over_batches(adjoint.squares)
    moments = np.concatenate([adjoint.couplings, adjoint.parameters], axis=1)
    gradients, errors = over_batches(moments)
    names = (*(f"J_{name}" for name in cell.field_names), *parameter_names(cell))
    by_component = (dict(zip(cell.state_names, each.T, strict=True)) for each in (mean, error))
    by_name = (dict(zip(names, each, strict=True)) for each in (gradients, errors))
    return *by_component, *by_name
