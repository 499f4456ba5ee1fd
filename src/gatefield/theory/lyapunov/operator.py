r"""The largest exponent as an eigenvalue problem of the lag (Eqs. 10-11), where C(tau) is known.

A perturbation's covariances grow as :math:`e^{\lambda(t+t')}X(\tau)`. At alpha_z = 0, exactly,

.. math::

    [(\lambda+s_0)^2 - \partial_\tau^2] X_h &= s_0^2 (C_{\sigma_r} C_{\phi'} X_h
        + C_\phi C_{\sigma_r'} X_r), \\
    [(1+\tau_r\lambda)^2 - \tau_r^2\partial_\tau^2] X_r &= C_{\phi'} X_h ,

with primes derivatives by the argument, so that :math:`C_{f'} = dC_f/dC`. For each lambda the top
eigenvalue mu of the operator that carries X_h through both lines is sought (its kernel is positive:
Perron), and the exponent is where mu = 1, in the even sector. In the odd sector the answer is
known: X = dC/dtau and lambda = 0; what is found there instead tells the error, and so does what a
coarser grid finds in the even sector, where slopes of steep functions stand out at lag 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from scipy.optimize import brentq

from gatefield.core.types import Float, HostArray
from gatefield.theory.dmft.gated_form import GatedForm
from gatefield.theory.dmft.lag_equations import Frame, grid_of, sharpened

_COARSER = 64  # lags of the grid whose exponent tells the error
_LEAST = 1e-4  # nearest distance to the units' own slowest rate, relative to it


class OperatorExponent(NamedTuple):
    """The exponent, its eigenfunction, and what is known of the error.

    Attributes
    ----------
    exponent
        lambda, per unit time.
    lags, mode
        X_h at the lags, 1 at lag 0.
    odd
        |lambda| found in the odd sector, exactly zero for inputs constant in time; NaN for others.
    coarse
        Change of lambda from a coarser grid.
    converged
        Whether a root was bracketed.
    """

    exponent: float
    lags: Float[HostArray, " lag"]
    mode: Float[HostArray, " lag"]
    odd: float
    coarse: float
    converged: bool


def operator_exponent(
    form: GatedForm, frame: Frame, C: Float[HostArray, "component lag"]
) -> OperatorExponent:
    """Solve the eigenvalue problem for covariances C_h, C_z, C_r (about their means) on a frame."""
    found = []
    for count in (_COARSER, frame.count):
        operator = _Operator.of(form, *sharpened(form, frame, C, count))
        found.append(_root(operator, odd=False))
    (coarse, _, _), (even, mode, converged) = found
    odd = abs(_root(operator, odd=True)[0]) if form.static_input else np.nan
    return OperatorExponent(even, operator.lags, mode, odd, abs(even - coarse), converged)


class _Operator(NamedTuple):
    form: GatedForm
    lags: HostArray
    first: HostArray
    second: HostArray
    direct: HostArray
    through_r: HostArray
    through_z: HostArray
    slope: HostArray
    rate: HostArray
    mean_rate: float

    @classmethod
    def of(cls, form: GatedForm, frame: Frame, C: HostArray) -> _Operator:
        grid = grid_of(frame)
        found = form.correlators(*C)
        (phi, phi_c, _), (rate, rate_c, _), (gate, gate_c, _) = found
        V_h = form.input(grid.lags)[0] if form.inside else 0.0
        return cls(
            form,
            grid.lags,
            grid.first,
            grid.second,
            direct=rate * gate * phi_c,
            through_r=rate * phi * gate_c,
            through_z=(phi * gate + V_h - C[0]) * rate_c,
            slope=phi_c,
            rate=rate,
            mean_rate=form.gate_z.average(float(C[1, 0])),
        )

    def matrix(self, growth: float, odd: bool) -> HostArray:
        """Return the operator whose top eigenvalue is mu(lambda)."""
        restoring = growth**2 + 2 * growth * self.mean_rate + self.rate
        carried = np.diag(self.direct)
        for k, weight in ((1, self.through_z), (2, self.through_r)):
            if np.any(weight):
                tau = self.form.tau[k]
                gate = self._inverse((1 + tau * growth) ** 2, tau**2, odd)
                carried = carried + weight[:, None] * (gate * self.slope)
        return self._inverse(restoring, 1.0, odd) @ carried

    def _inverse(self, restoring, square: float, odd: bool) -> HostArray:
        size = self.slope.size
        matrix = -square * self.second + np.diag(np.broadcast_to(restoring, size))
        # Even functions are flat at lag zero, odd ones vanish there; both are flat at the far end.
        matrix[0] = np.eye(size)[0] if odd else self.first[0]
        matrix[-1] = self.first[-1]
        inverse = np.linalg.inv(matrix)
        inverse[:, [0, -1]] = 0.0
        return inverse

    def top(self, growth: float, odd: bool) -> tuple[float, HostArray]:
        """Return the largest real eigenvalue mu and its function."""
        found: Any = scipy.linalg.eig(self.matrix(growth, odd))
        values, vectors = np.real(found[0]), np.real(found[1])
        index = int(np.argmax(values))
        vector = vectors[:, index]
        return float(values[index]), vector / vector[np.argmax(np.abs(vector))]


def _root(operator: _Operator, *, odd: bool) -> tuple[float, HostArray, bool]:
    """Return lambda with mu(lambda) = 1; mu falls."""
    slowest = operator.mean_rate
    if operator.through_r.any() or operator.through_z.any():
        slowest = min(slowest, *(1 / tau for tau in operator.form.tau[1:]))
    low, high = -0.9 * slowest, 0.1 * slowest

    def excess(growth):
        return operator.top(growth, odd)[0] - 1.0

    for _ in range(60):
        if excess(high) < 0:
            break
        low, high = high, 2 * high + 0.1 * slowest
    else:
        return high, np.zeros_like(operator.slope), False
    while excess(low) < 0:
        # Units that hardly drive each other relax at their own slowest rate.
        if low < -slowest * (1 - _LEAST):
            return -slowest, operator.top(low, odd)[1], True
        low = -slowest + 0.5 * (low + slowest)
    answer: Any = brentq(excess, low, high, xtol=1e-13)
    root = float(answer)
    return root, operator.top(root, odd)[1], True
