"""Units at a fixed point as the count of fixed points sees them: fields, outputs, responses."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractMap, GatedRNN, VanillaRNN, unit_blocks
from gatefield.cells.base import over_units, stacked_outputs
from gatefield.core.types import Float, HostArray
from gatefield.numerics.gaussian import clustered_rule
from gatefield.theory.static import Gates, StaticMeanField, gates_of
from gatefield.theory.static.sampled import sampled_units

_NEGLIGIBLE = 1e-22  # a pair of quadrature nodes of less weight changes no digit


class FieldUnits(NamedTuple):
    r"""Weighted units, each at the fixed point of its rule for Gaussian fields u = J y.

    Attributes
    ----------
    names
        The K fields that matter.
    fields, outputs
        u_a and y_a of each unit, (K, M).
    responses
        :math:`Y_{ab} = g_a\,dy_a/du_b` along the fixed points of the unit's rule, (K, K, M), with
        the gain g_a of the field's couplings.
    weights
        (M,), summing to one.
    variances
        <u_a^2> over the Gaussian, (K,).
    gains
        Gains of the fields, (K,).
    """

    names: tuple[str, ...]
    fields: Float[HostArray, "field sample"]
    outputs: Float[HostArray, "field sample"]
    responses: Float[HostArray, "field field sample"]
    weights: Float[HostArray, " sample"]
    variances: Float[HostArray, " field"]
    gains: Float[HostArray, " field"]

    @property
    def second_moments(self) -> Float[HostArray, "field field"]:
        """M_ab = <Y_ab^2>, whose spectral radius is above one where fixed points are many."""
        return np.einsum("abn,abn,n->ab", self.responses, self.responses, self.weights)


def has_quadrature(mean_field: StaticMeanField) -> bool:
    """Whether the units are known in closed form, so that averages need no samples."""
    cell = mean_field.cell
    return mean_field.method == "gaussian" and isinstance(cell, (GatedRNN, VanillaRNN))


def quadrature_units(mean_field: StaticMeanField, spacing: float = 0.16) -> FieldUnits:
    r"""Return the gated RNN's units on a product rule for its two Gaussian arguments.

    The update gate plays no part in the count. Of the fields h and r,

    .. math:: Y = \begin{pmatrix} \phi'\sigma_r & \phi\,\sigma_r' \\ \phi' & 0 \end{pmatrix} .

    Parameters
    ----------
    mean_field
        In closed form; random biases and static inputs add to the arguments.
    spacing
        Of the quadrature rule, see `gatefield.numerics.gaussian`: halving it squares its error,
        which is 1e-13 at the default.

    Returns
    -------
    FieldUnits
        Fields "h" and "r", or "h" alone where the output gate does not vary.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. J5-J10.
    """
    cell: Any = mean_field.cell
    with jax.enable_x64(True):
        gates = Gates(*(float(each) for each in gates_of(cell, mean_field.conditions)))
        variance = float(mean_field.variance["h"])
        gated = isinstance(cell, GatedRNN)
        activity = float(mean_field.field_variance["r"]) if gated else 0.0
        varies = gated and (gates.alpha_r > 0 or gates.r_bias > 0)
        # Small radii need more nodes; along one axis they cost nothing.
        spacing = spacing if varies else spacing / 2
        h, h_weights = _nodes(gates.h_mean, gates.g**2 * variance + gates.h_bias, spacing)
        r_variance = gates.alpha_r**2 * (activity + gates.r_input) + gates.r_bias
        r, r_weights = _nodes(gates.r_mean, r_variance, spacing)
    weights = h_weights[:, None] * r_weights
    kept = weights > _NEGLIGIBLE
    pairs = [np.broadcast_to(each, weights.shape)[kept] for each in (h[:, None], r)]
    phi, slope = np.tanh(pairs[0]), gates.g / np.cosh(np.clip(pairs[0], -300, 300)) ** 2
    gate = 1 / (1 + np.exp(-np.clip(pairs[1], -700, 700)))
    gate_slope = gates.alpha_r * gate / (1 + np.exp(np.clip(pairs[1], -700, 700)))
    zero = np.zeros_like(phi)
    Y = np.array([[slope * gate, phi * gate_slope], [slope, zero]])
    fields = np.array([(pairs[0] - gates.h_mean) / (gates.g or 1.0), zero])
    if gates.alpha_r > 0:
        fields[1] = (pairs[1] - gates.r_mean) / gates.alpha_r
    used = 2 if gated and gates.alpha_r > 0 else 1
    values = np.array([float(mean_field.field_variance["h"]), activity])
    return FieldUnits(
        names=("h", "r")[:used],
        fields=fields[:used],
        outputs=np.array([phi * gate, phi])[:used],
        responses=Y[:used, :used],
        weights=weights[kept] / weights[kept].sum(),
        variances=values[:used],
        gains=np.ones(used),
    )


def _nodes(mean: float, variance: float, spacing: float) -> tuple[HostArray, HostArray]:
    """Return values of a Gaussian argument and their weights; one value without variance."""
    if variance <= 0:
        return np.array([mean]), np.ones(1)
    deviation = np.sqrt(variance)
    nodes, weights = (
        np.asarray(each) for each in clustered_rule(-mean / deviation, spacing=spacing)
    )
    kept = weights > _NEGLIGIBLE
    return mean + deviation * nodes[kept], weights[kept]


def drawn_units(mean_field: StaticMeanField, samples: int, seed: int) -> FieldUnits:
    r"""Return quasi-random units of any cell, with :math:`Y = Q - R A^{-1} L` (maps: A - 1).

    Parameters
    ----------
    mean_field
        Of either method.
    samples, seed
        Number of units (rounded up to a power of two) and seed.

    Returns
    -------
    FieldUnits
    """
    cell = mean_field.cell
    units = sampled_units(mean_field, samples=samples, seed=seed)
    with jax.enable_x64(True):
        found = _responses(cell, *(jnp.asarray(each) for each in units))
        outputs, Y = (np.asarray(each) for each in found)
    gains = np.array([float(cell.gains()[name]) for name in cell.field_names])
    return FieldUnits(
        names=cell.field_names,
        fields=units.fields,
        outputs=outputs,
        responses=gains[:, None, None] * np.moveaxis(Y, 0, -1),
        weights=np.full(outputs.shape[-1], 1 / outputs.shape[-1]),
        variances=np.array([float(mean_field.field_variance[name]) for name in cell.field_names]),
        gains=gains,
    )


@eqx.filter_jit
def _responses(cell: Any, state: Any, fields: Any, drive: Any) -> tuple[Any, Any]:
    """Return the outputs (K, M), and how they follow the fields, (M, K, K)."""
    blocks = unit_blocks(cell, state, fields, drive)
    own = blocks.A - jnp.eye(blocks.A.shape[-1]) if isinstance(cell, AbstractMap) else blocks.A
    Y = blocks.Q - blocks.R @ jnp.linalg.solve(own, blocks.L)
    return over_units(stacked_outputs, cell, state, fields, drive), Y
