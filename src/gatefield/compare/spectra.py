"""Spectra of random-matrix theory against the eigenvalues of networks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import equinox as eqx
import numpy as np

from gatefield.cells import AbstractCell, AbstractMap
from gatefield.cells.base import check_cell
from gatefield.compare.harness import Comparison, compare
from gatefield.compare.states import StateSpectrum, reached_state, state_spectrum
from gatefield.core.checks import as_number, check_choice, check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Float, HostArray, Int
from gatefield.networks import Network
from gatefield.networks.inputs import Inputs
from gatefield.theory.rmt import SpectralBoundary, spectral_density

_OFF_AXIS = 0.1  # of the largest imaginary part: real eigenvalues repel others from the axis
_BOX_ROWS, _BOX_COLUMNS = 2, 3
_DRAWS = 100_000


class SpectrumCheck(AbstractResult):
    """Theory beside the Jacobian spectra of networks of several sizes.

    Attributes
    ----------
    sizes
        Numbers N of units.
    theory_edge, network_edge
        Leading edge (largest real part of a flow's, largest modulus of a map's spectrum), for each
        size and network.
    theory_imaginary, network_imaginary
        Largest imaginary part.
    outside
        Fraction of the eigenvalues outside the boundary.
    theory_count, network_count
        Number of eigenvalues in each box of the upper half plane.
    box_real, box_imag
        The boxes' intervals, (box, end), the same for every network.
    couplings
        "own", the network's, or "fresh" ones, which know nothing of the state.
    is_map
        Whether stability ends at the unit circle or at the imaginary axis.
    cell
        What was compared.
    """

    sizes: Int[HostArray, " size"] = eqx.field(metadata=quantity("size"))
    theory_edge: Float[HostArray, "size network"] = eqx.field(metadata=quantity("size", "network"))
    network_edge: Float[HostArray, "size network"] = eqx.field(metadata=quantity("size", "network"))
    theory_imaginary: Float[HostArray, "size network"] = eqx.field(
        metadata=quantity("size", "network")
    )
    network_imaginary: Float[HostArray, "size network"] = eqx.field(
        metadata=quantity("size", "network")
    )
    outside: Float[HostArray, "size network"] = eqx.field(metadata=quantity("size", "network"))
    theory_count: Float[HostArray, "size network box"] = eqx.field(
        metadata=quantity("size", "network", "box")
    )
    network_count: Int[HostArray, "size network box"] = eqx.field(
        metadata=quantity("size", "network", "box")
    )
    box_real: Float[HostArray, "box end"] = eqx.field(metadata=quantity("box", "end"))
    box_imag: Float[HostArray, "box end"] = eqx.field(metadata=quantity("box", "end"))
    couplings: str = eqx.field(static=True)
    is_map: bool = eqx.field(static=True)
    cell: AbstractCell

    def edges(self, *, threshold: float = 4.0) -> tuple[Comparison, ...]:
        """Compare the leading edge at each size: theory's mean over states with the networks'."""
        name = "largest modulus" if self.is_map else "leading edge"
        return self._compared(name, self.theory_edge, self.network_edge, threshold)

    def imaginary(self, *, threshold: float = 4.0) -> tuple[Comparison, ...]:
        """Compare the largest imaginary part at each size."""
        found = self.network_imaginary
        return self._compared("largest Im", self.theory_imaginary, found, threshold)

    def edge_errors(self) -> Float[HostArray, " size"]:
        """Return the root mean square of network minus theory, of the leading edge at each size."""
        return np.sqrt(np.mean((self.network_edge - self.theory_edge) ** 2, axis=1))

    def chi_square(self) -> Float[HostArray, " size"]:
        r"""Return :math:`\chi^2 / \mathrm{boxes}` of the mean counts at each size.

        The sum over boxes of (mean of count - theory)^2 over its variance, which is estimated from
        the scatter over networks: eigenvalues repel, so that counts scatter far less than Poisson.
        """
        return np.mean(self._scores() ** 2, axis=1)

    def p_value(self) -> Float[HostArray, " size"]:
        """Return how often chance alone gives a larger chi-square, at each size.

        The scores are Student's t with networks - 1 degrees of freedom, taken as independent; their
        sum of squares is drawn 100,000 times.
        """
        networks, boxes = self.network_count.shape[1:]
        draws = np.random.default_rng(0).standard_t(networks - 1, (_DRAWS, boxes))
        chance = np.mean(draws**2, axis=1)
        return np.array([np.mean(chance >= value) for value in self.chi_square()])

    def _scores(self) -> np.ndarray:
        difference = self.network_count - self.theory_count
        # Where hardly any eigenvalue is expected, none in a few networks is no sign of no scatter.
        rare = np.where(self.theory_count.mean(axis=1) < 1, self.theory_count.mean(axis=1), 0.0)
        error = np.sqrt((difference.var(axis=1, ddof=1) + rare) / difference.shape[1])
        return difference.mean(axis=1) / np.maximum(error, 1e-12)

    def _compared(self, name, theory, found, threshold) -> tuple[Comparison, ...]:
        return tuple(
            compare(
                predicted.mean(),
                predicted.mean() + measured - predicted,
                threshold=threshold,
                name=f"{name}, N = {size}",
            )
            for size, predicted, measured in zip(self.sizes, theory, found, strict=True)
        )


def check_spectrum(
    cell: AbstractCell,
    *,
    sizes: Sequence[int] = (500, 1000),
    networks: int = 8,
    state: str = "steady",
    t_max: float = 100.0,
    dt: float = 0.05,
    inputs: Inputs | None = None,
    couplings: str = "own",
    seed: int = 0,
    report: Callable[[int, int, SpectralBoundary], None] | None = None,
) -> SpectrumCheck:
    """Compare boundary and density of random-matrix theory with networks of several sizes.

    Each network is simulated to its state, theory is computed from the linear responses of its
    units there (Eq. A34), and its Jacobian is diagonalised.

    Parameters
    ----------
    cell
        Any cell.
    sizes, networks
        Numbers of units, and how many networks of each (at least 3).
    state
        "steady": after ``t_max`` from a random start; "zero": the zero state.
    t_max, dt
        Duration in units of the time constant (steps of a map), and step of a flow.
    inputs
        External input as in `simulate`.
    couplings
        "own": the network's Jacobian; "fresh": the same units coupled by matrices drawn anew, for
        which the state is independent of the couplings as theory assumes.
    seed
        Seed of the first network.
    report
        Called with size, number and boundary of each network as it is done.

    Returns
    -------
    SpectrumCheck

    Raises
    ------
    InvalidInputError
        For numbers that make no sense, or a spectrum without extent in the plane.

    Assumptions
    -----------
    Those of `spectral_boundary`. With the networks' own couplings the difference also shows what
    correlations between state and couplings do.
    """
    check_cell(cell)
    check_choice("state", state, ("steady", "zero"))
    check_choice("couplings", couplings, ("own", "fresh"))
    if not isinstance(sizes, Iterable):
        refuse("sizes", sizes, "several numbers of units", f"For instance ({sizes},).")
    sizes = tuple(check_count("sizes", size, at_least=2) for size in sizes)
    networks, seed = check_count("networks", networks, at_least=3), check_seed(seed)
    t_max, dt = (as_number(n, v, positive=True) for n, v in (("t_max", t_max), ("dt", dt)))
    if not sizes:
        refuse("sizes", sizes, "at least one number of units", "For instance (500, 1000).")
    is_map = isinstance(cell, AbstractMap)
    duration, step = (0.0 if state == "zero" else t_max), (None if is_map else dt)
    boxes: Any = ()
    rows = []
    for size in sizes:
        for number in range(networks):
            chosen = seed + number
            network = Network.sample(cell, size, seed=chosen)
            now = reached_state(network, duration, dt=step, inputs=inputs, seed=chosen)
            one = state_spectrum(network, now, inputs=inputs, time=duration, couplings=couplings)
            boxes = boxes or _boxes(one.boundary)
            rows.append(_row(one, boxes))
            if report is not None:
                report(size, number, one.boundary)
    columns = {
        name: np.array([row[name] for row in rows]).reshape(len(sizes), networks, *np.shape(value))
        for name, value in rows[0].items()
    }
    return SpectrumCheck(
        sizes=np.array(sizes),
        **columns,
        box_real=boxes[0],
        box_imag=boxes[1],
        couplings=couplings,
        is_map=is_map,
        cell=cell,
    )


def check_spectra(
    cells: Iterable[AbstractCell],
    *,
    report: Callable[[SpectrumCheck], None] | None = None,
    **options: Any,
) -> tuple[SpectrumCheck, ...]:
    """Compare theory with networks for several cells, for instance those of `draw_cells`.

    Parameters
    ----------
    cells
        What to compare.
    report
        Called with each check as it is done.
    options
        Passed on to `check_spectrum`.

    Returns
    -------
    tuple of SpectrumCheck
        ``edge_errors`` of each says how theory's error falls with N.
    """
    checks = []
    for cell in cells:
        checks.append(check_spectrum(cell, **options))
        if report is not None:
            report(checks[-1])
    return tuple(checks)


def _row(one: StateSpectrum, boxes) -> dict[str, Any]:
    """Return what one network contributes to each of the result's fields."""
    values, density = one.eigenvalues, spectral_density(one.units, [])
    theory, found = [], []
    for (left, right), (low, high) in zip(*boxes, strict=True):
        fraction = density.fraction_in_box(complex(left, low), complex(right, high))
        theory.append(values.size * fraction)
        within = (left < np.real(values)) & (np.real(values) <= right)
        found.append(np.sum(within & (low < np.imag(values)) & (np.imag(values) <= high)))
    return {
        "theory_edge": one.boundary.leading_edge,
        "network_edge": one.leading_edge,
        "theory_imaginary": one.boundary.largest_imaginary,
        "network_imaginary": one.largest_imaginary,
        "outside": one.outside,
        "theory_count": theory,
        "network_count": found,
    }


def _boxes(boundary: SpectralBoundary) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes that cover the support's upper half, but for a strip along the real axis."""
    if not boundary.vertices_real.size or boundary.largest_imaginary <= 0:
        refuse("cell", "uncoupled units", "a spectrum with extent in the plane", "Raise a gain.")
    x = np.linspace(boundary.vertices_real.min(), boundary.vertices_real.max(), _BOX_COLUMNS + 1)
    top = float(boundary.largest_imaginary)
    y = np.linspace(_OFF_AXIS * top, top, _BOX_ROWS + 1)
    real = [(x[i], x[i + 1]) for _ in range(_BOX_ROWS) for i in range(_BOX_COLUMNS)]
    imag = [(y[j], y[j + 1]) for j in range(_BOX_ROWS) for _ in range(_BOX_COLUMNS)]
    return np.array(real), np.array(imag)
