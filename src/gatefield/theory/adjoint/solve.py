"""`solve_adjoint`: how large gradients are in a mean-field state, and how they grow."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.parameters import check_parameter_names, known_parameters
from gatefield.core.checks import (
    as_number,
    check_choice,
    check_count,
    check_ok,
    check_seed,
)
from gatefield.core.errors import NumericalFailureError, OutsideDomainWarning, refuse
from gatefield.core.results import Status
from gatefield.core.types import Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.networks.readouts import check_source, check_terminal
from gatefield.numerics.batches import over_batches
from gatefield.numerics.growth import growth_rate
from gatefield.theory.adjoint.fixed_point import fixed_point_adjoint, mean_squared_outputs
from gatefield.theory.adjoint.lag_equations import closes, lag_adjoint
from gatefield.theory.adjoint.paths import moves, resting_units, saved_times
from gatefield.theory.adjoint.result import AdjointMeanField
from gatefield.theory.adjoint.sampled import sampled_adjoint
from gatefield.theory.dmft import MeanField
from gatefield.theory.dmft.packing import warn_outside
from gatefield.theory.rmt import spectral_boundary
from gatefield.theory.static import StaticMeanField
from gatefield.theory.static.sampled import SampledUnits

METHODS = ("auto", "fixed point", "lag equations", "sampled")
_PARTS = 4  # of the units of a closed form
_LARGEST_TRUNCATION = {"fixed point": 1e-6, "lag equations": 1e-3}


def solve_adjoint(
    mean_field: MeanField | StaticMeanField,
    horizon: float,
    *,
    terminal: Mapping[str, float] | None = None,
    source: Mapping[str, GaussianInput] | None = None,
    method: str = "auto",
    samples: int = 2000,
    batches: int = 8,
    dt: float | None = None,
    seed: int = 0,
    progress: bool | None = None,
    throw: bool = True,
) -> AdjointMeanField:
    r"""Predict the gradients that training meets: the adjoint mean-field theory of a state.

    For a loss whose readout is random and independent of the network,

    .. math:: L = \sum_c w_c \cdot s_c(T) + \int c(t) \cdot s(t)\,dt ,

    the adjoint a = dL/ds runs back in time, driven by the transposed couplings, which act as
    Gaussian fields independent of the forward run,

    .. math:: -\dot a = A^T a + R^T \xi + c, \qquad b = L^T a + Q^T \xi, \qquad
        \langle \xi^a \xi^{a\prime} \rangle = \mathrm{gain}_a^2 \langle b^a b^{a\prime} \rangle ,

    (maps: :math:`a_n = A_n^T a_{n+1} + R_n^T \xi_n + c_n`). With it the mean squared gradients are

    .. math:: N^{-2} \sum_{ij} (dL/dJ^a_{ij})^2 = \iint C_{b^a}(t,t')\, C_{y^a}(t,t')\,dt\,dt',
        \qquad N^{-1}\sum_i (dL/d\theta_i)^2 = \langle \textstyle(\int q\,dt)^2 \rangle ,

    q being what a unit's own parameter :math:`\theta_i` adds to a and to the outputs it sends.

    Parameters
    ----------
    mean_field
        A `MeanField` (gf.solve_dmft) or a `StaticMeanField` (gf.solve_static), of any cell.
    horizon
        How far back gradients are followed, in units of the units' time constant; steps for maps.
    terminal
        Variance of the readout w_c by component of the state; by default 1 for the first component,
        or none where there is a source.
    source
        Readouts along the trajectory by component: `GaussianInput` of zero mean; with an infinite
        correlation time one fixed readout at all times. Flows: weight dt (half at both ends);
        maps: steps 1 ... T count once each.
    method
        "fixed point": closed form, where nothing moves. "lag equations": the adjoint's own two-time
        equations where the mean field was solved by lag equations (alpha_z = 0 and the vanilla
        network); they know the adjoint, the couplings and the biases of phi and of the output gate,
        but no other parameter. "sampled": units marched back along sampled paths, exact up to
        sampling. "auto" takes the first that fits the state; of states that solve lag equations it
        samples the parameters that these do not know. Horizons too long for the closed form are
        refused: ask for "sampled".
    samples, batches
        For "sampled": units in each of several independent batches. They fluctuate as networks of
        so many units do: in chaos of long horizons arithmetic means need many. The closed form
        averages over ``samples`` units, and has its errors from quarters of them.
    dt
        For "sampled" flows: largest step; by default 0.2, less for fast units.
    seed
        For "sampled": same seed, same result. The closed form draws its units by it.
    progress
        For "sampled": True shows a progress bar, False none; by default one appears on a terminal
        after 3 s.
    throw
        Raise if values are not finite or the quadrature failed; otherwise the status says so.

    Returns
    -------
    AdjointMeanField
        Adjoint variances and correlation functions against time before the end, mean squared
        gradients by every coupling matrix and parameter, and the growth rate.

    Raises
    ------
    InvalidInputError
        For a solution whose status is not OK, a horizon too long, or options that do not fit.
    NumericalFailureError
        If ``throw`` and the result is not OK.

    Warns
    -----
    OutsideDomainWarning
        At an unstable fixed point, which networks leave, and for moving states of the separable
        approximation outside its domain.

    Assumptions
    -----------
    N to infinity, and gradient independence: the readout does not depend on the couplings. A
    terminal adjoint that does (:math:`L = |h(T)|^2/2`) gives gradients several times larger than
    this theory: `solve_dependent_adjoint` treats it. A squared error of a random readout,
    :math:`(w \cdot h - y)^2/2`, is a random readout times the error: multiply by the mean squared
    error. The state is stationary over the horizon. In chaos few networks dominate the mean:
    at g_h = 3, alpha_z = alpha_r = 2, N = 400, twelve networks had mean squares from 1.8 to 79
    around 16(6) over 29 time constants.

    References
    ----------
    Krishnamurthy, Can and Schwab, arXiv:2007.14823, version 3: the adjoint mean field.
    """
    if not isinstance(mean_field, MeanField | StaticMeanField):
        given = type(mean_field).__name__
        refuse("mean_field", given, "a MeanField or StaticMeanField", "Call solve_dmft first.")
    check_ok("mean_field", mean_field)
    cell = mean_field.cell
    horizon = as_number("horizon", horizon, positive=True)
    check_parameter_names(cell)
    sources = check_source(source, cell.state_names)
    given = check_terminal(terminal, cell.state_names, sources)
    options: dict[str, Any] = {
        "samples": check_count("samples", samples, at_least=2),
        "batches": check_count("batches", batches, at_least=2),
        "dt": None if dt is None else as_number("dt", dt, positive=True),
        "seed": check_seed(seed),
    }
    at_rest = isinstance(mean_field, StaticMeanField) or not moves(mean_field)
    lasting = all(each.is_static for each in sources.values())
    own = "sampled"
    if at_rest:
        own = "fixed point" if lasting else own
    elif closes(mean_field):
        own = "lag equations"
    chosen = own if check_choice("method", method, METHODS) == "auto" else method
    if chosen not in (own, "sampled"):
        fitting = " or ".join(dict.fromkeys((repr(own), "'sampled'")))
        refuse("method", method, f"{fitting} for this state and source", "Use 'auto'.")
    _warn(mean_field)
    sampling: dict[str, Any] = {"terminal": given, "source": sources, "progress": progress}
    if chosen == "fixed point":
        found = _closed_form(mean_field, horizon, given, sources, options)
    elif isinstance(mean_field, MeanField) and chosen == "lag equations":
        found = _by_lags(mean_field, horizon, given, sources)
        if method == "auto":
            found = _completed(found, sampled_adjoint(mean_field, horizon, **sampling, **options))
    else:
        found = sampled_adjoint(mean_field, horizon, **sampling, **options)
    if throw and found.status is not Status.OK:
        remedy = "Shorten the horizon" + ("" if found.is_map else " or reduce dt")
        sampled = "batches" in dict(found.settings)
        if sampled and found.status is Status.NOT_CONVERGED:
            remedy = "Raise samples or shorten the horizon"
        raise NumericalFailureError(
            f"solve_adjoint ended with status {found.status.value!r}. {remedy}; throw=False "
            "returns it."
        )
    return found


def _warn(state: MeanField | StaticMeanField) -> None:
    if isinstance(state, MeanField):
        warn_outside(state)
    elif not bool(state.stable):
        warnings.warn(
            f"solve_adjoint at an unstable fixed point (radius {float(state.radius):.3g}): expected"
            " one below 1. Networks leave it; solve_dmft gives the state that they reach.",
            OutsideDomainWarning,
            stacklevel=3,
        )


def _by_component(
    cell: AbstractCell, values: Mapping[str, float]
) -> Float[HostArray, " component"]:
    """Return named values in the order of the state's components, zero for the others."""
    return np.array([float(values.get(name, 0.0)) for name in cell.state_names])


