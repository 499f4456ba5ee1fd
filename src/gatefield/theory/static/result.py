"""A solution of the static mean-field theory."""

from __future__ import annotations

import equinox as eqx

from gatefield.cells import AbstractCell
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Bool, Float, HostArray
from gatefield.theory.static.conditions import StaticConditions


class StaticMeanField(AbstractResult):
    r"""One branch of the static mean-field theory: the statistics of a network's fixed points.

    Attributes
    ----------
    variance
        Variance over units of each state component at the fixed point, by name.
    mean
        Mean over units of each component.
    field_variance
        Variance of each coupling field, by name.
    radius
        :math:`\rho`: the fixed point is stable iff it is below one. For the gated RNN it is that
        of Eq. 6; for other cells the square root of the spectral radius of M(lambda), maximised
        over the edge of stability (both cross one together).
    stable
        Whether the radius is below one.
    open_fraction
        Mean of the update gate, :math:`\langle\sigma_z\rangle` (1 for cells that have none).
    residual
        Largest violation of the self-consistency equations, relative to variances above one.
    standard_error
        Sampling error of the radius; zero for the closed form.
    cell
        The cell that was solved.
    conditions
        The static inputs and random biases it was solved with.
    method
        "gaussian" (closed form) or "sampled".
    status
        OK, or NOT_CONVERGED.
    """

    variance: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    mean: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    field_variance: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    radius: Float[HostArray, ""] = eqx.field(metadata=quantity())
    stable: Bool[HostArray, ""] = eqx.field(metadata=quantity())
    open_fraction: Float[HostArray, ""] = eqx.field(metadata=quantity())
    residual: Float[HostArray, ""] = eqx.field(metadata=quantity())
    standard_error: Float[HostArray, ""] = eqx.field(metadata=quantity())
    cell: AbstractCell
    conditions: StaticConditions
    method: str = eqx.field(static=True)
    status: Status = eqx.field(static=True)


class StaticGrid(AbstractResult):
    """Every branch at every point of a grid of gated RNN parameters (closed form).

    Attributes
    ----------
    count
        Number of solutions at each point.
    variance
        D_h of each solution, ascending along the last axis; zero where there is none.
    radius
        Radius rho of each solution; zero where there is none.
    found
        Which places of the last axis hold solutions.
    """

    count: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    variance: Float[HostArray, "... branch"] = eqx.field(metadata=quantity("...", "branch"))
    radius: Float[HostArray, "... branch"] = eqx.field(metadata=quantity("...", "branch"))
    found: Bool[HostArray, "... branch"] = eqx.field(metadata=quantity("...", "branch"))
