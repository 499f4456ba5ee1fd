"""Gradients of a loss at the end of a network's run, in mean squares."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

from gatefield.core.checks import check_count
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray, Int
from gatefield.numerics.growth import growth_rate

_TIMES = 200  # kept unless asked otherwise


class NetworkGradients(AbstractResult):
    r"""Gradients of a loss L of a network's run, backwards in time.

    .. math:: a_{c,i}(s) = \partial L / \partial s_{c,i}(T - s)

    Attributes
    ----------
    times
        Time before the end s = T - t, ascending from 0, in units of the units' own time constant;
        steps for maps.
    adjoint_variance
        By state component the mean over units of a_{c,i}(s)^2.
    gradient_variance
        By name: "J_h" for the couplings of the field h, the mean of (dL/dJ^h_ij)^2 over pairs of
        units; for each parameter of the cell the mean over units of (dL/dtheta_i)^2, as if each
        unit had its own theta_i. Parameters on which a gain of zero depends are left out.
    shared_gradient_variance
        By parameter (dL/dtheta)^2 / N, for one number theta that all units share.
    losses
        L, for each readout; the squares above are means over readouts.
    initial_adjoint
        The gradient by the state that the run started from, (readout, d, N).
    coupling_gradients, parameter_gradients
        The gradients themselves by the same names, (readout, N, N) and (readout, N); empty unless
        ``keep_gradients`` asked for them. Row i of dL/dJ belongs to the unit that receives.
    component_names
        Names of the components of ``initial_adjoint``, in their order.
    loss
        "readout", "quadratic" or "own", and in ``settings`` what it was made of.
    is_map
        Whether times count steps.
    dt, method
        Step of the run (1 for maps), and "rk4", "euler" or "map".
    settings
        What made the result.
    status
        OK, or DIVERGED if a state, an adjoint or a gradient is not finite.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    adjoint_variance: dict[str, Float[HostArray, " time"]] = eqx.field(metadata=quantity("time"))
    gradient_variance: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    shared_gradient_variance: dict[str, Float[HostArray, ""]] = eqx.field(metadata=quantity())
    losses: Float[HostArray, " readout"] = eqx.field(metadata=quantity("readout"))
    initial_adjoint: Float[HostArray, "readout component unit"] = eqx.field(
        metadata=quantity("readout", "component", "unit")
    )
    coupling_gradients: dict[str, Float[HostArray, "readout unit sender"]] = eqx.field(
        metadata=quantity("readout", "unit", "sender")
    )
    parameter_gradients: dict[str, Float[HostArray, "readout unit"]] = eqx.field(
        metadata=quantity("readout", "unit")
    )
    component_names: tuple[str, ...] = eqx.field(static=True)
    loss: str = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    method: str = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)
    status: Status = eqx.field(static=True)

    @property
    def growth_rate(self) -> float:
        r"""Rate at which squared gradients grow backwards in time, per unit time or step.

        The least-squares slope of :math:`\ln \sum_c` ``adjoint_variance`` over the second half of
        the horizon: of a long run in chaos twice the largest Lyapunov exponent, of a shorter one
        that with a scatter. NaN where the adjoint vanishes or is not finite.
        """
        return growth_rate(self.times, np.sum(list(self.adjoint_variance.values()), axis=0))


def saved_steps(steps: int, every: Any) -> Int[HostArray, " time"]:
    """Return the steps before the end that are kept: both ends, and every so many between them.

    Parameters
    ----------
    steps
        Of the run.
    every
        From one to the next; None keeps at most 200.
    """
    # Both ends may come on top of the multiples.
    every = -(-steps // (_TIMES - 2)) if every is None else check_count("save_every", every)
    return np.unique(np.append(np.arange(0, steps + 1, every), steps))