def _closed_form(
    state: MeanField | StaticMeanField,
    horizon: float,
    terminal: dict[str, float],
    source: dict[str, GaussianInput],
    options: dict[str, Any],
) -> AdjointMeanField:
    cell = state.cell
    settings: dict[str, Any] = dict(state.settings) if isinstance(state, MeanField) else {}
    own_step = float(settings["dt"]) if settings.get("scheme") == "euler" else None
    if isinstance(cell, AbstractMap):
        check_count("horizon (steps of a map)", horizon)
    elif own_step is not None and abs(horizon / own_step - round(horizon / own_step)) > 1e-6:
        refuse("horizon", horizon, f"a whole number of steps of {own_step:g}", "Round it.")
    step = 1.0 if isinstance(cell, AbstractMap) else own_step
    times = saved_times(horizon, step)
    units = resting_units(state, samples=options["samples"], seed=options["seed"])
    boundary, parts = spectral_boundary(state), _parts(units)

    def solved(part: SampledUnits) -> tuple[dict[str, Any], dict[str, float], float]:
        found = fixed_point_adjoint(
            cell,
            part,
            boundary,
            times=times,
            horizon=horizon,
            terminal=_by_component(cell, terminal),
            source=_by_component(cell, {name: each.variance for name, each in source.items()}),
            dt=own_step,
        )
        sent = mean_squared_outputs(cell, part)
        gradients = {f"J_{name}": sent[name] * found.fields[name] for name in cell.field_names}
        gradients |= {name: found.parameters[name] for name in known_parameters(cell)}
        return found.covariance, gradients, found.truncation

    covariances, gradients, truncations = zip(*(solved(part) for part in parts), strict=True)
    return _exact(
        state,
        "fixed point",
        (times, covariances, gradients, max(truncations)),
        (terminal, source),
        (("horizon", horizon), ("samples", options["samples"]), ("seed", options["seed"])),
    )


