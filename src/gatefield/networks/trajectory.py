"""What a simulation returns."""

from __future__ import annotations

import equinox as eqx

from gatefield.core.checks import check_choice
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray


class Trajectory(AbstractResult):
    """States of a simulated network; the unit axis is last and contiguous.

    Attributes
    ----------
    times
        Times of the saved states, in units of the units' own time constant; step numbers for maps.
    states
        (time, component, unit), or (sample, time, component, unit) for a batch.
    status
        OK; DIVERGED if a state is not finite; MAX_STEPS if an adaptive solve ran out of steps.
    component_names
        Names of the components, in their order.
    settings
        What made the trajectory: method, step, seed, number of units, cell.
    """

    times: Float[HostArray, " time"] = eqx.field(metadata=quantity("time", unit="time constant"))
    states: Float[HostArray, "*sample time component unit"] = eqx.field(
        metadata=quantity("...", "time", "component", "unit")
    )
    status: Status = eqx.field(static=True)
    component_names: tuple[str, ...] = eqx.field(static=True)
    settings: tuple[tuple[str, object], ...] = eqx.field(static=True)

    @property
    def is_map(self) -> bool:
        """Whether times count steps."""
        return dict(self.settings)["method"] == "map"

    def component(self, name: str) -> Float[HostArray, "*sample time unit"]:
        """Return one component of the state over time, for instance "h"."""
        check_choice("name", name, self.component_names)
        return self.states[..., self.component_names.index(name), :]

    @property
    def final(self) -> Float[HostArray, "*sample component unit"]:
        """The last state, ready to be the ``initial`` of the next simulation."""
        return self.states[..., -1, :, :]
