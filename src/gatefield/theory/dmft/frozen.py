"""Fixed points as solutions of dynamical mean-field theory: covariances that are constant."""

from __future__ import annotations

import numpy as np

from gatefield.cells import AbstractCell
from gatefield.core.results import Status
from gatefield.networks.noise import GaussianInput
from gatefield.theory.dmft.gated_form import COMPONENTS, GatedForm
from gatefield.theory.dmft.packing import packed
from gatefield.theory.dmft.result import MeanField
from gatefield.theory.static import StaticMeanField, solve_static

_LAGS = np.array([0.0, 1.0, 10.0, 100.0])
_MARGINAL = 1e-8  # excess of the radius beyond which the moving state is resolved


def frozen_states(
    cell: AbstractCell, inputs: dict[str, GaussianInput], form: GatedForm
) -> tuple[StaticMeanField, ...]:
    """Return the static solutions, ascending; none where the input moves the units."""
    if not form.static_input:
        return ()
    return solve_static(
        cell,
        input_mean={name: float(one.mean) for name, one in inputs.items()},
        input_variance={name: float(one.variance) for name, one in inputs.items()},
        throw=False,
    )


def is_stable(state: StaticMeanField) -> bool:
    """Whether a fixed point is stable, or is the zero one at the continuous transition."""
    silent = float(state.variance["h"]) == 0
    return bool(state.radius < 1 or (silent and state.radius <= 1 + _MARGINAL))


def frozen_mean_field(
    cell: AbstractCell,
    inputs: dict[str, GaussianInput],
    form: GatedForm,
    state: StaticMeanField,
    *,
    status: Status | None = None,
) -> MeanField:
    """Return a static solution as a mean field whose covariances do not depend on the lag."""
    each = [float(state.variance[name]) if name in state.variance else 0.0 for name in COMPONENTS]
    C = np.array(each)[:, None] * np.ones_like(_LAGS)
    residual = float(state.residual)
    return packed(
        cell,
        inputs,
        form,
        _LAGS,
        C,
        residual=residual,
        truncation=0.0,
        history=(residual,),
        status=state.status if status is None else status,
        settings=(("state", "fixed point"), ("radius", float(state.radius))),
    )


def lost_mean_field(
    cell: AbstractCell,
    inputs: dict[str, GaussianInput],
    form: GatedForm,
    frozen: tuple[StaticMeanField, ...],
) -> MeanField:
    """Return what is left where no state was found: not converged, an unstable fixed point or 0."""
    if frozen:
        return frozen_mean_field(cell, inputs, form, frozen[-1], status=Status.NOT_CONVERGED)
    return packed(
        cell,
        inputs,
        form,
        _LAGS,
        np.zeros((3, _LAGS.size)),
        residual=np.inf,
        truncation=0.0,
        history=(),
        status=Status.NOT_CONVERGED,
        settings=(("state", "none"),),
    )
