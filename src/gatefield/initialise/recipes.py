"""Recipes: cells at the edge of stability, with long memory, and with chrono biases."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from scipy.special import ndtri

from gatefield.cells import AbstractCell, ElmanRNN
from gatefield.core.checks import as_number, check_choice, check_count, check_names, check_seed
from gatefield.core.errors import OutsideDomainWarning, refuse
from gatefield.initialise.driven import check_scalar, gain_at_start, moving_gain, static_gain
from gatefield.initialise.kinds import (
    Kind,
    check_time,
    is_silent,
    kind_of,
    logit_of_time,
    made,
)
from gatefield.initialise.memoryless import elman_gain
from gatefield.initialise.sources import sources_of
from gatefield.initialise.zero_state import gain_at_zero

_PYTORCH = 1 / math.sqrt(3)
_TAIL = 0.1


def critical_cell(
    kind: str,
    *,
    value: float | None = None,
    quantity: str = "leading_edge",
    at: str | None = None,
    inputs: Any = None,
    weight_variance: float | None = None,
    seed: int = 0,
    **parameters: Any,
) -> AbstractCell:
    r"""Return a cell whose candidate's gain puts it at the edge of stability, or at a distance.

    Without inputs, and without biases of the candidate, the zero state is a fixed point, and the
    gain is in closed form (`gain_at_zero`): 1 for the RNN, :math:`g_n = 2` for the GRU and
    :math:`g_g = (1 - f)/(i o) = 2` for the LSTM without biases, :math:`g_h = 2` for the gated RNN.
    Otherwise it is the root of what theory predicts for the state that the biases or inputs make.

    Up to the edge of stability the zero state is also where a network without inputs and biases
    ends. Beyond it the two are different things: at the radius 1.3 of the RNN the gain is 1.3 for
    the zero state, which no network stays in, and 2.665 for the chaotic one. ``at`` says which.

    Parameters
    ----------
    kind
        "RNN", "GRU", "LSTM" or "gated".
    value
        Of the quantity; by default the edge of stability: 1 for the leading edge of maps, 0 for
        that of flows and for the exponent.
    quantity
        "leading_edge": largest modulus (maps) or rightmost real part (flows) of the Jacobian's
        spectrum; "lyapunov": the largest exponent, per step or time constant, of the state that the
        network settles in. Where the state moves these are two things: the exponent decides
        whether perturbations grow.
    at
        The state whose leading edge is meant. "start": zero, where modules start, also where biases
        of the candidate move on from it. "state": what theory says that the network settles in, a
        fixed point or a moving state. By default "start" without inputs and biases of the
        candidate, and "state" with them.
    inputs
        What drives the cell: `InputStatistics` with ``weight_variance``, or by drive a
        `gf.GaussianInput`, a constant, or a tuple of inputs.
    weight_variance
        Variance of an entry of the input weights.
    seed
        For quasi-random samples and sampled paths.
    **parameters
        Further parameters of the cell: biases, the gates' gains (1 by default), time constants,
        ``activation="relu"``. Biases (N,) of each unit's own where the gain is in closed form.

    Returns
    -------
    AbstractCell
        An ElmanRNN, GRU, LSTM or GatedRNN.

    Raises
    ------
    InvalidInputError
        For names and values that do not fit, a spectrum that the slowest unit's own gate exceeds.
    NumericalFailureError
        If no gain has the value.

    Warns
    -----
    OutsideDomainWarning
        If the value is beyond the edge of stability, there are inputs or biases of the candidate,
        and ``at`` was not given.

    Assumptions
    -----------
    N to infinity; the leading edge of N units scatters by some :math:`N^{-1/2}`. At the zero state
    the gains of the input play no part, nor do those of the gates unless the candidate is biased.
    A rectified network is linear where it is not driven: its gain is :math:`\sqrt 2` times the
    radius at any state of either sign.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. 5-6.
    """
    known = kind_of(kind)
    check_choice("quantity", quantity, ("leading_edge", "lyapunov"))
    critical = 1.0 if known.is_map and quantity == "leading_edge" else 0.0
    target = critical if value is None else as_number("value", value)
    seed = check_seed(seed)
    cell = made(known, parameters, 1.0)
    sources = sources_of(cell, inputs, weight_variance)
    silent = not sources and is_silent(known, cell)
    state = _state_meant(at, quantity, inputs, silent=silent)
    edge = math.exp(target) if known.is_map and quantity == "lyapunov" else target
    beyond = edge > (1.0 if known.is_map else 0.0)
    if at is None and beyond and state == "state" and quantity == "leading_edge":
        message = (
            f"value = {target:g} lies beyond the edge of stability: it is met in the state that "
            "the network settles in under its biases or inputs. At zero, where it starts, the "
            "leading edge is another. Pass at='state'"
        )
        message += "." if sources else ", or at='start'."
        warnings.warn(message, OutsideDomainWarning, stacklevel=2)

    def make(gain: float) -> AbstractCell:
        return made(known, parameters, gain)

    # Beyond its edge a fixed point does not tell what the state is like that the network is in.
    if silent and (state == "start" or not beyond):
        return make(gain_at_zero(cell, edge))
    if isinstance(cell, ElmanRNN) and state == "state":
        mean = sum(source.input.mean for source in sources)
        variance = sum(source.input.variance for source in sources)
        return make(elman_gain(cell.activation, cell.bias + mean, variance, edge))
    begin = gain_at_zero(cell, max(edge, 1.0 if known.is_map else 0.0))
    if state == "start":
        return make(gain_at_start(make, edge, begin))
    check_scalar(cell)
    if not beyond and all(source.input.is_static for source in sources):
        return make(static_gain(make, sources, edge, begin))
    return make(moving_gain(make, sources, target, quantity, begin, seed=seed))


def _state_meant(at: str | None, quantity: str, inputs: Any, *, silent: bool) -> str:
    if at is None:
        return "start" if silent and quantity == "leading_edge" else "state"
    check_choice("at", at, ("start", "state"))
    if at == "start" and quantity == "lyapunov":
        refuse("at", at, "'state' or None for 'lyapunov'", "An exponent is of a state that lasts.")
    if at == "start" and inputs is not None:
        refuse("at", at, "'state' or None with inputs", "At once they move a network from zero.")
    return at


def marginal_cell(
    kind: str,
    *,
    units: int,
    horizon: float,
    shortest: float = 2.0,
    times: str = "uniform",
    growth: float = 0.0,
    seed: int = 0,
    **parameters: Any,
) -> AbstractCell:
    r"""Return a cell of many time scales: biases that keep the state, at the edge of stability.

    The argument x of the gate that keeps the state is spread over units, so that the time t in
    which a unit alone forgets is, with :math:`x(t) = -\ln(e^{1/t} - 1)` (flows: ln(t - 1)),

    .. math:: \text{log-normal: } x \sim N(m, s^2), \quad
        m \pm 1.2816\, s = x(\mathrm{horizon}), x(\mathrm{shortest}); \qquad
        \text{uniform: } t \sim U(\mathrm{shortest}, \mathrm{horizon}).

    A unit that forgets within t shows an input s steps later with the weight exp(-s/t)/t, which is
    largest for t = s: uniform times serve every lag up to the horizon alike, log-normal ones every
    order of magnitude, so that few units are as slow as the horizon. x is the
    GRU's b_z, the LSTM's b_f and -b_i (its input gate is tied, i = 1 - f), and -beta_z of the gated
    RNN. The candidate's gain then puts the leading edge where perturbations grow by ``growth``
    e-folds over the horizon: on the edge of stability by default, where the keeping gate drops out,

    .. math:: g_n^2\langle r^2\rangle = 1 \text{ (GRU)}, \quad g_g^2\langle o^2\rangle = 1
        \text{ (LSTM)}, \quad g_h^2\langle\sigma_r^2\rangle = 1 \text{ (gated RNN)}.

    This is the paper's marginal stability as a random network can have it from the beginning: a
    gate that shuts (alpha_z to infinity there, the biases here) brings eigenvalues close to the
    edge, as many as there are shut gates, without moving the edge itself. An edge at
    1 - 1/horizon is not to be had: a unit whose own gate is slower stands above it.

    Parameters
    ----------
    kind
        "GRU", "LSTM" or "gated": an RNN has no gate.
    units
        Number of units N, for which biases are drawn.
    horizon, shortest
        Of the time in which a unit alone forgets, in steps (maps) or time constants (flows): 90 and
        10 per cent quantiles of log-normal times, the largest and the smallest of uniform ones.
    times
        "uniform" or "log-normal". In the study of benchmarks/training the GRU and the LSTM learned
        from uniform times in fewer steps, and the gated RNN more often from log-normal ones.
    growth
        e-folds that the leading edge gains over the horizon, at the zero state. Negative values
        need a spectrum below its slowest unit, and are mostly refused.
    seed
        Draws the biases.
    **parameters
        Further parameters of the cell; not the biases that are spread.

    Returns
    -------
    AbstractCell
        With biases (N,).

    Raises
    ------
    InvalidInputError
        For names and values that do not fit.

    Assumptions
    -----------
    The zero state of these very units. Inputs, which saturate candidates, lower the exponent; the
    gates' fields, which fluctuate in time, are not counted in the gate times.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Sec. IV.
    """
    known = _gated_kind(kind)
    units, seed = check_count("units", units), check_seed(seed)
    horizon = check_time("horizon", horizon, known)
    shortest = check_time("shortest", shortest, known)
    if not shortest < horizon:
        refuse("shortest", shortest, f"less than the horizon {horizon:g}", "Lengthen the horizon.")
    growth = as_number("growth", growth)
    check_choice("times", times, ("log-normal", "uniform"))
    _check_free(known, parameters)
    rng = np.random.default_rng([seed, units])
    if times == "uniform":
        kept = logit_of_time(rng.uniform(shortest, horizon, units), known.is_map)
    else:
        ends = logit_of_time([shortest, horizon], known.is_map)
        spread = (ends[1] - ends[0]) / (2 * ndtri(1 - _TAIL))
        kept = np.mean(ends) + spread * rng.standard_normal(units)
    drawn = {name: sign * kept for name, sign in known.memory}
    cell = made(known, {**parameters, **drawn}, 1.0)
    if not is_silent(known, cell):
        given = {name: getattr(cell, name) for name in known.candidate}
        remedy = "With a candidate's bias the state is not zero: use gf.design."
        refuse("biases of the candidate", given, "zero", remedy)
    edge = growth / horizon
    gain = gain_at_zero(cell, math.exp(edge) if known.is_map else edge)
    return made(known, {**parameters, **drawn}, gain)


def chrono_cell(
    kind: str, *, units: int, horizon: float, seed: int = 0, **parameters: Any
) -> AbstractCell:
    r"""Return a cell with chrono biases: gate times that are uniform up to the longest dependency.

    .. math:: b \sim \ln U(1, T_{\max} - 1): \quad b_f = -b_i = b \text{ (LSTM)}, \quad
        b_z = b \text{ (GRU)}, \quad \beta_z = -b \text{ (gated RNN)}

    PyTorch's z keeps the state, so that b_z is positive; the gated RNN's gate updates it. The
    forgetting time 1/(1 - sigma(b)) = 1 + e^b then lies between 2 and T_max.

    Parameters
    ----------
    kind
        "GRU", "LSTM" or "gated".
    units
        Number of units N.
    horizon
        T_max, above 2, in steps (maps) or time constants (flows).
    seed
        Draws the biases.
    **parameters
        Further parameters of the cell; gains are PyTorch's, 1/sqrt(3), by default (the gated RNN's
        are 2, 1 and 1).

    Returns
    -------
    AbstractCell
        With biases (N,).

    Raises
    ------
    InvalidInputError
        For names and values that do not fit.

    References
    ----------
    Tallec and Ollivier, arXiv:1804.11188.
    """
    known = _gated_kind(kind)
    units, seed = check_count("units", units), check_seed(seed)
    horizon = as_number("horizon", horizon, positive=True)
    if not horizon > 2:
        refuse("horizon", horizon, "a number above 2", "It is the longest dependency, T_max.")
    _check_free(known, parameters)
    drawn = np.log(np.random.default_rng([seed, units]).uniform(1, horizon - 1, units))
    biases = {name: sign * drawn for name, sign in known.memory}
    check_names(f"parameters of a {known.cell.__name__}", parameters, sorted(vars(known.cell())))
    own = {**plain_gains(kind), **parameters, **biases}
    return known.cell(**own)


def plain_gains(kind: str, gain: float = _PYTORCH) -> dict[str, float]:
    """Return equal gains of all couplings by parameter; of the gated RNN, whose are 1, its own."""
    known = kind_of(kind)
    if kind == "gated":
        return {"g_h": 2.0, "alpha_z": 1.0, "alpha_r": 1.0}
    return {name: gain for name in vars(known.cell()) if name.startswith("gain")}


def _gated_kind(kind: str) -> Kind:
    known = kind_of(kind)
    if not known.memory:
        refuse("kind", kind, "'GRU', 'LSTM' or 'gated'", "An RNN has no gate that keeps its state.")
    return known


def _check_free(kind: Kind, parameters: dict[str, Any]) -> None:
    taken = sorted(set(parameters) & {name for name, _ in kind.memory})
    if taken:
        refuse("parameters", taken, "others", "This recipe draws the biases that keep the state.")
