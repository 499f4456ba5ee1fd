"""What `find_fixed_points` returns: the points, how exact they are, and their stability."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Bool, Float, HostArray, Int


class FixedPoints(AbstractResult):
    r"""Fixed points of a network and, if asked for, its slow points.

    Fixed points first, each kind by increasing size. The speed of a state is the root mean square
    of dx/dt (flows) or of F(x) - x (maps) over its d N components.

    Attributes
    ----------
    states
        The distinct points, (point, d, N), in double precision.
    is_slow
        Which of them are slow points: minima of the speed that are not zeros.
    speeds
        The speed at each: the residual of a fixed point.
    errors
        Length (root mean square) of the Newton step that remains: how far the exact point is, to
        first order. Of slow points the step towards the minimum of the speed.
    found
        How many searches ended at each.
    leading_edges
        Largest real part (flows) or modulus (maps) of the eigenvalues of the Jacobian there.
    unstable
        Number of eigenvalues beyond the stability boundary by more than rounding, 1e-9.
    stable
        Whether all eigenvalues are within it by more than rounding. A marginal point is not stable
        and may have no unstable direction. At a slow point this describes the linearised motion
        beside it, which itself moves on.
    converged
        Share of the searches that ended at one of the points.
    is_map
        Whether speeds are per step.
    status
        OK, or NOT_CONVERGED if no point was found.
    settings
        What made the search.
    """

    states: Float[HostArray, "point component unit"] = eqx.field(
        metadata=quantity("point", "component", "unit")
    )
    is_slow: Bool[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    speeds: Float[HostArray, " point"] = eqx.field(
        metadata=quantity("point", unit="1 / time constant")
    )
    errors: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    found: Int[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    leading_edges: Float[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    unstable: Int[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    stable: Bool[HostArray, " point"] = eqx.field(metadata=quantity("point"))
    converged: Float[HostArray, ""] = eqx.field(metadata=quantity())
    is_map: bool = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    settings: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    @property
    def kinds(self) -> tuple[str, ...]:
        """For each point "fixed point" or "slow point"."""
        return tuple("slow point" if slow else "fixed point" for slow in self.is_slow)

    @property
    def unique(self) -> bool:
        """Whether exactly one fixed point was found, which does not prove that there is no other.

        Slow points do not count.
        """
        return int(np.sum(~self.is_slow)) == 1

    def distances(self) -> Float[HostArray, "point point"]:
        """Return the root mean square difference of every two points."""
        count = len(self.states)
        rows = [size_of(self.states - each) for each in self.states]
        return np.array(rows).reshape(count, count)


def size_of(states: Float[HostArray, "state ..."]) -> Float[HostArray, " state"]:
    """Return the root mean square over all axes but the first."""
    with np.errstate(over="ignore"):
        return np.sqrt(np.mean(np.square(states), axis=tuple(range(1, states.ndim))))
