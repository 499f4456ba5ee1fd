"""Static theory of the gated and the vanilla RNN with implicit gradients, in closed form."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from gatefield.cells import GatedRNN
from gatefield.initialise.free import Family
from gatefield.initialise.prediction import Prediction, chosen_branch, memory
from gatefield.numerics.beyond_poles import outermost
from gatefield.theory.rmt.gated import log_update_response
from gatefield.theory.static import StaticConditions, gates_of, static_branches, static_point
from gatefield.theory.static.moments import activation_moments, gate_moments

_SLOWEST = 4.0  # standard deviations of the gate's argument, as `spectral_boundary`
_QUANTILES = (-4.0, 4.0, 17)
_HAIR, _THIN = 1e-3, 5e-5  # as `spectral_boundary` at its own resolution
_STEP = 1e-5


class GaussianFamily(eqx.Module):
    """Gated or vanilla RNNs of a family, with their static inputs.

    Attributes
    ----------
    family
        The cells by values of the free parameters.
    mean, variance
        Of the static input to each drive, by name.
    """

    family: Family
    mean: dict[str, Any]
    variance: dict[str, Any]

    def gates(self, theta: Any) -> Any:
        """Return the static equations at values of the free parameters."""
        cell: Any = self.family.at(theta)
        spreads = self.family.spreads(theta)
        bias = {name: spreads.get(name, 0.0) ** 2 for name in cell.drive_names}
        return gates_of(cell, StaticConditions(self.mean, self.variance, bias))

    def lags(self, theta: Any) -> Any:
        """Return tau_z and tau_r."""
        cell: Any = self.family.at(theta)
        both = (cell.tau_z, cell.tau_r) if isinstance(cell, GatedRNN) else (1.0, 1.0)
        return jnp.stack([jnp.asarray(each, float) for each in both])


class _Moments(NamedTuple):
    """What the spectral curve depends on (Eq. 5), and the other static quantities."""

    variance: Any
    radius: Any
    direct: Any
    through_gate: Any
    tau_r: Any
    z_mean: Any
    z_variance: Any
    tau_z: Any


@eqx.filter_jit
def _branches(model: GaussianFamily, theta):
    gates = model.gates(theta)
    found = static_branches(gates)
    radii = jax.vmap(lambda D: static_point(gates, D).radius)(found.variance)
    return found, radii


@eqx.filter_jit
def _moments(model: GaussianFamily, theta, place):
    """Return the moments of one branch, and their derivatives."""

    def moments(theta):
        gates, lags = model.gates(theta), model.lags(theta)
        variance = static_branches(gates).variance[place]
        phi = activation_moments(gates.h_mean, gates.g**2 * variance + gates.h_bias)
        r_variance = gates.alpha_r**2 * (phi.square + gates.r_input) + gates.r_bias
        r = gate_moments(gates.r_mean, r_variance)
        slope = gates.g**2 * phi.slope_square
        through = slope * phi.square * gates.alpha_r**2 * r.slope_square
        z_variance = gates.alpha_z**2 * (phi.square + gates.z_input) + gates.z_bias
        direct = slope * r.square
        total = direct + through
        # At zero gain the root has no slope of its own.
        radius = jnp.where(total > 0, jnp.sqrt(jnp.where(total > 0, total, 1.0)), 0.0)
        rows = [variance, radius, direct, through, lags[1], gates.z_mean, z_variance, lags[0]]
        return jnp.stack([jnp.asarray(row, float) for row in rows])

    return moments(theta), jax.jacfwd(moments)(theta)


def predict(
    model: GaussianFamily,
    theta: Any,
    names: tuple[str, ...],
    *,
    branch: str,
    quantile: float,
) -> Prediction | None:
    """Return quantities at values of the free parameters, with implicit gradients.

    Parameters, result and errors as in `gatefield.initialise.static_sampled.predict`.
    """
    with jax.enable_x64(True):
        theta = jnp.asarray(theta, float)
        found, radii = jax.tree.map(np.asarray, _branches(model, theta))
        places = np.flatnonzero(found.found)
        which = chosen_branch([float(radii[place]) for place in places], branch)
        if which is None:
            return None
        value, jacobian = _moments(model, theta, jnp.asarray(places[which]))
    moments, jacobian = _Moments(*np.asarray(value).tolist()), np.asarray(jacobian)
    gated = isinstance(model.family.cell, GatedRNN)
    values: dict[str, float] = {}
    slopes: dict[str, Any] = {}

    def chained(function) -> Any:
        """Return the derivative of a function of the moments by the free parameters."""
        total = np.zeros(jacobian.shape[1])
        for k, at in enumerate(moments):
            if not np.any(jacobian[k]):
                continue
            step = _STEP * max(abs(at), 1e-3)
            # One-sided where a moment is zero, since none may be negative but the gate's mean.
            low = at - step if at >= step or k == 5 else at
            ends = [
                function(moments._replace(**{_Moments._fields[k]: x})) for x in (at + step, low)
            ]
            total += (ends[0] - ends[1]) / (at + step - low) * jacobian[k]
        return total

    for name in ("variance", "radius"):
        if name in names:
            values[name] = getattr(moments, name)
            slopes[name] = jacobian[_Moments._fields.index(name)]
    if "gate_time" in names:

        def gate_time(m: _Moments) -> float:
            return _gate_time(m, quantile, gated)

        values["gate_time"], slopes["gate_time"] = gate_time(moments), chained(gate_time)
    if "leading_edge" in names or "memory_time" in names:
        edge, slope = _edge(moments, chained, gated)
        if "leading_edge" in names:
            values["leading_edge"], slopes["leading_edge"] = edge, slope
        if "memory_time" in names:
            values["memory_time"], slopes["memory_time"] = memory(edge, slope, False)
    return Prediction(values, slopes, moments.radius < 1, len(places))


def _gate_time(m: _Moments, quantile: float, gated: bool) -> float:
    """Return the quantile of 1/sigma_z over units; gates that lag are slower where their tau is."""
    if not gated:
        return 1.0
    argument = m.z_mean - np.sqrt(m.z_variance) * stats.norm.ppf(quantile)
    return float(max(1 + np.exp(-argument), m.tau_z, m.tau_r))


def _slowest(m: _Moments, gated: bool) -> float:
    """Return the largest eigenvalue of a unit's own."""
    quantiles = m.z_mean + np.sqrt(m.z_variance) * np.array([-_SLOWEST, _SLOWEST])
    rates = -1 / (1 + np.exp(-quantiles))
    return float(np.max([*rates, *((-1 / m.tau_z, -1 / m.tau_r) if gated else ())]))


