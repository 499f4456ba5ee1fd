"""From the covariances of h, z, r to those of everything in a unit, and back."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from gatefield.cells import AbstractCell, VanillaRNN
from gatefield.core.errors import OutsideDomainWarning
from gatefield.core.results import Status
from gatefield.core.types import Float, HostArray
from gatefield.networks.noise import GaussianInput
from gatefield.theory.dmft.gated_form import COMPONENTS, GatedForm, gated_form
from gatefield.theory.dmft.lag_equations import Frame, LagSolution
from gatefield.theory.dmft.result import MeanField

SEPARABLE_DOMAIN = 1.0
"""Largest alpha_z sqrt(C_z(0)) at which the separable approximation is used without a warning."""


def moving_mean_field(
    cell: AbstractCell, inputs: dict[str, GaussianInput], form: GatedForm, found: LagSolution
) -> MeanField:
    """Return a solution of the lag equations as a mean field."""
    settings = (
        ("state", "moving"),
        ("scale", float(found.frame.scale)),
        ("horizon", float(found.frame.horizon)),
        ("count", int(found.frame.count)),
    )
    return packed(
        cell,
        inputs,
        form,
        found.lags,
        found.C,
        residual=found.residual,
        truncation=found.truncation,
        history=found.history,
        status=Status.OK if found.converged else Status.NOT_CONVERGED,
        settings=settings,
    )


def packed(
    cell: AbstractCell,
    inputs: dict[str, GaussianInput],
    form: GatedForm,
    lags: Float[HostArray, " lag"],
    C: Float[HostArray, "component lag"],
    *,
    residual: float,
    truncation: float,
    history: tuple[float, ...],
    status: Status,
    settings: tuple[tuple[str, object], ...],
) -> MeanField:
    """Return the mean field of the covariances C_h, C_z, C_r about their means."""
    found = form.correlators(*C)
    phi, gate_r, gate_z = found.phi[0], found.gate_r[0], found.gate_z[0]
    average = {
        "phi": form.phi.average(float(C[0, 0])),
        "sigma_z": form.gate_z.average(float(C[1, 0])),
        "sigma_r": form.gate_r.average(float(C[2, 0])),
    }
    sent = phi * gate_r
    covariance = {name: C[k] + form.shift[k] ** 2 for k, name in enumerate(COMPONENTS)}
    covariance |= {"eta_h": sent, "eta_z": phi, "eta_r": phi}
    covariance |= {"y_h": sent, "y_z": phi, "y_r": phi}
    covariance |= {"phi": phi, "sigma_z": gate_z, "sigma_r": gate_r}
    mean = dict(zip(COMPONENTS, form.shift, strict=True))
    mean |= dict.fromkeys(("eta_h", "eta_z", "eta_r"), 0.0)
    mean |= {"y_h": average["phi"] * average["sigma_r"], "y_z": average["phi"]}
    mean |= {"y_r": average["phi"], **average}
    if isinstance(cell, VanillaRNN):
        kept = ("h", "eta_h", "y_h", "phi")
        covariance = {name: covariance[name] for name in kept}
        mean = {name: mean[name] for name in kept}
    return MeanField(
        lags=np.asarray(lags),
        covariance=covariance,
        standard_error={name: np.zeros_like(values) for name, values in covariance.items()},
        mean={name: np.asarray(float(value)) for name, value in mean.items()},
        mean_standard_error={name: np.zeros(()) for name in mean},
        residual=np.asarray(residual),
        truncation=np.asarray(truncation),
        history=np.asarray(history),
        spectra={},
        cell=cell,
        inputs=inputs,
        method="lag equations" if form.exact else "separable",
        status=status,
        settings=settings,
    )


def unpacked(solution: MeanField) -> tuple[GatedForm, Frame, Float[HostArray, "component lag"]]:
    """Return form, frame and the covariances of h, z, r about their means of a moving solution."""
    form = gated_form(solution.cell, solution.inputs)
    settings: dict[str, Any] = dict(solution.settings)
    frame = Frame(float(settings["scale"]), float(settings["horizon"]), int(settings["count"]))
    C_h = solution.covariance["h"] - form.shift[0] ** 2
    if isinstance(solution.cell, VanillaRNN):
        return form, frame, np.stack([C_h, solution.covariance["phi"], solution.covariance["phi"]])
    rest = (solution.covariance[name] - form.shift[k] ** 2 for k, name in ((1, "z"), (2, "r")))
    return form, frame, np.stack([C_h, *rest])


def warn_outside(solution: MeanField) -> None:
    """Warn of a moving state of the separable approximation that is outside its domain."""
    if solution.method != "separable" or not solution.fluctuates:
        return
    gain = float(gated_form(solution.cell, solution.inputs).gate_z.gain)
    sharpness = gain * float(np.sqrt(solution.covariance["z"][0] - solution.mean["z"] ** 2))
    if sharpness > SEPARABLE_DOMAIN:
        warnings.warn(
            f"separable approximation at alpha_z sqrt(C_z(0)) = {sharpness:.3g}: expected at most "
            f"{SEPARABLE_DOMAIN:g}. Use method='sampled', which is exact up to its error bars.",
            OutsideDomainWarning,
            stacklevel=3,
        )
