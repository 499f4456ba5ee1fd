"""The Jacobian's spectrum along the inputs, beside that of random couplings of the same gains."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import numpy as np

from gatefield.analysis import leading_modes, network_spectrum
from gatefield.core.results import Status, quantity
from gatefield.core.types import Complex, Float, HostArray, Int
from gatefield.diagnosis.margins import spectral_margin
from gatefield.diagnosis.part import MapPart
from gatefield.diagnosis.runs import LayerRun, spread_over
from gatefield.networks import linearise
from gatefield.theory.rmt import spectral_boundary

_RESOLUTION = 3e-3  # of the boundary's extent
_MODES = 6  # leading eigenvalues where not all are computed
_TOLERANCE = 1e-4  # of these
_PRODUCTS = 2000


class Spectra(MapPart):
    """The Jacobian of one step at several states of the run, beside theory for its own units.

    Attributes
    ----------
    steps
        Steps of the layer's own run at which states were taken.
    leading_edges
        Largest modulus of the network's eigenvalues at each.
    theory_edges
        Largest modulus of the boundary that random couplings of the same gains would have with the
        units' own linear responses.
    outside
        Number of eigenvalues outside that boundary by more than the finite-size margin; -1 where
        not all eigenvalues were computed.
    margins
        That margin, a distance in the complex plane.
    whole
        At which of the states all eigenvalues were computed: places in ``steps``.
    eigenvalues_real, eigenvalues_imag
        All eigenvalues there, by decreasing modulus; `eigenvalues` joins them.
    vertices_real, vertices_imag, vertex_state, vertex_curve
        The theory's boundary at each state: vertices, the state (place in ``steps``) and the
        closed curve that each belongs to; `boundary` returns them.
    """

    steps: Int[HostArray, " state"] = eqx.field(metadata=quantity("state", unit="time constant"))
    leading_edges: Float[HostArray, " state"] = eqx.field(metadata=quantity("state"))
    theory_edges: Float[HostArray, " state"] = eqx.field(metadata=quantity("state"))
    outside: Int[HostArray, " state"] = eqx.field(metadata=quantity("state"))
    margins: Float[HostArray, " state"] = eqx.field(metadata=quantity("state"))
    whole: Int[HostArray, " whole"] = eqx.field(metadata=quantity("whole"))
    eigenvalues_real: Float[HostArray, "whole mode"] = eqx.field(metadata=quantity("whole", "mode"))
    eigenvalues_imag: Float[HostArray, "whole mode"] = eqx.field(metadata=quantity("whole", "mode"))
    vertices_real: Float[HostArray, " vertex"] = eqx.field(metadata=quantity("vertex"))
    vertices_imag: Float[HostArray, " vertex"] = eqx.field(metadata=quantity("vertex"))
    vertex_state: Int[HostArray, " vertex"] = eqx.field(metadata=quantity("vertex"))
    vertex_curve: Int[HostArray, " vertex"] = eqx.field(metadata=quantity("vertex"))

    @property
    def eigenvalues(self) -> Complex[HostArray, "whole mode"]:
        """The complex eigenvalues at the states named by ``whole``."""
        return self.eigenvalues_real + 1j * self.eigenvalues_imag

    def boundary(self, state: int) -> tuple[Complex[HostArray, " vertex"], ...]:
        """Return the closed curves of the theory's boundary at a state (its place in steps)."""
        mine = self.vertex_state == state
        curves = self.vertex_curve[mine]
        vertices = self.vertices_real[mine] + 1j * self.vertices_imag[mine]
        return tuple(vertices[curves == each] for each in range(int(curves.max(initial=-1)) + 1))


class _State(NamedTuple):
    step: int
    edge: float
    theory: float
    outside: int
    margin: float
    eigenvalues: HostArray | None
    curves: tuple[HostArray, ...]


