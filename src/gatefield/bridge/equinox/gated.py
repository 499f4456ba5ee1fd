"""The paper's gated RNN as a trainable module of Equinox."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import GatedRNN as GatedCell
from gatefield.core.checks import as_number, check_choice, check_count
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Float
from gatefield.networks import Network

State = tuple[Array, Array, Array]
PARAMETERS = ("g_h", "alpha_z", "alpha_r", "beta_h", "beta_z", "beta_r")
"""The trainable parameters of the cell."""


class GatedRNN(eqx.Module):
    r"""The gated RNN of continuous time, advanced by Euler's method, one step for each input.

    .. math::

        h' = h + \Delta t\,[\sigma_z(z)\,(-h + J^h[\phi(h)\sigma_r(r)]) + W^h x], \quad
        k' = k + \Delta t\,(-k + J^k\phi(h) + W^k x) / \tau_k \quad (k = z, r)

    with :math:`\phi(x) = \tanh(g_h x + \beta_h)` and
    :math:`\sigma_k(x) = 1/(1 + e^{-\alpha_k x - \beta_k})`. This is the step of
    ``gf.simulate(module.network(), ..., method="euler")``.

    Parameters
    ----------
    input_size, hidden_size
        Number of features, and of units N.
    dt
        The step, in units of the unit's own time constant.
    tau_z, tau_r
        Time constants of the gates, in the same unit; not trained, as dt.
    input_gating
        "none": the input to h is integrated; "update": it stands inside the update gate's bracket.
    dtype
        Of all weights; by default JAX's own.
    key
        Draws the couplings and input weights, as `jax.random.key`.

    Attributes
    ----------
    J_h, J_z, J_r
        Couplings (N, N), at first normal of variance 1/N.
    W_h, W_z, W_r
        Input weights (N, features), at first uniform on :math:`\pm 1/\sqrt N`.
    g_h, alpha_z, alpha_r
        Gains, numbers; at first 2 (where the zero state loses its stability), 1 and 1.
    beta_h, beta_z, beta_r
        Biases (N,), at first zero.

    Raises
    ------
    InvalidInputError
        For sizes, steps or options that do not fit.

    Assumptions
    -----------
    Euler's method with dt below the shortest of 1, tau_z and tau_r; larger steps are refused.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 1-2.
    """

    J_h: Array
    J_z: Array
    J_r: Array
    W_h: Array
    W_z: Array
    W_r: Array
    g_h: Array
    alpha_z: Array
    alpha_r: Array
    beta_h: Array
    beta_z: Array
    beta_r: Array
    tau_z: float = eqx.field(static=True)
    tau_r: float = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    input_gating: str = eqx.field(static=True)
    input_size: int = eqx.field(static=True)
    hidden_size: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        dt: float = 0.1,
        tau_z: float = 1.0,
        tau_r: float = 1.0,
        input_gating: str = "none",
        dtype: Any = None,
        key: Any,
    ):
        self.input_size = check_count("input_size", input_size)
        self.hidden_size = check_count("hidden_size", hidden_size)
        self.dt = as_number("dt", dt, positive=True)
        self.tau_z = as_number("tau_z", tau_z, positive=True)
        self.tau_r = as_number("tau_r", tau_r, positive=True)
        shortest = min(1.0, self.tau_z, self.tau_r)
        if self.dt > shortest:
            refuse("dt", dt, f"at most {shortest:g}", "Euler's method needs a shorter step.")
        self.input_gating = check_choice("input_gating", input_gating, ("none", "update"))
        dtype = jnp.zeros(()).dtype if dtype is None else dtype
        if not jnp.issubdtype(dtype, jnp.floating):
            refuse("dtype", dtype, "a real floating type", "Pass jnp.float32.")
        n, features = self.hidden_size, self.input_size
        keys = jax.random.split(key, 6)
        self.J_h, self.J_z, self.J_r = (
            jax.random.normal(each, (n, n), dtype) / np.sqrt(n).item() for each in keys[:3]
        )
        bound = 1 / np.sqrt(n).item()
        self.W_h, self.W_z, self.W_r = (
            jax.random.uniform(each, (n, features), dtype, -bound, bound) for each in keys[3:]
        )
        self.g_h = jnp.full((), 2.0, dtype)
        self.alpha_z = self.alpha_r = jnp.ones((), dtype)
        self.beta_h = self.beta_z = self.beta_r = jnp.zeros((n,), dtype)

    def __call__(
        self, inputs: Float[Array, "time feature"], initial: State | None = None
    ) -> tuple[Float[Array, "time unit"], State]:
        """Run along a sequence; `jax.vmap` runs along many.

        Parameters
        ----------
        inputs
            (time, features).
        initial
            h, z and r, each (N,); by default zeros.

        Returns
        -------
        outputs, state
            h after each input, (time, N), and the last (h, z, r).

        Raises
        ------
        InvalidInputError
            For inputs or an initial state of another shape.
        """
        if jnp.ndim(inputs) != 2 or jnp.shape(inputs)[1] != self.input_size:
            expected = f"(time, {self.input_size})"
            refuse("inputs.shape", jnp.shape(inputs), expected, "For batches use jax.vmap.")
        n = self.hidden_size
        # All inputs in one product; in each step what each distinct output sends in another.
        received = inputs @ jnp.concatenate([self.W_h, self.W_z, self.W_r]).T
        gates = jnp.concatenate([self.J_z, self.J_r])
        zero = jnp.zeros(n, received.dtype)
        given = (zero, zero, zero) if initial is None else initial
        shapes = [jnp.shape(part) for part in given]
        if shapes != [(n,)] * 3:
            refuse("initial", shapes, f"h, z and r, each ({n},)", "Pass what a run returned.")

        def step(state: State, drive: Array) -> tuple[State, Array]:
            moved = self._step(state, drive, gates)
            return moved, moved[0]

        h, z, r = (jnp.asarray(part, received.dtype) for part in given)
        state, outputs = jax.lax.scan(step, (h, z, r), received)
        return outputs, state

    def _step(self, state: State, drive: Array, gates: Array) -> State:
        h, z, r = state
        drive_h, drive_z, drive_r = jnp.split(drive, 3)
        active = jnp.tanh(self.g_h * h + self.beta_h)
        rate = jax.nn.sigmoid(self.alpha_z * z + self.beta_z)
        opened = jax.nn.sigmoid(self.alpha_r * r + self.beta_r)
        relaxation = self.J_h @ (active * opened) - h
        if self.input_gating == "update":
            change = rate * (relaxation + drive_h)
        else:
            change = rate * relaxation + drive_h
        fields_z, fields_r = jnp.split(gates @ active, 2)
        return (
            h + self.dt * change,
            z + (self.dt / self.tau_z) * (fields_z + drive_z - z),
            r + (self.dt / self.tau_r) * (fields_r + drive_r - r),
        )

    def cell(self) -> GatedCell:
        """Return the per-unit rule with the module's present parameters."""
        own = {name: np.asarray(getattr(self, name), np.float64) for name in PARAMETERS}
        return GatedCell(**own, tau_z=self.tau_z, tau_r=self.tau_r, input_gating=self.input_gating)

    def network(self, *, dtype: str | None = None) -> Network:
        """Return the network of the same weights, copied: training on does not change it.

        Parameters
        ----------
        dtype
            "float64" or "float32"; by default the module's, "float32" for half precision.

        Returns
        -------
        Network
            A flow: time counts in units of the unit's time constant, ``dt`` of it for each input.

        Raises
        ------
        InvalidInputError
            For weights that are not finite, or gains that training has made negative.
        """
        couplings = {field: np.asarray(getattr(self, f"J_{field}"), float) for field in "hzr"}
        own = "float64" if self.J_h.dtype == jnp.float64 else "float32"
        return Network.of_couplings(self.cell(), couplings, dtype=own if dtype is None else dtype)
