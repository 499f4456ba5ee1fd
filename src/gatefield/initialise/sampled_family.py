"""Cells of a family with fixed samples of their fields and drives, and their units' states."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell, AbstractMap, wiring
from gatefield.cells.base import over_units, stacked_outputs, stacked_rule
from gatefield.cells.parameters import stacked_gains
from gatefield.core.types import Array
from gatefield.initialise.free import Family
from gatefield.theory.static.sampled import Samples, standard_samples

_NEWTON = 30


class SampledFamily(eqx.Module):
    """Cells of a family, with samples of their fields and drives.

    Attributes
    ----------
    family
        The cells by values of the free parameters.
    mean, deviation
        Mean and standard deviation over units of the static input to each drive.
    samples
        Standard normal numbers, the same for all cells.
    groups
        For each distinct output the fields that read it.
    """

    family: Family
    mean: Any
    deviation: Any
    samples: Samples
    groups: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    @classmethod
    def of(
        cls, family: Family, mean: Any, variance: Any, *, samples: int, seed: int
    ) -> SampledFamily:
        """Return it with so many quasi-random samples (rounded up to a power of two)."""
        with jax.enable_x64(True):
            drawn = standard_samples(family.cell, samples, seed)
        groups = wiring(family.cell).groups
        return cls(family, np.asarray(mean), np.sqrt(variance), drawn, groups)

    @property
    def is_map(self) -> bool:
        """Whether the cells are maps."""
        return isinstance(self.family.cell, AbstractMap)

    def drives(self, theta: Array) -> Array:
        """Return the drives (drive, sample), random biases included."""
        spreads = self.family.spreads(theta)
        rows = []
        for place, name in enumerate(self.family.cell.drive_names):
            spread = jnp.asarray(spreads.get(name, 0.0), float)
            square = self.deviation[place] ** 2 + spread**2
            # At zero the root has no slope of its own.
            root = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), spread)
            rows.append(self.mean[place] + root * self.samples.drives[place])
        return jnp.stack(rows) if rows else self.samples.drives

    def units(self, theta: Array, w: Array) -> tuple[AbstractCell, Array, Array, Array]:
        """Return the cell, and its units' states, fields and drives at output moments exp(w)."""
        cell = self.family.at(theta)
        group = {field: place for place, fields in enumerate(self.groups) for field in fields}
        read = jnp.array([group[field] for field in range(len(group))])
        scale = stacked_gains(cell) * jnp.exp(w[read] / 2)
        fields, drive = scale[:, None] * self.samples.fields, self.drives(theta)
        return cell, over_units(self._fixed_point, cell, fields, drive), fields, drive

    def sent(self, theta: Array, w: Array) -> Array:
        """Return the second moment of each distinct output."""
        cell, state, fields, drive = self.units(theta, w)
        outputs = over_units(stacked_outputs, cell, state, fields, drive)
        return jnp.stack([jnp.mean(outputs[group[0]] ** 2) for group in self.groups])

    def residual(self, theta: Array, w: Array) -> Array:
        """Return what vanishes where the moments are self-consistent."""
        return jnp.log(self.sent(theta, w) + 1e-300) - w

    def _fixed_point(self, unit, u, x):
        """Return the fixed point of a unit's rule by Newton's method from zero, differentiable."""

        def residual(s):
            return stacked_rule(unit, s, u, x) - (s if self.is_map else 0.0)

        held = jax.lax.stop_gradient(unit), jax.lax.stop_gradient(u), jax.lax.stop_gradient(x)

        def held_residual(s):
            return stacked_rule(held[0], s, held[1], held[2]) - (s if self.is_map else 0.0)

        def step(carry):
            s, _, count = carry
            move = solved(jax.jacfwd(held_residual)(s), held_residual(s))
            return s - move, jnp.max(jnp.abs(move)), count + 1

        def moving(carry):
            return (carry[1] > 1e-13) & (carry[2] < _NEWTON)

        start = jnp.zeros(len(self.family.cell.state_names))
        s = jax.lax.while_loop(moving, step, (start, jnp.asarray(jnp.inf), 0))[0]
        s = jax.lax.stop_gradient(s)
        return s - solved(jax.lax.stop_gradient(jax.jacfwd(held_residual)(s)), residual(s))


def solved(matrix: Array, vector: Array) -> Array:
    """Solve one small system without a library's call, which would be made for each unit."""
    if matrix.shape[-1] == 1:
        return vector / matrix[..., 0]
    if matrix.shape[-1] == 2:
        (a, b), (c, d) = matrix
        return jnp.stack([d * vector[0] - b * vector[1], a * vector[1] - c * vector[0]]) / (
            a * d - b * c
        )
    return jnp.linalg.solve(matrix, vector)
