"""Points of a line of parameters: theory's states of the largest exponent, networks beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gatefield.cells import AbstractCell
from gatefield.compare.exponents import Rates, belonging, judged, network_rates, theory_states
from gatefield.compare.harness import Comparison
from gatefield.core.types import Bool, HostArray
from gatefield.networks import GaussianInput
from gatefield.theory.lyapunov import MeanFieldLyapunov


class Station(NamedTuple):
    """A point of a line.

    Attributes
    ----------
    value
        The parameter; NaN where there is no line.
    states
        Theory's states there.
    rates
        Networks by their number of units; empty where none were simulated.
    """

    value: float
    states: tuple[MeanFieldLyapunov, ...]
    rates: Mapping[int, Rates]

    @property
    def largest(self) -> Rates:
        """The networks with most units."""
        return self.rates[max(self.rates)]

    @property
    def moving(self) -> Bool[HostArray, " network"]:
        """Which of the largest networks did not come to rest."""
        last = belonging(self.states, self.largest)[-1]
        return last if self.states[-1].mean_field.fluctuates else ~last

    @property
    def comparisons(self) -> list[Comparison | None]:
        """Theory beside networks, state by state; None where there is nothing to compare."""
        return judged(self.states, self.rates)


def stations(
    cells: Mapping[float, AbstractCell],
    sizes: Sequence[int],
    *,
    networks: int,
    t_max: float,
    burn_in: float,
    inputs: Mapping[float, Mapping[str, GaussianInput]] | None = None,
    seed: int = 0,
    report: Callable[[str], None] | None = None,
) -> list[Station]:
    """Simulate networks of several sizes at points of a line, and solve theory there.

    Parameters
    ----------
    cells
        By the parameter's value.
    sizes
        Numbers of units; other sizes draw other networks.
    networks, t_max, burn_in, report
        As in `network_rates`, at each point and size.
    inputs
        What drives theory and networks, by the parameter's value and the drive's name.
    seed
        Of the first network.

    Returns
    -------
    list of Station
    """
    found = []
    for value, cell in cells.items():
        driven = (inputs or {}).get(value, {})
        rates = {}
        for n in sizes:

            def said(text: str, place: str = f"{value:g}, N = {n}") -> None:
                if report is not None:
                    report(f"{place}: {text}")

            rates[n] = network_rates(
                cell,
                n=n,
                networks=networks,
                t_max=t_max,
                burn_in=burn_in,
                inputs=driven,
                seed=seed + 10_000 * n,
                report=said,
            )
        found.append(Station(value, theory_states(cell, inputs=driven), rates))
    return found
