"""What `complexity` returns."""

from __future__ import annotations

import equinox as eqx

from gatefield.cells import AbstractCell
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray


class Complexity(AbstractResult):
    r"""Topological complexity of one branch of the static mean-field theory.

    Attributes
    ----------
    value
        C, natural logarithm per unit: the number of fixed points of this branch grows as exp(N C).
        Exactly zero where the radius is below one, and for the zero fixed point.
    radius
        :math:`\rho`: modulus of the largest eigenvalues of the matrix whose determinant counts.
        For the gated RNN, scaled by its field h, that of Eq. 6.
    radii
        Radii r at which F was computed, ascending to rho.
    distribution
        F(r), the part of the matrix's eigenvalues (those that are not zero) within r.
    modes
        How many such eigenvalues there are for each unit.
    integral
        :math:`\int_1^\rho (1 - F)/r\,dr` times ``modes``, by quadrature: the value over again.
    standard_error
        Sampling error of the value, of averages over sampled units; zero for the quadrature.
    radius_error
        The same for the radius.
    residual
        Largest relative violation of the equations.
    scaled
        The fields that stand with r.
    cell
        Whose.
    method
        "quadrature" or "sampled".
    status
        OK, or NOT_CONVERGED.
    """

    value: Float[HostArray, ""] = eqx.field(metadata=quantity())
    radius: Float[HostArray, ""] = eqx.field(metadata=quantity())
    radii: Float[HostArray, " place"] = eqx.field(metadata=quantity("place"))
    distribution: Float[HostArray, " place"] = eqx.field(metadata=quantity("place"))
    modes: Float[HostArray, ""] = eqx.field(metadata=quantity())
    integral: Float[HostArray, ""] = eqx.field(metadata=quantity())
    standard_error: Float[HostArray, ""] = eqx.field(metadata=quantity())
    radius_error: Float[HostArray, ""] = eqx.field(metadata=quantity())
    residual: Float[HostArray, ""] = eqx.field(metadata=quantity())
    cell: AbstractCell
    scaled: tuple[str, ...] = eqx.field(static=True)
    method: str = eqx.field(static=True)
    status: Status = eqx.field(static=True)
