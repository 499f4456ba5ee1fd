"""One network in a state: theory's boundary beside the eigenvalues of its Jacobian."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from gatefield.analysis.spectra import dense_matrix, spectral_order
from gatefield.cells import AbstractCell, AbstractMap
from gatefield.core.checks import as_number, check_choice
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.types import Complex, Float, HostArray
from gatefield.networks import (
    Network,
    NetworkJacobian,
    UnitJacobian,
    jacobian,
    linearise,
    simulate,
)
from gatefield.networks.inputs import Inputs
from gatefield.theory.rmt import SpectralBoundary, spectral_boundary, spectral_density

_FRESH = 1_000_003  # added to the seed of couplings that know nothing of the state
_LARGEST = 30_000  # of d N: one matrix then takes 17 GB


@dataclasses.dataclass(frozen=True)
class StateSpectrum:
    """A network in a state: what theory says of its Jacobian's spectrum, and its eigenvalues.

    Attributes
    ----------
    network, state
        The network, and its state (d, N).
    units
        The linear responses of its units, from which theory starts (Eq. A34).
    boundary
        Theory's boundary.
    eigenvalues
        Of the Jacobian, with the network's own or with fresh couplings.
    couplings
        "own" or "fresh".
    near
        Radius around 0 (for maps around 1) in which eigenvalues are counted.
    """

    network: Network
    state: Float[HostArray, "component unit"]
    units: UnitJacobian
    boundary: SpectralBoundary
    eigenvalues: Complex[HostArray, " mode"]
    couplings: str
    near: float

    @property
    def leading_edge(self) -> float:
        """Largest real part of a flow's, largest modulus of a map's eigenvalues."""
        return float(np.max(np.abs(self.eigenvalues) if self.is_map else np.real(self.eigenvalues)))

    @property
    def largest_imaginary(self) -> float:
        """Largest imaginary part of the eigenvalues."""
        return float(np.max(np.imag(self.eigenvalues)))

    @property
    def is_map(self) -> bool:
        """Whether stability ends at the unit circle."""
        return self.units.is_map

    @property
    def stable(self) -> bool:
        """Whether every eigenvalue is on the stable side."""
        return self.leading_edge < (1.0 if self.is_map else 0.0)

    @property
    def outside(self) -> float:
        """Fraction of the eigenvalues outside theory's boundary."""
        return float(np.mean(~self.boundary.contains(self.eigenvalues)))

    @functools.cached_property
    def theory_near(self) -> float:
        """Number of eigenvalues that theory expects there; NaN if a cluster of poles is cut."""
        try:
            return spectral_density(self.units, []).count(self.slow_point, self.near)
        except NumericalFailureError:
            return float("nan")

    @property
    def network_near(self) -> int:
        """Number of eigenvalues within ``near`` of 0 (of 1 for maps)."""
        return int(np.sum(np.abs(self.eigenvalues - self.slow_point) <= self.near))

    @property
    def slow_point(self) -> float:
        """Where the eigenvalues of slow modes are: 0 for flows, 1 for maps."""
        return 1.0 if self.is_map else 0.0


def check_size(cell: AbstractCell, n: int) -> int:
    """Refuse a number of units whose Jacobian is too large to diagonalise, before simulating."""
    size = n * len(cell.state_names)
    if size > _LARGEST:
        refuse(
            "n", n, f"at most {_LARGEST // len(cell.state_names)}", "Larger matrices take too long."
        )
    return size


def reached_state(
    network: Network,
    t_max: float,
    *,
    dt: float | None = None,
    inputs: Inputs | None = None,
    initial: Any = None,
    seed: int = 0,
) -> Float[HostArray, "component unit"]:
    """Return the state of a network after a time alone, not its path; the zero state for none.

    Parameters
    ----------
    network
        Any network.
    t_max
        Duration in units of the time constant (steps of a map); 0 gives the zero state, and is
        refused beside ``initial``.
    dt
        Step of a flow.
    inputs
        External input as in `simulate`.
    initial
        Where it starts, (d, N); by default standard normal.
    seed
        Draws the initial state.

    Returns
    -------
    array
        (d, N).
    """
    if as_number("t_max", t_max, nonnegative=True) == 0 and initial is None:
        return np.zeros((len(network.cell.state_names), network.n), network.dtype)
    last = max(1, round(10 * t_max / (0.05 if dt is None else dt)))  # saves the end alone
    options: dict[str, Any] = {"dt": dt, "inputs": inputs, "initial": initial, "seed": seed}
    return simulate(network, t_max, save_every=last, progress=False, **options).final


def state_spectrum(
    network: Network,
    state: Float[HostArray, "component unit"],
    *,
    inputs: Inputs | None = None,
    time: float = 0.0,
    couplings: str = "own",
    near: float = 0.05,
) -> StateSpectrum:
    """Return theory and eigenvalues of a network's Jacobian at a state.

    Parameters
    ----------
    network, state
        Any network, and a state (d, N).
    inputs, time
        External input as in `simulate`, and when it is taken.
    couplings
        "own", or "fresh": the same units coupled by matrices drawn anew, of which the state knows
        nothing, as theory assumes.
    near
        Radius around 0 (1 for maps) in which eigenvalues are counted.

    Returns
    -------
    StateSpectrum

    Raises
    ------
    InvalidInputError
        For a Jacobian too large, or fresh couplings of a network whose own ones were given.
    """
    check_choice("couplings", couplings, ("own", "fresh"))
    near = as_number("near", near, positive=True)
    check_size(network.cell, network.n)
    units = linearise(network, state, inputs=inputs, time=time)
    boundary = spectral_boundary(units)
    operator = jacobian(network, state, inputs=inputs, time=time)
    values = _eigenvalues(operator if couplings == "own" else _with_fresh_couplings(operator))
    return StateSpectrum(network, state, units, boundary, values, couplings, near)


def _with_fresh_couplings(operator: NetworkJacobian) -> NetworkJacobian:
    network = operator.network
    if network.seed < 0:
        remedy = "Use the network's own."
        refuse("couplings", "fresh", "drawn couplings, of which others can be drawn", remedy)
    drawn = Network.sample(
        network.cell, network.n, seed=network.seed + _FRESH, dtype=str(network.dtype)
    )
    return NetworkJacobian(drawn, operator.blocks)


def _eigenvalues(operator: NetworkJacobian) -> np.ndarray:
    values = np.linalg.eigvals(dense_matrix(operator)).astype(complex)
    return values[spectral_order(values, isinstance(operator.network.cell, AbstractMap))]