def _parts(units: SampledUnits) -> list[SampledUnits]:
    """Return the units in parts, whose scatter is the error; one part where all are the same."""
    count = units.state.shape[1] // _PARTS
    if count < 1 or all(np.ptp(row) == 0 for each in units for row in each):
        return [units]
    return [
        SampledUnits(*(each[:, k * count : (k + 1) * count] for each in units))
        for k in range(_PARTS)
    ]


def _by_lags(
    state: MeanField,
    horizon: float,
    terminal: dict[str, float],
    source: dict[str, GaussianInput],
) -> AdjointMeanField:
    found = lag_adjoint(state, horizon, _by_component(state.cell, terminal), source)
    values = (found.times, (found.covariance,), (found.integrals,), found.truncation)
    return _exact(state, "lag equations", values, (terminal, source), (("horizon", horizon),))


def _completed(exact: AdjointMeanField, sampled: AdjointMeanField) -> AdjointMeanField:
    """Return the exact result with the parameters that only the sampled one knows."""
    rest = [name for name in sampled.gradient_variance if name not in exact.gradient_variance]
    return dataclasses.replace(
        exact,
        gradient_variance=exact.gradient_variance
        | {name: sampled.gradient_variance[name] for name in rest},
        gradient_standard_error=exact.gradient_standard_error
        | {name: sampled.gradient_standard_error[name] for name in rest},
        status=exact.status if exact.status is not Status.OK else sampled.status,
        settings=(*exact.settings, *sampled.settings[1:]),
    )


def _exact(
    state: MeanField | StaticMeanField,
    method: str,
    values: tuple[Any, Sequence[dict[str, Any]], Sequence[dict[str, float]], float],
    loss: tuple[dict[str, float], dict[str, GaussianInput]],
    settings: tuple[tuple[str, object], ...],
) -> AdjointMeanField:
    """Return a result of times, covariances and gradients of every part of the units."""
    times, covariances, gradients, truncation = values
    names = state.cell.state_names
    adjoints = {
        name: over_batches([np.diag(each[f"a_{name}"]) for each in covariances]) for name in names
    }
    covariance = {
        name: over_batches([each[name] for each in covariances]) for name in covariances[0]
    }
    gradient = {name: over_batches([each[name] for each in gradients]) for name in gradients[0]}
    growth = [
        growth_rate(times, np.sum([np.diag(each[f"a_{name}"]) for name in names], axis=0))
        for each in covariances
    ]
    finite = all(np.all(np.isfinite(mean)) for mean, _ in covariance.values())
    status = Status.OK if truncation < _LARGEST_TRUNCATION[method] else Status.NOT_CONVERGED
    return AdjointMeanField(
        times=times,
        adjoint_variance={name: mean for name, (mean, _) in adjoints.items()},
        adjoint_standard_error={name: error for name, (_, error) in adjoints.items()},
        covariance={name: mean for name, (mean, _) in covariance.items()},
        standard_error={name: error for name, (_, error) in covariance.items()},
        gradient_variance={name: mean for name, (mean, _) in gradient.items()},
        gradient_standard_error={name: error for name, (_, error) in gradient.items()},
        batch_growth=np.array(growth if len(growth) > 1 else []),
        truncation=np.asarray(truncation),
        terminal=loss[0],
        source=loss[1],
        method=method,
        mean_field=state,
        status=status if finite else Status.DIVERGED,
        settings=settings,
    )
