"""Diagnoses put together by hand: known numbers for tables, files and figures to show."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatefield.core.results import Status
from gatefield.diagnosis import (
    STAGES,
    Advice,
    Biases,
    Couplings,
    Diagnosis,
    Drives,
    Ensemble,
    Exponents,
    Gradients,
    LayerDiagnosis,
    RunStatistics,
    SlowPoints,
    Spectra,
    Stage,
    Timescales,
)

N = 4
FIELDS = ("r", "z", "n")
LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def couplings() -> Couplings:
    """Return those of three fields: the last has one outlier."""
    values = np.array([[1.0, 0.5j, -0.5j, 0.25], [0.5] * N, [3.0, 0.5j, -0.5j, 0.1]])
    ones = np.ones(len(FIELDS))
    return Couplings(
        field_names=FIELDS,
        gain=np.array([1.0, 0.5, 2.0]),
        bulk_gain=np.array([1.0, 0.5, 1.25]),
        mean=0 * ones,
        kurtosis=0 * ones,
        row_spread=0.1 * ones,
        column_spread=0.1 * ones,
        expected_spread=np.array(np.sqrt(1 / (2 * N))),
        eigenvalues_real=np.real(values),
        eigenvalues_imag=np.imag(values),
        edge=np.array([1.5, 0.75, 1.875]),
        outliers=np.array([0, 0, 1]),
        singular_values=np.ones((len(FIELDS), N)),
        singular_edge=2.5 * ones,
        singular_outliers=np.array([0, 0, 1]),
        numerical_rank=np.full(len(FIELDS), N),
        effective_rank=2.0 * ones,
        asymmetry=ones,
        reciprocity=0 * ones,
    )


def biases() -> Biases:
    return Biases(
        names=("bias_r", "bias_z"),
        mean=np.array([0.0, 1.5]),
        spread=np.array([0.1, 0.25]),
        levels=LEVELS,
        quantiles=np.array([np.linspace(-0.2, 0.2, 5), np.linspace(1, 2, 5)]),
    )


def drives() -> Drives:
    """Return a drive that varies and one that does not."""
    return Drives(
        names=("r", "z"),
        mean=np.zeros(2),
        variance=np.array([0.75, 0.5]),
        static_variance=np.array([0.25, 0.5]),
        varying_variance=np.array([0.5, 0.0]),
        correlation_time=np.array([3.0, 0.0]),
        dimension=np.array([1.0, 1.0]),
        lags=np.arange(3.0),
        correlation=np.array([[1.0, 0.5, 0.0], [np.nan] * 3]),
    )


def statistics(gated: bool = True) -> RunStatistics:
    """Return gates of which the second holds a quarter of its values in each of four bins."""
    shares = np.zeros((2, 8))
    shares[0, 3:5] = 0.5
    shares[1, 4:] = 0.25
    names = ("reset_gate", "update_gate")
    count = len(names) if gated else 0
    return RunStatistics(
        steps=np.arange(5.0),
        activity_mean=np.zeros(5),
        activity_variance=np.full(5, 0.04),
        mean=np.array(0.0),
        variance=np.array(0.04),
        saturated=np.array(0.125 if gated else np.nan),
        dimension=np.array(2.5),
        gate_names=names[:count],
        opening=np.full((count, 5), 0.5),
        gate_mean=np.array([0.5, 0.75])[:count],
        gate_spread=np.array([0.1, 0.2])[:count],
        gate_closed=np.zeros(count),
        gate_open=np.array([0.0, 0.25])[:count],
        levels=LEVELS,
        gate_quantiles=np.full((count, 5), 0.5),
        bins=np.linspace(0, 1, 9),
        gate_histogram=shares[:count],
    )


def spectra() -> Spectra:
    """Return two states, all eigenvalues at the second, theory's circle of half a unit there."""
    circle = 0.5 * np.exp(2j * np.pi * np.arange(8) / 8)
    values = np.array([[0.9, 0.2j, -0.2j, 0.1]])
    return Spectra(
        steps=np.array([10, 20]),
        leading_edges=np.array([0.8, 0.9]),
        theory_edges=np.array([0.5, 0.5]),
        outside=np.array([-1, 1]),
        margins=np.array([0.1, 0.1]),
        whole=np.array([1]),
        eigenvalues_real=np.real(values),
        eigenvalues_imag=np.imag(values),
        vertices_real=np.real(circle),
        vertices_imag=np.imag(circle),
        vertex_state=np.ones(8, int),
        vertex_curve=np.zeros(8, int),
    )


def exponents() -> Exponents:
    """Return a spectrum that ends in minus infinity, as that of a singular Jacobian."""
    return Exponents(
        exponents=np.array([0.05, -0.1, -0.5, -np.inf]),
        standard_errors=np.array([0.01, 0.01, 0.02, np.nan]),
        complete=True,
        steps=512,
        dimension=np.array(1.5),
        dimension_above=np.array(1.5),
        entropy_rate=np.array(0.05),
        entropy_complete=True,
        positive=1,
    )


