"""Critical lines of the static theory: stability, fixed-point bifurcation, marginal stability.

Each line is asked in either direction: ``g_h`` in, critical alpha_r out, or ``alpha_r`` in,
critical g_h out. `phases.critical` finds them on the explicit branches of `phases.branch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gatefield.core.checks import as_parameter, check_choice
from gatefield.core.errors import refuse
from gatefield.core.types import Float, HostArray
from gatefield.numerics.newton import bisect
from gatefield.phases.critical import FOLD, MARGINAL, NEVER, STABILITY, alpha_at, gain_at
from gatefield.phases.surroundings import Surroundings, surroundings
from gatefield.theory.static.moments import gate_moments

_LARGEST_ALPHA = 1e7


def stability_line(
    g_h: Any = None,
    *,
    alpha_r: Any = None,
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
) -> Float[HostArray, "..."]:
    r"""Return where the fixed point that continues from g_h = 0 loses stability, rho = 1.

    Without biases and inputs this is the zero fixed point, unstable above
    :math:`g_h = 1/\sigma_r(0) = 2` for every alpha_r. With a static Gaussian input of variance
    var I_h, or random biases, it is the red line of the paper's Fig. 7.

    Parameters
    ----------
    g_h
        Gains at which the critical alpha_r is wanted (any shape); or None.
    alpha_r
        Gains of the output gate at which the critical g_h is wanted; or None.
    beta_h, beta_r
        Biases.
    input_variance, bias_variance
        Variances of static inputs and of random biases, by name ("h", "r").

    Returns
    -------
    array
        For ``alpha_r``: the g_h above which the fixed point is unstable. For ``g_h``: the smallest
        alpha_r above which it is; 0 where it is unstable already at alpha_r = 0, and infinity
        where no alpha_r up to 1e7 destabilises it.

    Raises
    ------
    InvalidInputError
        If both or neither of g_h and alpha_r are given, or values do not make sense.

    Assumptions
    -----------
    Fixed points, N -> infinity; inputs to h inside the update gate's bracket
    (``input_gating="update"``). alpha_z, tau_z and tau_r play no part. With a shut output gate
    (beta_r <= -1.5), a weak bias (beta_h up to 0.08) and alpha_r >= 3 the stable branch ends in a
    fold instead, at a g_h up to 2.6 per cent above the line that is returned.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 6, H1; Figs. 7, 13.
    """
    around = surroundings(beta_h, beta_r, input_variance, bias_variance)
    given, by_alpha = _one_of(g_h, alpha_r)
    with jax.enable_x64(True):
        if not around.has_sources:
            return _zero_line(given, by_alpha, around)
        if by_alpha:
            return _shaped(given, lambda flat: gain_at(flat, around, STABILITY))
        return _shaped(given, lambda flat: alpha_at(flat, around, STABILITY))


def fixed_point_line(
    g_h: Any = None,
    *,
    alpha_r: Any = None,
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
) -> Float[HostArray, "..."]:
    r"""Return where a pair of unstable fixed points is born in the static theory.

    .. math::

        \max_{D_h} \langle\phi^2\rangle_{D_h}\langle\sigma_r^2\rangle_{D_r} / D_h = 1,

    the fold of the static branch. Without biases and inputs it exists for
    :math:`\sqrt 2 < g_h < 2` and tends to :math:`\sqrt 8` as :math:`g_h \to 2`.

    Parameters, errors and assumptions as in `stability_line`.

    Returns
    -------
    array
        For ``g_h``: the alpha_r above which the pair exists; infinity where it never does, or only
        beyond 1e7, within 3e-5 of the lower end. For ``alpha_r``: the g_h above which it exists;
        infinity where the branch has no fold.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 12, G1-G2; Fig. 4.
    """
    around = surroundings(beta_h, beta_r, input_variance, bias_variance)
    given, by_alpha = _one_of(g_h, alpha_r)
    with jax.enable_x64(True):
        if by_alpha:
            return _shaped(given, lambda flat: gain_at(flat, around, FOLD))
        return _shaped(given, lambda flat: alpha_at(flat, around, FOLD))


def marginal_line(
    g_h: Any = None,
    *,
    alpha_r: Any = None,
    method: str = "static",
    beta_h: Any = 0.0,
    beta_r: Any = 0.0,
    input_variance: Mapping[str, Any] | None = None,
    bias_variance: Mapping[str, Any] | None = None,
    z_offset: Any = 0.0,
) -> Float[HostArray, "..."]:
    r"""Return where marginal stability ends for alpha_z -> infinity, rho^2 <s_z> = 1.

    Parameters
    ----------
    g_h, alpha_r, beta_h, beta_r, input_variance, bias_variance
        As in `stability_line`; ``input_variance`` takes "z", too.
    method
        "static": rho at the variance of the (upper) static branch. "dmft": rho at the variance of
        the chaotic state at alpha_z = 0, tau_r -> 0 (no biases or inputs). They differ: at
        alpha_r = 0 the line is at g_h = 6.546 and 6.022; the paper reports 6.2, and networks with
        hard gates freeze for g_h up to 5.5 and cross over near 6.5, depending on their history.
    z_offset
        Shift of the update gate's threshold, beta_z / alpha_z plus the mean of I_z: the gate is
        open where z + z_offset > 0.

    Returns
    -------
    array
        For ``alpha_r``: the g_h below which the state is marginally stable. For ``g_h``: the
        alpha_r below which it is (where there is an active state at all). 0 where it is so nowhere,
        infinity where it is so for every alpha_r.

    Raises
    ------
    InvalidInputError
        As `stability_line`; also for method="dmft" with biases or inputs.

    Assumptions
    -----------
    alpha_z -> infinity, so that gates are open or shut; the distribution of states is that of the
    method. Finite networks come near it for alpha_z of 30 and more.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eq. 8.
    """
    around = surroundings(beta_h, beta_r, input_variance, bias_variance, z_offset)
    check_choice("method", method, ("static", "dmft"))
    if method == "dmft" and not around._replace(z_offset=0.0, z_input=0.0).is_plain:
        refuse("method", method, "'static' with biases or inputs to h or r", "Drop them.")
    given, by_alpha = _one_of(g_h, alpha_r)
    with jax.enable_x64(True):
        if by_alpha:
            return _shaped(given, lambda flat: gain_at(flat, around, MARGINAL[method]))
        return _shaped(given, lambda flat: alpha_at(flat, around, MARGINAL[method]))


def _one_of(g_h: Any, alpha_r: Any) -> tuple[np.ndarray, bool]:
    if (g_h is None) == (alpha_r is None):
        both = f"g_h={g_h!r}, alpha_r={alpha_r!r}"
        refuse("line at", both, "exactly one of g_h and alpha_r", "Pass the one that is known.")
    name, value = ("alpha_r", alpha_r) if g_h is None else ("g_h", g_h)
    given = np.asarray(as_parameter(name, value, nonnegative=True))
    if given.size == 0:
        refuse(name, value, "at least one value", "Pass a number or a grid with points.")
    if g_h is None and given.max() > _LARGEST_ALPHA:
        refuse(name, value, f"at most {_LARGEST_ALPHA:g}", "Steeper gates are steps to all digits.")
    return given, g_h is None


def _shaped(given: np.ndarray, line: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return line(given.ravel()).reshape(given.shape)


@jax.jit
def _zero_gain(alphas, around: Surroundings):
    """Return the gain 1 / sqrt(<s_r^2>) at which the zero fixed point loses stability."""

    def gain(alpha):
        variance = alpha**2 * around.r_input + around.r_bias
        return 1 / jnp.sqrt(gate_moments(around.beta_r, variance).square)

    return jax.lax.map(gain, alphas)


def _zero_line(given: np.ndarray, by_alpha: bool, around: Surroundings) -> np.ndarray:
    """Return the stability line of the zero fixed point, in either direction."""
    if by_alpha:
        return np.asarray(_zero_gain(jnp.asarray(given.ravel()), around)).reshape(given.shape)
    alphas = np.concatenate([[0.0], np.geomspace(1e-3, _LARGEST_ALPHA, 2000)])
    # Only random input to the output gate makes the gain depend on alpha_r.
    below = np.asarray(_zero_gain(jnp.asarray(alphas), around))[:, None] <= given.ravel()
    first = np.argmax(below, axis=0)

    def distance(alpha):
        return _zero_gain(alpha, around) - given.ravel()

    low, high = jnp.asarray(alphas[np.maximum(first - 1, 0)]), jnp.asarray(alphas[first])
    critical = np.where(first == 0, 0.0, np.asarray(bisect(distance, low, high)))
    return np.where(below.any(axis=0), critical, NEVER).reshape(given.shape)
