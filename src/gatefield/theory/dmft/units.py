"""Units drawn from a mean-field solution at one moment: what random-matrix theory starts from."""

from __future__ import annotations

import numpy as np
from scipy import stats

from gatefield.cells import VanillaRNN
from gatefield.core.checks import check_count, check_ok, check_seed
from gatefield.theory.dmft.gated_form import COMPONENTS, gated_form
from gatefield.theory.dmft.packing import warn_outside
from gatefield.theory.dmft.redraw import sampled_snapshots
from gatefield.theory.dmft.result import MeanField
from gatefield.theory.static.sampled import SampledUnits


def mean_field_units(solution: MeanField, *, samples: int = 4096, seed: int = 0) -> SampledUnits:
    r"""Draw units (state, fields, drive) from a mean-field solution at one moment.

    Sampled solutions have units, which are taken. In the lag equations h, z, r are Gaussian and
    independent at equal times, and so is the imbalance of the first equation,
    :math:`\eta_h + I_h - h`, of variance :math:`C_\phi C_{\sigma_r} + V_h - C_h` at lag 0, since
    C_h is flat there. (Where the input to h is not gated, it counts as :math:`I_h/\sigma_z`.) How
    much of the pull is input is drawn from its share in the variance; no response of these cells
    depends on it.

    Parameters
    ----------
    solution
        From `gatefield.solve_dmft`.
    samples, seed
        Number of units (for the lag equations rounded up to a power of two), and their seed.

    Returns
    -------
    SampledUnits
        (d, S), (K, S) and (drives, S), on the host.

    Raises
    ------
    InvalidInputError
        For numbers that do not fit, or a solution that is not OK.

    Warns
    -----
    OutsideDomainWarning
        For moving states of the separable approximation outside its domain.

    Assumptions
    -----------
    Exact at alpha_z = 0, and sampled solutions up to their sampling. Where the update gate varies h
    is no Gaussian and depends on z and on its own imbalance: in a separable solution that moves,
    drawing them apart puts the boundary wrong at order alpha_z^2 (by 9 per cent of the leading edge
    at g_h = 3, alpha_z = 2, alpha_r = 1). Ask for method="sampled" there.

    References
    ----------
    Krishnamurthy, Can and Schwab, PRX 12, 011011 (2022), Eq. A34: the averages that such units
    serve.
    """
    samples, seed = check_count("samples", samples, at_least=2), check_seed(seed)
    check_ok("solution", solution)
    warn_outside(solution)
    if solution.method == "sampled":
        return sampled_snapshots(solution, samples=samples, seed=seed)
    return _gaussian_units(solution, samples, seed)


def _gaussian_units(solution: MeanField, samples: int, seed: int) -> SampledUnits:
    form = gated_form(solution.cell, solution.inputs)
    count = 1 if isinstance(solution.cell, VanillaRNN) else 3
    names = COMPONENTS[:count]
    C0 = np.array([solution.covariance[name][0] for name in names])
    C0 = np.maximum(C0 - np.square(form.shift[:count]), 0.0)  # rounding
    sent = solution.covariance["y_h"][0]
    V = np.array(form.input_variance[:count])
    rate = 1.0 if form.inside else form.gate_z.average(0.0)
    V_h = V[0] / rate**2
    total_variance = np.array([sent + V_h, *(solution.covariance["eta_z"][0] + v for v in V[1:])])
    imbalance = np.maximum(total_variance - C0, 0.0)
    sobol = stats.qmc.Sobol(3 * count, scramble=True, rng=np.random.default_rng(seed))
    points = sobol.random_base2(int(np.ceil(np.log2(samples))))
    normal = stats.norm.ppf(np.clip(points, 1e-15, 1 - 1e-15)).T
    state = np.sqrt(C0)[:, None] * normal[:count]
    total = state + np.sqrt(imbalance)[:, None] * normal[count : 2 * count]
    # Of what pulls on a unit, the input is a Gaussian part of known weight.
    part = np.array([V_h, *V[1:]]) / np.maximum(total_variance, 1e-300)
    spread = np.sqrt(np.maximum(part * (1 - part) * total_variance, 0.0))
    pulled = part[:, None] * total + spread[:, None] * normal[2 * count :]
    fields = total - pulled
    shift = np.array(form.shift[:count])[:, None]
    drive = pulled + shift
    drive[0] *= rate
    return SampledUnits(state + shift, fields, drive)