def _thin(m: _Moments) -> float:
    """Return how close to the real axis the support is looked at, where tails of the gate reach."""
    quantiles = m.z_mean + np.sqrt(m.z_variance) * np.linspace(*_QUANTILES)
    extent = float(np.exp(_log_gain(np.array([2.0 + 0j]), m, 0.0) / 2)[0]) + 1.0
    spread = float(np.ptp(1 / (1 + np.exp(-quantiles))))
    return float(np.clip(_HAIR * spread, 1e-12 * extent, _THIN * extent))


def _log_gain(points: Any, m: _Moments, thin: float) -> Any:
    """Return f, positive inside the support; the hair on the real axis is looked at beside it."""
    if m.direct + m.through_gate == 0:
        return np.full(np.shape(points), -np.inf)
    hair = (np.real(points) > -1) & (np.real(points) < 0) & (np.abs(np.imag(points)) < thin)
    points = np.where(hair, np.real(points) + 1j * thin, points)
    with np.errstate(divide="ignore", over="ignore"):
        through = np.log(m.through_gate) if m.through_gate > 0 else -np.inf
        through = through - 2 * np.log(np.abs(1 + m.tau_r * points))
        update = log_update_response(points, m.z_mean, m.z_variance)
        return update + np.logaddexp(np.log(m.direct), through)


def _edge(moments: _Moments, chained: Any, gated: bool) -> tuple[float, Any]:
    thin = _thin(moments)

    def function(points):
        return _log_gain(points, moments, thin)

    edge = outermost(function, [_slowest(moments, gated)], False)
    if edge.is_pole:
        return edge.value, chained(lambda m: _slowest(m, gated))
    step = _STEP * max(abs(edge.value), 1e-3)
    ahead, behind = function(np.array([edge.point + step, edge.point - step]))
    outward = (ahead - behind) / (2 * step)
    slope = chained(lambda m: float(_log_gain(np.array([edge.point]), m, _thin(m))[0]))
    return edge.value, -slope / outward