def timescales() -> Timescales:
    """Return times of which the spectrum's is infinite."""
    return Timescales(
        levels=LEVELS,
        gate_time_quantiles=np.array([1.0, 2.0, 4.0, 8.0, 16.0]),
        gate_time=np.array(4.0),
        memory_time=np.array(np.inf),
        memory_times=np.array([9.0, np.inf]),
        lyapunov_time=np.array(20.0),
        activity_time=np.array(3.0),
        activity_integral_time=np.array(2.5),
        lags=np.arange(20.0),
        activity_correlation=np.exp(-np.arange(20.0) / 3),
    )


def slow_points() -> SlowPoints:
    """Return a stable and an unstable fixed point, and a slow one."""
    return SlowPoints(
        is_slow=np.array([False, False, True]),
        speeds=np.array([0.0, 0.0, 1e-3]),
        sizes=np.array([0.1, 0.5, 0.3]),
        leading_edges=np.array([0.9, 1.2, 1.01]),
        unstable=np.array([0, 2, 1]),
        stable=np.array([True, False, False]),
        found=np.array([5, 1, 1]),
        searches=8,
        converged=np.array(0.875),
    )


def gradients() -> Gradients:
    """Return a gradient whose norm halves each step: the mean square by four."""
    times = np.arange(11.0)
    return Gradients(
        times=times,
        adjoint_variance={"h": 9.0 * 4.0**-times},
        growth=np.array(-10 * np.log(2)),
        rate=np.array(-np.log(2)),
        horizon=10,
        readouts=4,
    )


def ensemble() -> Ensemble:
    gains, levels = np.array([0.5, 1.0, 2.0, 4.0]), np.array([-1.0, 0.0, 1.0])
    one: dict[str, Any] = {"leading_edge": np.array(0.85), "lyapunov": np.array(0.05)}
    return Ensemble(
        parameters={"gain_n": np.array(2.0), "spread_n": np.array(0.1)},
        predicted={"leading_edge": np.array(0.5), "lyapunov": np.array(0.04)},
        standard_error={"leading_edge": np.array(0.01), "lyapunov": np.array(0.01)},
        measured=one,
        random_mean={"leading_edge": np.array(0.5), "lyapunov": np.array(0.04)},
        random_spread={"leading_edge": np.array(0.02), "lyapunov": np.array(0.02)},
        networks=8,
        structure={"leading_edge": np.array(0.35), "lyapunov": np.array(0.01)},
        finite_size={"leading_edge": np.array(0.1), "lyapunov": np.array(0.1)},
        method="dynamic",
        gain_name="gain_n",
        bias_name="bias_z",
        gains=gains,
        biases=levels,
        # The radius is half the gain: one at a gain of two.
        radius=np.broadcast_to(gains[:, None] / 2, (4, 3)).copy(),
        line_gains=np.full(3, 2.0),
        line_biases=levels,
        gain=np.array(2.0),
        bias=np.array(0.5),
        radius_here=np.array(1.0),
        critical_gain=np.array(3.0),
        critical_error=np.array(0.25),
        critical_spread=np.array(0.7),
        critical_state="run",
    )


def advice(text: str = "Lower the gain.") -> Advice:
    return Advice(
        kind="warning",
        topic="chaos",
        text=text,
        evidence="The exponent is 0.05.",
        values={"exponent": np.array(0.05)},
    )


PARTS = {
    "couplings": couplings,
    "biases": biases,
    "drives": drives,
    "run": statistics,
    "spectra": spectra,
    "exponents": exponents,
    "timescales": timescales,
    "slow_points": slow_points,
    "gradients": gradients,
    "ensemble": ensemble,
}


def layer(without: tuple[str, ...] = (), **changed: Any) -> LayerDiagnosis:
    """Return a layer all of whose parts went well, but those that are left out."""
    made = {name: None if name in without else build() for name, build in PARTS.items()}
    stages = tuple(
        Stage(name, Status.DIVERGED, ("It ran off.",))
        if name in without
        else Stage(name, Status.OK, ("It was cut.",) if name == "exponents" else ())
        for name in STAGES
    )
    sizes: dict[str, Any] = {"n": N, "components": 1, "features": 3}
    place: dict[str, Any] = {"depth": 0, "reverse": False, "kind": "GRU"}
    return LayerDiagnosis(
        **{**place, **sizes, **made, "advice": (advice(),), "stages": stages, **changed}
    )


def diagnosis(*layers: LayerDiagnosis, **changed: Any) -> Diagnosis:
    """Return a diagnosis of these layers, by default of one."""
    given: dict[str, Any] = {
        "layers": layers or (layer(),),
        "kind": "GRU",
        "n": N,
        "features": 3,
        "depth": 1,
        "bidirectional": False,
        "dtype": "float64",
        "driven": False,
        "sequences": 0,
        "sequence_steps": 0,
        "notes": ("All was quick.",),
        "settings": (("effort", "quick"), ("limits", (("steps", 64),))),
    }
    return Diagnosis(**{**given, **changed})