def spectra_of(
    run: LayerRun, *, states: int, whole: int
) -> tuple[Spectra, Status, tuple[str, ...]]:
    """Compute eigenvalues of the Jacobian at states spread over the run, and theory's boundary.

    Parameters
    ----------
    run
        The layer's run.
    states
        Number of states; sequences take turns.
    whole
        At how many of them all eigenvalues are computed, at the others leading ones by Arnoldi's
        method.

    Returns
    -------
    Spectra
    Status
        NOT_CONVERGED if a leading edge or a boundary is not exact.
    tuple of str
        Notes.
    """
    steps = spread_over(run.length, states)
    full = spread_over(len(steps), whole)
    found, status, notes = [], Status.OK, []
    for place, step in enumerate(steps):
        each, exact = _at(run, int(step), place % run.sequences, place in full)
        found.append(each)
        status = status if exact else Status.NOT_CONVERGED
    if len(full) < len(steps):
        notes.append(
            f"All eigenvalues at {len(full)} of {len(steps)} states, leading ones at the others."
        )
    if status is not Status.OK:
        notes.append("A leading eigenvalue or a boundary is known to fewer digits than asked for.")
    values = np.array([each.eigenvalues for each in found if each.eigenvalues is not None])
    curves = [curve for each in found for curve in each.curves]
    sizes = [len(curve) for curve in curves]
    vertices = np.concatenate([np.zeros(0, complex), *curves])
    state = [place for place, each in enumerate(found) for _ in each.curves]
    number = [index for each in found for index, _ in enumerate(each.curves)]
    return (
        Spectra(
            steps=np.asarray(steps),
            leading_edges=np.array([each.edge for each in found]),
            theory_edges=np.array([each.theory for each in found]),
            outside=np.array([each.outside for each in found]),
            margins=np.array([each.margin for each in found]),
            whole=np.asarray(full),
            eigenvalues_real=np.real(values),
            eigenvalues_imag=np.imag(values),
            vertices_real=np.real(vertices),
            vertices_imag=np.imag(vertices),
            vertex_state=np.repeat(np.array(state, int), sizes),
            vertex_curve=np.repeat(np.array(number, int), sizes),
        ),
        status,
        tuple(notes),
    )


def _at(run: LayerRun, step: int, sequence: int, full: bool) -> tuple[_State, bool]:
    state, inputs = run.states[sequence, step], run.inputs(sequence)
    units = linearise(run.network, state, inputs=inputs, time=step)
    boundary = spectral_boundary(units, resolution=_RESOLUTION, throw=False)
    vertices = boundary.vertices_real + 1j * boundary.vertices_imag
    extent = np.ptp(np.real(vertices)) + np.ptp(np.imag(vertices)) if vertices.size else 0.0
    # A quarter of both widths: the radius, where the support is a disc.
    margin = spectral_margin(run.network.n) * extent / 4
    found = edge_at(run, step, sequence, full)
    outside = -1
    if found.complete:
        beyond = found.eigenvalues[~boundary.contains(found.eigenvalues)]
        outside = int(np.sum(distances(beyond, boundary.curves) > margin)) if beyond.size else 0
    values = found.eigenvalues if full else None
    theory = float(boundary.leading_edge)
    known = found.exact and boundary.status is Status.OK
    return _State(step, found.edge, theory, outside, margin, values, boundary.curves), known


class Edge(NamedTuple):
    """The leading edge at a state, the eigenvalues known there, if all, and if exact."""

    edge: float
    eigenvalues: Complex[HostArray, " mode"]
    complete: bool
    exact: bool


def edge_at(run: LayerRun, step: int, sequence: int, full: bool) -> Edge:
    """Return the leading edge at a state of a run, from all eigenvalues or by Arnoldi's method."""
    state, inputs = run.states[sequence, step], run.inputs(sequence)
    if full or state.size <= _MODES + 2:
        values = network_spectrum(run.network, state, inputs=inputs, time=step).eigenvalues
        return Edge(float(np.max(np.abs(values))), values, complete=True, exact=True)
    modes = leading_modes(
        run.network,
        state,
        _MODES,
        inputs=inputs,
        time=step,
        tolerance=_TOLERANCE,
        max_products=_PRODUCTS,
        throw=False,
    )
    sizes = np.abs(modes.eigenvalues)
    edge = float(sizes.max()) if sizes.size else np.nan
    return Edge(edge, modes.eigenvalues, complete=False, exact=modes.status is Status.OK)


def distances(
    points: Complex[HostArray, " point"], curves: tuple[HostArray, ...]
) -> Float[HostArray, " point"]:
    """Return the distance of points to the nearest of some closed polygons, infinite without."""
    best = np.full(points.shape, np.inf)
    for curve in curves:
        ahead = np.roll(curve, -1) - curve
        length = np.maximum(np.abs(ahead) ** 2, np.finfo(float).tiny)
        offset = points[:, None] - curve
        along = np.clip(np.real(offset * np.conj(ahead)) / length, 0.0, 1.0)
        best = np.minimum(best, np.min(np.abs(offset - along * ahead), axis=1))
    return best
