"""Networks in a state, with theory's boundary and their eigenvalues: what figures are made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import NamedTuple, TypeVar

import equinox as eqx
import numpy as np
import xarray as xr

from gatefield.analysis import network_spectrum
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
from gatefield.theory.rmt import SpectralBoundary, spectral_boundary, spectral_density

OUTSIDE = 0.015
"""Fraction of eigenvalues that scatters out of the boundary at N = 1000; it falls as N^-1/2."""
_FRESH = 1_000_003  # added to the seed of couplings that know nothing of the state
_LARGEST = 30_000  # of d N: one matrix then takes 17 GB
_BESIDE_OTHERS = 8_000  # of d N: larger matrices are diagonalised one after the other

Job = TypeVar("Job")
Done = TypeVar("Done")


class StateSpectrum(NamedTuple):
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
    near, theory_near
        Radius around 0 (for maps around 1), and the number of eigenvalues in it that theory
        expects; NaN where the circle runs through a cluster of poles.
    """

    network: Network
    state: Float[HostArray, "component unit"]
    units: UnitJacobian
    boundary: SpectralBoundary
    eigenvalues: Complex[HostArray, " mode"]
    couplings: str
    near: float
    theory_near: float

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
    network: Network, t_max: float, *, dt: float | None = None, seed: int = 0
) -> Float[HostArray, "component unit"]:
    """Return the state of a network after a time, from a random start; the zero state for none.

    Parameters
    ----------
    network
        Any network.
    t_max
        Duration in units of the time constant (steps of a map); 0 gives the zero state.
    dt
        Step of a flow.
    seed
        Draws the initial state.

    Returns
    -------
    array
        (d, N).
    """
    if as_number("t_max", t_max, nonnegative=True) == 0:
        return np.zeros((len(network.cell.state_names), network.n), network.dtype)
    last = max(1, round(10 * t_max / (0.05 if dt is None else dt)))  # saves the end alone
    return simulate(network, t_max, dt=dt, seed=seed, save_every=last, progress=False).final


def state_spectrum(
    network: Network,
    state: Float[HostArray, "component unit"],
    *,
    couplings: str = "own",
    near: float = 0.05,
) -> StateSpectrum:
    """Return theory and eigenvalues of a network's Jacobian at a state.

    Parameters
    ----------
    network, state
        Any network, and a state (d, N).
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
    units = linearise(network, state)
    boundary = spectral_boundary(units)
    middle = 1.0 if units.is_map else 0.0
    try:
        expected = spectral_density(units, []).count(middle, near)
    except NumericalFailureError:
        expected = float("nan")
    values = _eigenvalues(network, state, couplings)
    return StateSpectrum(network, state, units, boundary, values, couplings, near, expected)


def without_motion(units: UnitJacobian) -> UnitJacobian:
    """Return a gated RNN's units with D_t = 0: as if h stood still."""
    A = np.array(units.A)
    A[:, 0, 1] = 0.0
    return eqx.tree_at(lambda each: each.A, units, A)


def in_turn(
    function: Callable[[Job], Done],
    jobs: Sequence[Job],
    *,
    size: int,
    report: Callable[[int], None] | None = None,
) -> list[Done]:
    """Apply a function to each job, several at a time where that pays, and keep the order.

    Parameters
    ----------
    function
        Works on one job.
    jobs
        The jobs.
    size
        Rows of the matrices that are diagonalised: large ones go one after the other.
    report
        Called with the number of jobs done after each of them.

    Returns
    -------
    list
    """
    report = report or (lambda _: None)
    found: dict[int, Done] = {}
    # Alone, so that what is compiled for all of them is compiled once.
    for number, job in enumerate(jobs[:1]):
        found[number] = function(job)
        report(1)
    for number, done in _several(function, jobs[1:], _workers(size)):
        found[number + 1] = done
        report(len(found))
    return [found[number] for number in range(len(jobs))]


def _several(
    function: Callable[[Job], Done], jobs: Sequence[Job], workers: int
) -> Iterator[tuple[int, Done]]:
    if workers == 1:
        yield from ((number, function(job)) for number, job in enumerate(jobs))
        return
    pool = ThreadPoolExecutor(workers)
    try:
        pending = {pool.submit(function, job): number for number, job in enumerate(jobs)}
        while pending:
            for done in wait(pending, return_when=FIRST_COMPLETED).done:
                yield pending.pop(done), done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _workers(size: int) -> int:
    # LAPACK gains little from threads of its own, and several such teams block each other: networks
    # share the processors only where each keeps to one thread, as the command line arranges.
    alone = size > _BESIDE_OTHERS or os.environ.get("OPENBLAS_NUM_THREADS") != "1"
    return 1 if alone else os.cpu_count() or 1


def _eigenvalues(network: Network, state, couplings: str) -> np.ndarray:
    if couplings == "own":
        return network_spectrum(network, state).eigenvalues
    if network.seed < 0:
        remedy = "Use the network's own."
        refuse("couplings", couplings, "drawn couplings, of which others can be drawn", remedy)
    drawn = Network.sample(
        network.cell, network.n, seed=network.seed + _FRESH, dtype=str(network.dtype)
    )
    operator = NetworkJacobian(drawn, jacobian(network, state).blocks)
    values = np.linalg.eigvals(dense_matrix(operator)).astype(complex)
    return values[spectral_order(values, isinstance(network.cell, AbstractMap))]


def boundary_dataset(boundaries: Sequence[SpectralBoundary]) -> xr.Dataset:
    """Return several boundaries as one dataset: vertices, and whose and which curve each is."""
    columns: dict[str, list] = {"real": [], "imag": [], "curve": [], "network": []}
    for number, boundary in enumerate(boundaries):
        columns["real"].append(boundary.vertices_real)
        columns["imag"].append(boundary.vertices_imag)
        columns["curve"].append(boundary.curve)
        columns["network"].append(np.full(boundary.curve.size, number))
    joined = {name: ("vertex", np.concatenate(parts)) for name, parts in columns.items()}
    return xr.Dataset(joined, attrs={"is_map": int(boundaries[0].is_map)})
