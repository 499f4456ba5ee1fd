"""Gradients of small networks by differentiating their unrolled runs: what theory must meet."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import gatefield as gf
from gatefield.networks.network import change, compilable


class Power(gf.AbstractMap):
    """x' = keep x + J x, with J of variance gain^2 / N."""

    gain: Any = 1.0
    keep: Any = 0.0

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ("x",)

    def gains(self):
        return {"x": self.gain}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": self.keep * state["x"] + fields["x"] + drive["x"]}


class Wrapped(Power):
    """A cell whose parameters are those of a part of it."""

    gain: None = None
    keep: None = None
    part: Power = Power(1.2, keep=0.4)

    def gains(self):
        return self.part.gains()

    def rule(self, state, fields, drive):
        return self.part.rule(state, fields, drive)


class Taken(Power):
    """A parameter called as the gradient by the couplings is."""

    J_x: Any = 0.5

    def gains(self):
        return {"x": self.J_x}


class Words(gf.AbstractMap):
    """x' = (J^b J^a + J^a + J^c) x: the output for b is the field a, and c reads what a reads."""

    gain_a: Any = 0.8
    gain_b: Any = 0.5
    gain_c: Any = 0.7

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("a", "b", "c")
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"a": self.gain_a, "b": self.gain_b, "c": self.gain_c}

    def outputs(self, state, fields, drive):
        x = state["x"]
        return {"a": x, "b": fields["a"], "c": x}

    def rule(self, state, fields, drive):
        return {"x": fields["a"] + fields["b"] + fields["c"]}


class Decay(gf.AbstractFlow):
    """dx/dt = b - k x, without a coupling that acts."""

    k: Any = 0.7
    b: Any = 1.3

    state_names: ClassVar[tuple[str, ...]] = ("x",)
    field_names: ClassVar[tuple[str, ...]] = ("x",)
    drive_names: ClassVar[tuple[str, ...]] = ()

    def gains(self):
        return {"x": 0.0}

    def outputs(self, state, fields, drive):
        return {"x": state["x"]}

    def rule(self, state, fields, drive):
        return {"x": self.b - self.k * state["x"] + fields["x"]}


class Run(NamedTuple):
    """A network, where its window begins, and how it steps."""

    network: gf.Network
    state: Any
    dt: Any
    is_map: bool

    def step(self, cell, couplings, state):
        """Return the next state of the network with other parameters and couplings."""
        network = gf.Network(cell, couplings, self.network.wiring)
        drive = jnp.zeros((len(cell.drive_names), state.shape[-1]))
        changed = change(network, state, drive)
        return changed if self.is_map else state + self.dt * changed


def started(cell, n, seed, *, dt, burn_in):
    """Return a network of n units after so many steps of Euler's method from a random state."""
    network = compilable(gf.Network.sample(cell, n, seed=seed))
    state = np.random.default_rng(1000 + seed).standard_normal((len(cell.state_names), n))
    run = Run(network, jnp.asarray(state), dt, isinstance(cell, gf.AbstractMap))
    return run._replace(state=_later(run, burn_in))


@eqx.filter_jit
def _later(run, steps):
    one = lambda _, state: run.step(run.network.cell, run.network.couplings, state)  # noqa: E731
    return jax.lax.fori_loop(0, steps, one, run.state)


def sensitivities(run, steps, name):
    """Return the mean of v_c^2 over units, (steps, d), for a parameter that all units share."""
    leaves, tree = jax.tree.flatten(run.network.cell)
    known = [path[0].name for path, _ in jax.tree_util.tree_leaves_with_path(run.network.cell)]
    along = [jnp.asarray(float(each == name), jnp.float64) for each in known]
    assert sum(float(each) for each in along) == 1.0 and len(leaves) == len(along)
    return np.asarray(_sensitivities(run, jax.tree.unflatten(tree, along), jnp.zeros(steps)))


@eqx.filter_jit
def _sensitivities(run, along, steps):
    def states(cell):
        # The couplings hold the gains: a gain that varies scales its matrices.
        def one(state, _):
            state = run.step(cell, _scaled(run, cell), state)
            return state, state

        return jax.lax.scan(one, run.state, steps)[1]

    v = jax.jvp(states, (run.network.cell,), (along,))[1]
    return jnp.mean(v**2, axis=-1)


def _scaled(run, cell):
    """Return the couplings, rows scaled by the gains of a cell over those that drew them."""
    names, old, new = cell.field_names, run.network.cell.gains(), cell.gains()
    n, found = run.state.shape[-1], []
    for group, matrix in zip(run.network.wiring.groups, run.network.couplings, strict=True):
        rows = [jnp.broadcast_to(new[names[k]] / old[names[k]], (n,)) for k in group]
        found.append(jnp.concatenate(rows)[:, None] * matrix.reshape(-1, n))
    return type(run.network.couplings)(
        each.reshape(was.shape) for each, was in zip(found, run.network.couplings, strict=True)
    )


def gradients(run, steps, loss, seed=0):
    """Return a_c^2 by time before the end (steps + 1, d), and squared gradients by name.

    ``loss`` is "quadratic", |first component|^2 / 2, or "readout", by random weights.
    """
    n = run.state.shape[-1]
    weights = jnp.asarray(np.random.default_rng(2000 + seed).standard_normal(n))
    a, by_cell, by_couplings = _gradients(
        run, jnp.zeros((steps + 1, *run.state.shape)), loss, weights
    )
    found, names = {}, run.network.cell.field_names
    for group, matrix in zip(run.network.wiring.groups, by_couplings, strict=True):
        for field, each in zip(group, np.asarray(matrix).reshape(len(group), -1), strict=True):
            found[f"J_{names[field]}"] = float(np.sum(each**2)) / n**2
    for path, each in jax.tree_util.tree_leaves_with_path(by_cell):
        found[path[0].name] = float(np.mean(np.asarray(each) ** 2))
    return np.asarray(a), found


@eqx.filter_jit
def _gradients(run, pushes, loss, weights):
    n = run.state.shape[-1]
    units = jax.tree.map(lambda each: jnp.full((n,), each), run.network.cell)

    def lost(cell, couplings, pushes):
        relative = _scaled(
            run._replace(network=gf.Network(run.network.cell, couplings, run.network.wiring)), cell
        )

        def one(state, push):
            return run.step(cell, relative, state) + push, None

        end, _ = jax.lax.scan(one, run.state + pushes[0], pushes[1:])
        return jnp.sum(end[0] ** 2) / 2 if loss == "quadratic" else jnp.sum(weights * end[0])

    by_cell, by_couplings, a = jax.grad(lost, argnums=(0, 1, 2))(
        units, run.network.couplings, pushes
    )
    return jnp.mean(a[::-1] ** 2, axis=-1), by_cell, by_couplings


def mean_and_error(values):
    """Return the mean over the first axis and its standard error."""
    values = np.asarray(values)
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))


def agree(found, errors, expected, expected_errors=0.0, *, largest=0.1):
    """Check numbers: within 4.5 standard errors, which are at most ``largest`` of the largest.

    Student's distribution of 15 degrees passes 4.5 in 1 of 2,400 comparisons, of which a test makes
    some tens, strongly correlated.
    """
    found, expected = np.asarray(found), np.asarray(expected)
    errors = np.hypot(errors, expected_errors)
    assert np.all(errors > 0) and np.max(errors) < largest * np.max(np.abs(expected))
    np.testing.assert_array_less(np.abs(found - expected), 4.5 * errors)
