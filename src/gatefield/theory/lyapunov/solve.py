"""`mean_field_lyapunov`: the largest exponent of a mean-field solution."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.cells import GatedRNN
from gatefield.core.checks import check_choice
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.results import Status
from gatefield.theory.dmft import MeanField
from gatefield.theory.dmft.frozen import frozen_states
from gatefield.theory.dmft.gated_form import gated_form
from gatefield.theory.dmft.packing import unpacked
from gatefield.theory.lyapunov.operator import operator_exponent
from gatefield.theory.lyapunov.result import MeanFieldLyapunov
from gatefield.theory.lyapunov.sampled import sampled_exponent
from gatefield.theory.rmt import spectral_boundary
from gatefield.theory.static import StaticMeanField

METHODS = ("auto", "operator", "sampled", "leading edge")

_LARGEST_ERROR = 1e-4  # of the exponent, by the operator


def mean_field_lyapunov(
    solution: MeanField,
    *,
    method: str = "auto",
    tolerance: float = 1e-4,
    max_sweeps: int = 60,
    seed: int = 0,
    throw: bool = True,
) -> MeanFieldLyapunov:
    r"""Predict the largest Lyapunov exponent of a network from its mean field.

    Infinitesimal perturbations are driven by Gaussian fields whose covariance is that of the
    perturbed outputs. Where the covariances solve the lag equations, their growth rate is the
    largest eigenvalue of an operator in the lag (Eqs. 10-11; at alpha_z = 0)

    .. math::

        [(\lambda+s_0)^2 - \partial_\tau^2] X_h = s_0^2 (C_{\sigma_r} C_{\phi'} X_h
            + C_\phi C_{\sigma_r'} X_r), \quad
        [(1+\tau_r\lambda)^2 - \tau_r^2\partial_\tau^2] X_r = C_{\phi'} X_h .

    For sampled solutions the perturbations are propagated along the sampled paths.

    Parameters
    ----------
    solution
        From `gatefield.solve_dmft`.
    method
        "auto" follows the solution; "leading edge" is for fixed points.
    tolerance, max_sweeps
        For "sampled": largest residual of an exponent, and number of sweeps that it may take.
    seed
        For "sampled": draws the perturbations' noise.
    throw
        Raise if the exponent did not converge; otherwise its status says so.

    Returns
    -------
    MeanFieldLyapunov

    Raises
    ------
    InvalidInputError
        For a method that does not fit the solution.
    NumericalFailureError
        If ``throw`` and the exponent did not converge.

    Assumptions
    -----------
    N to infinity. "operator" is exact at alpha_z = 0 and for the vanilla network; on a separable
    solution it is wrong already at order alpha_z^2 (``approximate`` says so). Networks of N = 1000
    lie below by 5 to 17 per cent, as 1/N.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eqs. 10-11, Appendix E. Vanilla network:
    Sompolinsky, Crisanti and Sommers, Phys. Rev. Lett. 61, 259 (1988).
    """
    if not isinstance(solution, MeanField):
        refuse("solution", type(solution).__name__, "a MeanField", "Call solve_dmft first.")
    own = "sampled" if solution.method == "sampled" else "operator"
    if own == "operator" and not solution.fluctuates:
        own = "leading edge"
    chosen = own if check_choice("method", method, METHODS) == "auto" else method
    if chosen != own and not (chosen == "leading edge" and not solution.fluctuates):
        refuse("method", method, f"{own!r} for this solution", "Use 'auto'.")
    if solution.status is not Status.OK:
        found = _failed(solution, chosen)
    elif chosen == "operator":
        found = _operator(solution)
    elif chosen == "sampled":
        found = _sampled(solution, tolerance=tolerance, max_sweeps=max_sweeps, seed=seed)
    else:
        found = _leading_edge(solution)
    if throw and found.status is not Status.OK:
        raise NumericalFailureError(
            f"mean_field_lyapunov ({chosen}) ended with status {found.status.value!r}. "
            f"{_remedy(solution, chosen)}; throw=False returns it."
        )
    return found


def _remedy(solution: MeanField, method: str) -> str:
    if solution.status is not Status.OK:
        return f"The mean field itself is {solution.status.value!r}: solve it more closely"
    if method == "sampled":
        return "Raise max_sweeps, or solve the mean field with more samples or a longer period"
    return "Check the cell's parameters, or solve the mean field with method='sampled'"


def _result(solution: MeanField, method: str, **fields: Any) -> MeanFieldLyapunov:
    filled: dict[str, Any] = {
        "standard_error": 0.0,
        "truncation": np.nan,
        "batch_exponents": np.zeros(0),
        "lags": np.zeros(0),
        "mode": np.zeros(0),
        "status": Status.OK,
        "approximate": False,
        "settings": (),
        **fields,
    }
    for name in ("exponent", "standard_error", "truncation"):
        filled[name] = np.asarray(float(filled[name]))
    return MeanFieldLyapunov(method=method, mean_field=solution, **filled)


def _failed(solution: MeanField, method: str) -> MeanFieldLyapunov:
    return _result(solution, method, exponent=np.nan, status=solution.status)


def _operator(solution: MeanField) -> MeanFieldLyapunov:
    form, frame, C = unpacked(solution)
    found = operator_exponent(form, frame, C)
    # Gates that nothing depends on relax by themselves.
    gated = isinstance(solution.cell, GatedRNN)
    slowest = -1 / max(form.tau[1:]) if gated else -np.inf
    error = np.fmax(found.odd, found.coarse)
    good = found.converged and error < _LARGEST_ERROR
    return _result(
        solution,
        "operator",
        exponent=max(found.exponent, slowest),
        truncation=error,
        lags=found.lags,
        mode=found.mode,
        approximate=not form.exact,
        status=Status.OK if good else Status.NOT_CONVERGED,
    )


def _sampled(solution: MeanField, **options: Any) -> MeanFieldLyapunov:
    found = sampled_exponent(solution, **options)
    each = np.asarray(found.exponents, float)
    return _result(
        solution,
        "sampled",
        exponent=each.mean(),
        standard_error=each.std(ddof=1) / np.sqrt(each.size),
        batch_exponents=each,
        status=Status.OK if found.converged else Status.NOT_CONVERGED,
        settings=tuple(options.items()),
    )


def _leading_edge(solution: MeanField) -> MeanFieldLyapunov:
    boundary = spectral_boundary(_fixed_point(solution), throw=False)
    edge = boundary.leading_edge
    exponent = np.log(max(edge, 1e-300)) if solution.is_map else edge
    return _result(solution, "leading edge", exponent=exponent, status=boundary.status)


def _fixed_point(solution: MeanField) -> MeanField | StaticMeanField:
    """Return the static solution, whose boundary has a closed form, where the inputs allow one."""
    if solution.method == "sampled":
        return solution
    form = gated_form(solution.cell, solution.inputs)
    states = frozen_states(solution.cell, solution.inputs, form)
    variance = float(solution.covariance["h"][0]) - form.shift[0] ** 2
    return min(states, key=lambda each: abs(float(each.variance["h"]) - variance), default=solution)
