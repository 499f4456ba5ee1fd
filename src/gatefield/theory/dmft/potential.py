r"""The potential method: C_h(t) as a particle, for gates that follow at once (tau_z, tau_r -> 0).

With C_z = C_phi + V_z and C_r = C_phi + V_r (static inputs) the equation of C_h reads
C_h'' = -f(C_h; C0) with

.. math::

    f(C; C_0) = C_{\sigma_z}(C_{\sigma_r} C_\phi - C) + V_h \quad\text{or}\quad
    f(C; C_0) = C_{\sigma_z}(C_{\sigma_r} C_\phi + V_h - C) ,

the first where the input to h is not gated (``input_gating="none"``), the second where it is
("update"). The particle starts at rest at C0, where f > 0, and comes to rest at the plateau
:math:`C_\infty`, where f = 0: the energy condition :math:`\int_{C_\infty}^{C_0} f\,dC = 0` fixes
C0 (Sompolinsky, Crisanti and Sommers 1988; Eqs. G5-G7 of the paper). The plateau is zero without
biases and input. For the vanilla network, which has no gates, this is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from gatefield.cells import AbstractCell
from gatefield.cells.base import check_cell
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.numerics.half_line import barycentric, chebyshev
from gatefield.theory.dmft.gated_form import GatedForm, gated_form, gaussian_inputs

_COARSE = 72  # values of C0 that are tried first
_ROWS = 16  # values of C0 in the search, at least, for which the whole force is evaluated at a time
_NODES = 72  # of the polynomial that stands for the force
_GAUSS = 48  # nodes of the rule for the energy: exact for that polynomial
_ORBIT_END, _ORBIT_POINTS = 25.0, 800  # of w: sech^2 w falls to 1e-21, in steps that leave 1e-3
_LEAST_CURVATURE = 1e-14  # of the potential at the plateau: less is rounding


class PotentialSolution(NamedTuple):
    """A moving state for tau_z, tau_r -> 0.

    Attributes
    ----------
    variance
        C_h(0) about the mean.
    plateau
        C_h(infinity).
    energy
        Violation of the energy condition, relative to C_h(0)^2.
    """

    variance: float
    plateau: float
    energy: float


def potential_solutions(
    cell: AbstractCell, inputs: Mapping[str, GaussianInput | float] | None = None
) -> tuple[PotentialSolution, ...]:
    r"""Return every moving state of a gated or vanilla RNN by the potential method, ascending.

    Solves :math:`\int_{C_\infty}^{C_0} f(C; C_0)\,dC = 0` with :math:`f(C_\infty; C_0) = 0`.

    Parameters
    ----------
    cell
        GatedRNN or VanillaRNN with shared parameters; its tau_z and tau_r are taken to zero.
    inputs
        Static Gaussian inputs, or constants, by drive name.

    Returns
    -------
    tuple of PotentialSolution
        Empty where nothing moves. Beside a stable fixed point (region 3) the smaller of two is
        unstable.

    Raises
    ------
    InvalidInputError
        For a cell without this theory, or an input that varies in time.

    Assumptions
    -----------
    tau_z, tau_r << 1. Exact for alpha_z = 0 and for the vanilla network; otherwise separable.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. C22-C24, G5-G7.
    """
    check_cell(cell)
    form = gated_form(cell, gaussian_inputs(cell, inputs))
    if not form.static_input:
        remedy = "Use solve_dmft, which solves the lag equations."
        refuse("inputs", inputs, "inputs that are constant in time", remedy)
    return moving_states(form)


def moving_states(form: GatedForm) -> tuple[PotentialSolution, ...]:
    """Return every root of the energy condition, ascending in C_h(0)."""
    trial = _trials(form)
    if trial.size == 0:
        return ()
    below = 1.0 - _nodes() ** 4
    rows = []
    for part in np.array_split(trial, -(-trial.size // _ROWS)):
        values = force(
            form, part[:, None] * below, np.broadcast_to(part[:, None], (part.size, _NODES))
        )
        rows += [Particle.of(c, row) for c, row in zip(part, values, strict=True)]
    energy = np.array([row.energy / row.variance**2 for row in rows])
    brackets = [
        (trial[i], trial[i + 1])
        for i in np.flatnonzero(np.sign(energy[1:]) != np.sign(energy[:-1]))
    ]
    brackets += _narrow(form, trial, energy)
    roots = (_root(form, low, high) for low, high in brackets)
    return tuple(sorted(root for root in roots if root is not None))


def _trials(form: GatedForm) -> HostArray:
    """Return values of C0 between which every root lies, without evaluating whole forces.

    A particle starts downhill only if f(C0) > 0, and is slowed down at all only if the drive at
    C = 0, its least value, is below C0.
    """
    plain = all(each.kind != "biased" for each in (form.phi, form.gate_z, form.gate_r))
    rate = 1.0 if form.inside else form.gate_z.average(form.input_variance[1])
    least = form.input_variance[0] / max(rate, 1e-12) ** 2
    coarse = least + np.geomspace(1e-9, 1.001, _COARSE)
    lowest = force(form, np.zeros_like(coarse), coarse, at=coarse)
    highest = force(form, coarse, coarse)
    # 2 above the largest static variance, 0 where nothing slows the particle down, 1 between.
    kind = np.where(highest <= 0, 2, np.where(lowest >= 0, 0, 1))
    alive = np.flatnonzero((kind[1:] == 1) | (kind[:-1] == 1) | (kind[1:] != kind[:-1]))
    if alive.size == 0:
        return np.zeros(0)
    # A biased two-point function costs a hundred times as much as one without bias.
    parts = int(np.ceil((_ROWS if plain else 1) * _ROWS / alive.size))
    step = np.arange(parts) / parts
    inner = coarse[alive, None] * (coarse[alive + 1] / coarse[alive])[:, None] ** step
    return np.unique(np.concatenate([inner.ravel(), coarse[alive + 1]]))


def _narrow(form: GatedForm, trial: HostArray, energy: HostArray) -> list[tuple[float, float]]:
    """Return brackets of pairs of roots that lie between two trials, as beside a transition."""
    found = []
    for i in range(1, trial.size - 1):
        three = energy[i - 1 : i + 2]
        sign = np.sign(three[1])
        if not np.all(np.isfinite(three)) or np.any(np.sign(three) != sign):
            continue
        if abs(three[1]) > min(abs(three[0]), abs(three[2])):
            continue
        best: Any = minimize_scalar(
            lambda c, sign=sign: sign * _energy(form, c),
            bounds=(trial[i - 1], trial[i + 1]),
            method="bounded",
            options={"xatol": 1e-9 * trial[i]},
        )
        if best.fun < 0:
            found += [(trial[i - 1], best.x), (best.x, trial[i + 1])]
    return found


def _energy(form: GatedForm, variance: float) -> float:
    """Return the energy at the plateau relative to C0^2, cut off at +-1000."""
    return float(np.clip(particle(form, variance).energy / variance**2, -1e3, 1e3))


def _root(form: GatedForm, low: float, high: float) -> PotentialSolution | None:
    if np.sign(_energy(form, low)) == np.sign(_energy(form, high)):
        return None
    root: Any = brentq(lambda value: _energy(form, value), low, high, xtol=1e-15 * high)
    variance = float(root)
    found = particle(form, variance)
    # Where a plateau appears or ends the energy jumps through zero: no root.
    if not abs(found.energy) < 1e-8 * variance**2:
        return None
    # The energy once more, by a rule of its own.
    y, weight = np.polynomial.legendre.leggauss(_GAUSS)
    span = variance - found.plateau
    y, weight = 0.5 * (y + 1.0), 0.5 * weight
    rest = span * (4 * y**3 * weight) @ force(form, variance - span * y**4, variance)
    return PotentialSolution(variance, found.plateau, float(abs(rest)) / variance**2)


def force(
    form: GatedForm,
    covariance: Float[HostArray, "..."],
    variance: Float[HostArray, "..."] | float,
    *,
    at: Float[HostArray, "..."] | None = None,
) -> Float[HostArray, "..."]:
    r"""Return the force on the particle, elementwise.

    .. math:: f(C; C_0) = C_{\sigma_z}(C_{\sigma_r} C_\phi - C') + V_h \quad\text{or}\quad
        C_{\sigma_z}(C_{\sigma_r} C_\phi + V_h - C')

    with correlators of C, and C' = C unless ``at`` gives it.
    """
    V_h, V_z, V_r = (float(each[0]) for each in form.input(np.zeros(1)))
    C_phi = form.phi(covariance, variance)[0]
    start = form.phi(np.asarray(variance), variance)[0]
    C_sz = form.gate_z(C_phi + V_z, start + V_z)[0]
    C_sr = form.gate_r(C_phi + V_r, start + V_r)[0]
    drive = C_sr * C_phi
    pulled = covariance if at is None else at
    if form.inside:
        return C_sz * (drive + V_h - pulled)
    return C_sz * (drive - pulled) + V_h


def _nodes() -> HostArray:
    """Return y in [0, 1], ascending; C = C0 (1 - y^4) is dense where a steep gate leaves a root."""
    return 0.5 * (1.0 + chebyshev(_NODES)[0])


class Particle(NamedTuple):
    """The force on a particle that starts at C0, as a polynomial in y with C = C0 (1 - y^4).

    Attributes
    ----------
    variance
        C0.
    values
        The force at the nodes.
    plateau
        Where it comes to rest if the energy is right.
    energy
        int f dC from there to C0. Above the largest static variance the particle is not held at the
        start (minus infinity); without a restoring force it is not stopped either (infinity).
    """

    variance: float
    values: Float[HostArray, " node"]
    plateau: float
    energy: float

    @classmethod
    def of(cls, variance: float, values: Float[HostArray, " node"]) -> Particle:
        """Find plateau and energy from the force at the nodes."""
        if values[0] <= 0:
            return cls(variance, values, 0.0, -np.inf)
        # Denser than the nodes, which are among them.
        dense = np.sort(np.concatenate([_nodes(), np.linspace(0.0, 1.0, 2 * _NODES)]))
        found = _polynomial(values, dense)
        falls = np.flatnonzero(found < 0)
        if falls.size == 0:
            return cls(variance, values, 0.0, np.inf)
        after = falls[0] + np.flatnonzero(found[falls[0] :] >= 0)
        end = 1.0
        # At C = 0 the force is zero, to rounding, or positive.
        if after.size and (after[0] < dense.size - 1 or values[-1] > 1e-15 * variance):
            low, high = dense[after[0] - 1], dense[after[0]]
            stop: Any = brentq(lambda y: _polynomial(values, np.array([y]))[0], low, high)
            end = float(stop)
        y, weight = np.polynomial.legendre.leggauss(_GAUSS)
        y, weight = 0.5 * end * (y + 1.0), 0.5 * end * weight
        energy = variance * (4 * y**3 * weight) @ _polynomial(values, y)
        return cls(variance, values, variance * (1.0 - end**4), float(energy))

    def force(self, covariance: Float[HostArray, " point"]) -> Float[HostArray, " point"]:
        """Return f at values of C between 0 and C0."""
        y = np.clip(1.0 - covariance / self.variance, 0.0, 1.0) ** 0.25
        return _polynomial(self.values, y)


def _polynomial(values: Float[HostArray, " node"], y: HostArray) -> HostArray:
    """Return at y the polynomial through the values at the nodes."""
    return barycentric(_nodes(), y) @ values


def particle(form: GatedForm, variance: float) -> Particle:
    """Return the particle that starts at C0."""
    covariance = variance * (1.0 - _nodes() ** 4)
    return Particle.of(variance, force(form, covariance, variance))


def orbit(
    form: GatedForm, solution: PotentialSolution, lags: Float[HostArray, " lag"]
) -> HostArray:
    r"""Return C_h at the lags to about 1e-3: how long the particle has been on its way.

    .. math::

        t(C) = \int_C^{C_0} \frac{dC'}{\sqrt{2 E(C')}} , \quad
        E(C) = \int_C^{C_0} f(C'; C_0)\,dC' , \quad
        C = C_\infty + (C_0 - C_\infty)\,\mathrm{sech}^2 w

    The substitution removes the singularity at the start; on a tail of rate k, w is k t / 2 beside
    a constant.
    """
    w = np.linspace(0.0, _ORBIT_END, _ORBIT_POINTS)
    u = 1.0 / np.cosh(w) ** 2
    span = solution.variance - solution.plateau
    values = particle(form, solution.variance).force(solution.plateau + span * u)
    work = values * span * 2 * u * np.tanh(w) * w[1]
    above = np.concatenate([[0.0], np.cumsum(0.5 * (work[1:] + work[:-1]))])
    # In the tail E is a small difference of large terms: it is kept near (k (C - plateau))^2 / 2.
    tail = 0.5 * (decay_rate(form, solution) * span * u) ** 2
    kinetic = np.where(u > 0.5, above, np.maximum(above - above[-1], 0.1 * tail))
    speed = 2.0 * span * u * np.tanh(w) / np.sqrt(2 * np.maximum(kinetic, 1e-300))
    speed[0] = span * np.sqrt(2.0 / (span * max(values[0], 1e-300)))
    time = np.concatenate([[0.0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * w[1])])
    return solution.plateau + span / np.cosh(np.interp(lags, time, w)) ** 2


def decay_rate(form: GatedForm, solution: PotentialSolution) -> float:
    r"""Return the rate at which C_h approaches its plateau, a small one where it barely does.

    .. math:: k = \sqrt{-f'(C_\infty; C_0)} , \quad C_h - C_\infty \sim e^{-kt}
    """
    span = solution.variance - solution.plateau
    step = 1e-5 * span
    ends = force(form, solution.plateau + np.array([0.0, step]), solution.variance)
    return float(np.sqrt(max(-(ends[1] - ends[0]) / step, _LEAST_CURVATURE)))


def core_time(form: GatedForm, solution: PotentialSolution) -> float:
    r"""Return the time over which C_h leaves its maximum.

    .. math:: t_c = \sqrt{(C_0 - C_\infty) / f(C_0; C_0)} , \quad
        C_h \approx C_0 - (C_0 - C_\infty)\,(t / t_c)^2 / 2
    """
    start = force(form, np.array([solution.variance]), solution.variance)[0]
    return float(np.sqrt((solution.variance - solution.plateau) / max(start, 1e-300)))
