"""Spectra of gated networks as the update gate becomes a switch (alpha_z to infinity)."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np
from scipy.optimize import brentq
from scipy.special import erf, erfc, ndtri

from gatefield.core.checks import as_number, as_parameter
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, quantity
from gatefield.core.types import Bool, Float, HostArray
from gatefield.theory.rmt.gated import fixed_point_moments
from gatefield.theory.static import StaticMeanField

# Variance of the larger of two logistic numbers; it is the width of the step sigmoid(x)^2, whose
# middle, the mean of that number, is 1.
_STEP_VARIANCE = np.pi**2 / 3 - 1


class NearZeroCount(AbstractResult):
    """Eigenvalues close to zero: fraction = c0 erfc(c1 / alpha_z), Eq. 7.

    Attributes
    ----------
    fraction
        Their number divided by N.
    c0, c1
        The constants; c1 is infinite, of the sign of the limit, where the gate does not vary.
    delta
        How close.
    """

    fraction: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    c0: Float[HostArray, ""] = eqx.field(metadata=quantity())
    c1: Float[HostArray, "..."] = eqx.field(metadata=quantity("..."))
    delta: Float[HostArray, "..."] = eqx.field(metadata=quantity("...", unit="1 / time constant"))


def near_zero_count(
    delta: Any, alpha_z: Any, z_variance: Any, *, beta_z: Any = 0.0, z_mean: Any = 0.0
) -> NearZeroCount:
    r"""Return how many eigenvalues of the Jacobian lie within delta of zero.

    .. math::

        \frac{n}{N} = P(\sigma_z < \delta) = c_0\,\mathrm{erfc}(c_1/\alpha_z), \quad
        c_0 = \tfrac12, \quad
        c_1 = \frac{\ln\frac{1-\delta}{\delta} + \beta_z + \alpha_z\langle z\rangle}{\sqrt{2 D_z}}

    Parameters
    ----------
    delta
        Distance from zero, in (0, 1), in units of 1/time constant.
    alpha_z
        Gain of the update gate.
    z_variance
        D_z, variance of z over units: of a static mean field, or <phi^2> of a moving state.
    beta_z, z_mean
        Bias of the gate, and mean of z (of a static input).

    Returns
    -------
    NearZeroCount
        Arguments broadcast, so that alpha_z may be a curve.

    Raises
    ------
    InvalidInputError
        For delta outside (0, 1), a negative variance or gain, or shapes that do not broadcast.

    Assumptions
    -----------
    A unit whose gate is shut has a slow mode of rate about sigma_z, whatever the couplings: this
    counts gates, not eigenvalues. It holds for alpha_z sqrt(D_z) >> 1 and small delta, in the
    limit exactly (fraction 1 - <sigma_z>); a network of 500 units counted 114, 189, 223, 244 and
    254 for 115, 176, 214, 232 and 241 at alpha_z = 10 to 160, g_h = 3 and delta = 0.01.
    Eigenvalues of the r and z components, at about -1/tau, are none of these. In one network the
    sample's mean of z shifts the fraction by some N^-1/2.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 7 and B7.
    """
    delta = as_parameter("delta", delta, positive=True)
    if not np.all(delta < 1):
        refuse("delta", delta, "numbers below 1", "The gate is never wider open than that.")
    alpha_z = as_parameter("alpha_z", alpha_z, nonnegative=True)
    z_variance = as_parameter("z_variance", z_variance, nonnegative=True)
    beta_z, z_mean = as_parameter("beta_z", beta_z), as_parameter("z_mean", z_mean)
    try:
        delta, alpha_z, z_variance, beta_z, z_mean = np.broadcast_arrays(
            delta, alpha_z, z_variance, beta_z, z_mean
        )
    except ValueError:
        shapes = sorted({np.shape(a) for a in (delta, alpha_z, z_variance, beta_z, z_mean)})
        refuse("shapes", shapes, "shapes that broadcast", "Add axes by [:, None].")
    gap = np.log1p(-delta) - np.log(delta) + beta_z + alpha_z * z_mean
    width = np.sqrt(2 * z_variance)
    limit = np.copysign(np.inf, gap)
    c1 = np.where(width > 0, gap / np.where(width > 0, width, 1.0), limit)
    argument = np.where(alpha_z > 0, c1 / np.where(alpha_z > 0, alpha_z, 1.0), limit)
    half = np.asarray(0.5)
    return NearZeroCount(half * erfc(argument), half, c1, np.array(delta))


class PinchedEdge(AbstractResult):
    """Leading edge of a spectrum that pinches at the origin.

    Attributes
    ----------
    log_edge
        ln(lambda_e).
    next_order
        The next term of the series, of order 1/alpha_z, not part of ``log_edge``: its error.
    c
        Rate of the pinching: ln(lambda_e) falls as -c alpha_z sqrt(D_z).
    """

    log_edge: Float[HostArray, ""] = eqx.field(metadata=quantity())
    next_order: Float[HostArray, ""] = eqx.field(metadata=quantity())
    c: Float[HostArray, ""] = eqx.field(metadata=quantity())


def pinched_edge(mean_field: StaticMeanField) -> PinchedEdge:
    r"""Return the leading edge of an unstable fixed point's spectrum at large alpha_z.

    .. math::

        \ln\lambda_e = m - 1 - c\,s - \frac{c}{2s}\Big(\frac{\pi^2}{3} - 1\Big) + O(s^{-2}), \quad
        c = \sqrt2\,\mathrm{erfinv}(2/\rho^2 - 1)

    with m and s the mean and standard deviation of the gate's argument :math:`\alpha_z z+\beta_z`,
    in the simplest case 0 and :math:`\alpha_z\sqrt{D_z}`.

    Parameters
    ----------
    mean_field
        Of a GatedRNN, solved in closed form; any inputs and biases.

    Returns
    -------
    PinchedEdge
        In units of 1/time constant; the last term above stands apart.

    Raises
    ------
    InvalidInputError
        Where it does not apply: rho <= 1 (stable), rho^2 <sigma_z> >= 1 (the edge stays), a gate
        that does not vary, another cell, a solution from samples.

    Assumptions
    -----------
    1 < rho^2 < 1/<sigma_z> and alpha_z sqrt(D_z) >> 1, so that the edge is far below every other
    rate. Fixed points, or a state so slow that the bracket of the h equation vanishes: in chaotic
    states the bracket sets the edge instead.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Sec. IV A, Eqs. B5-B6.
    """
    moments = fixed_point_moments(mean_field)
    square, opened = moments.direct + moments.through_gate, float(mean_field.open_fraction)
    if not 1 < square < 1 / opened:
        refuse(
            "rho^2",
            square,
            f"a number between 1 and 1/<sigma_z> = {1 / opened:.6g}",
            "Below the state is stable, above the edge does not pinch; spectral_boundary gives it.",
        )
    if not moments.z_variance > 0:
        remedy = "spectral_boundary gives the edge of any gate."
        refuse("alpha_z", mean_field.cell, "an update gate that varies over units", remedy)
    deviation = np.sqrt(moments.z_variance)
    c = ndtri(1 / square)
    return PinchedEdge(
        log_edge=np.asarray(moments.z_mean - 1 - c * deviation),
        next_order=np.asarray(-c * _STEP_VARIANCE / (2 * deviation)),
        c=np.asarray(c),
    )


class MarginalDisk(AbstractResult):
    """Spectrum of the h and r components when update gates are open or shut, alpha_z infinite.

    Attributes
    ----------
    radius
        Distance from -1 to the leading edge of the moving units' eigenvalues; for tau_r = 1 or
        alpha_r = 0 they fill a disk of this radius around -1.
    leading_edge
        radius - 1.
    zero_fraction
        Number of eigenvalues at zero, divided by N.
    marginal
        Whether the disk stays left of zero: Eq. 8.
    """

    radius: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    leading_edge: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))
    zero_fraction: Float[HostArray, ""] = eqx.field(metadata=quantity())
    marginal: Bool[HostArray, ""] = eqx.field(metadata=quantity())


def marginal_disk(mean_field: StaticMeanField) -> MarginalDisk:
    r"""Return the spectrum that a fixed point has if its update gates are made switches.

    With :math:`f = \langle\sigma_z\rangle`, of the leading edge x the solution of

    .. math::

        (1+x)^2 = f\,\langle\phi'^2\rangle\Big(\langle\sigma_r^2\rangle
        + \frac{\langle\phi^2\rangle\langle\sigma_r'^2\rangle}{(1+\tau_r x)^2}\Big),

    which is negative iff :math:`\rho^2 f < 1` (Eq. 8). For alpha_r = 0 the radius 1 + x is
    :math:`\rho\sqrt f`; otherwise the output gate makes it larger below Eq. 8's line and smaller
    above, with equality on it.

    Parameters
    ----------
    mean_field
        Of a GatedRNN or VanillaRNN, solved in closed form, at any alpha_z: only <sigma_z> depends
        on it, which is 1/2 without bias or input to z.

    Returns
    -------
    MarginalDisk
        Rates in units of 1/time constant.

    Raises
    ------
    InvalidInputError
        For another cell or a solution from samples.

    Assumptions
    -----------
    alpha_z = infinity: sigma_z is 0 or 1, with the mean ``mean_field.open_fraction``. The disk's
    edge is the stability boundary only if ``marginal``; otherwise the zero modes lie inside it.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. 5 and 8.
    """
    moments, opened = fixed_point_moments(mean_field), float(mean_field.open_fraction)
    direct, through, tau = opened * moments.direct, opened * moments.through_gate, moments.tau_r
    square = direct + through

    def excess(x):
        # Times the denominator, so that the pole at -1/tau_r does no harm.
        return ((1 + x) ** 2 - direct) * (1 + tau * x) ** 2 - through

    radius = np.sqrt(direct)
    lowest = max(radius - 1, -1 / tau)
    # A loop through the output gate too weak for rounding leaves the disk as it is.
    if through > 0 and excess(lowest) < 0:
        root: Any = brentq(excess, lowest, np.sqrt(square) + 1, xtol=1e-15)
        radius = 1 + root
    return MarginalDisk(
        radius=np.asarray(radius),
        leading_edge=np.asarray(radius - 1),
        zero_fraction=np.asarray(1 - opened),
        marginal=np.asarray(square < 1),
    )


class HardTanhDensity(AbstractResult):
    """Density of eigenvalues in the h component, for the hard tanh and update gates that switch.

    Attributes
    ----------
    zero_mass
        Weight of the delta function at 0: units whose gate is shut.
    saturated_mass
        Weight of the delta function at -1: open, but saturated.
    disk_mass
        Weight of the uniform disk around -1: open and not saturated. The three add up to one.
    disk_density
        Density in the disk, per unit area.
    disk_radius
        Its radius.
    """

    zero_mass: Float[HostArray, ""] = eqx.field(metadata=quantity())
    saturated_mass: Float[HostArray, ""] = eqx.field(metadata=quantity())
    disk_mass: Float[HostArray, ""] = eqx.field(metadata=quantity())
    disk_density: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="time constant^2"))
    disk_radius: Float[HostArray, ""] = eqx.field(metadata=quantity(unit="1 / time constant"))


def hard_tanh_density(
    g_h: Any, unsaturated: Any, open_fraction: Any = 0.5, *, output_gate: Any = 0.5
) -> HardTanhDensity:
    r"""Return the density of eigenvalues for a piecewise linear tanh at alpha_z = infinity.

    .. math::

        \mu(\lambda) = (1-f_z)\,\delta(\lambda) + f_z(1-f_h)\,\delta(\lambda+1)
        + \frac{1}{\pi g_h^2 s^2}\,\Theta\big(g_h^2 s^2 f_z f_h - |1+\lambda|^2\big), \quad
        s = \sigma_r = \tfrac12

    Parameters
    ----------
    g_h
        Gain, above 0: phi(x) = g_h x, cut off at -1 and 1.
    unsaturated
        f_h, fraction of units between the cut-offs: `unsaturated_fraction`.
    open_fraction
        f_z = <sigma_z>.
    output_gate
        s, the constant output gate; 1/2 without bias.

    Returns
    -------
    HardTanhDensity
        Per unit of the h component, in units of the time constant.

    Raises
    ------
    InvalidInputError
        For fractions outside [0, 1] or a gain that is not positive.

    Assumptions
    -----------
    alpha_z = infinity, alpha_r = 0, a fixed point (or tau_z small), gates independent of
    saturation. Eigenvalues of the z and r components, at -1/tau, are left out.

    References
    ----------
    Krishnamurthy, Can and Schwab, Phys. Rev. X 12, 011011 (2022), Eqs. B1-B4.
    """
    g_h = as_number("g_h", g_h, positive=True)
    numbers = {"unsaturated": unsaturated, "open_fraction": open_fraction}
    for name, value in numbers.items():
        numbers[name] = as_number(name, value, nonnegative=True)
        if numbers[name] > 1:
            refuse(name, value, "a fraction, from 0 to 1", "Divide by the number of units.")
    f_h, f_z = numbers.values()
    gain = g_h * as_number("output_gate", output_gate, positive=True)
    return HardTanhDensity(
        zero_mass=np.asarray(1 - f_z),
        saturated_mass=np.asarray(f_z * (1 - f_h)),
        disk_mass=np.asarray(f_z * f_h),
        disk_density=np.asarray(1 / (np.pi * gain**2)),
        disk_radius=np.asarray(gain * np.sqrt(f_z * f_h)),
    )


def unsaturated_fraction(
    g_h: Any, h_variance: Any, *, beta_h: Any = 0.0
) -> Float[HostArray, "..."]:
    r"""Return the fraction of units that a hard tanh does not saturate.

    .. math:: f_h = P(|g_h h + \beta_h| < 1) = \mathrm{erf}\big(1/(g_h\sqrt{2 D_h})\big)
        \quad (\beta_h = 0)

    Parameters
    ----------
    g_h, beta_h
        Gain and bias.
    h_variance
        D_h, of Gaussian h.

    Returns
    -------
    array
        Arguments broadcast.

    Raises
    ------
    InvalidInputError
        For a negative gain or variance.
    """
    g_h = as_parameter("g_h", g_h, nonnegative=True)
    h_variance = as_parameter("h_variance", h_variance, nonnegative=True)
    beta_h = as_parameter("beta_h", beta_h)
    width = np.sqrt(2 * h_variance) * g_h
    up, down = (1 - beta_h) + 0 * width, (1 + beta_h) + 0 * width
    # Without variance the fraction is one or zero.
    safe = np.where(width > 0, width, 1e-300)
    with np.errstate(over="ignore"):
        return (erf(up / safe) + erf(down / safe)) / 2
