"""gatefield: the theory of gating in recurrent neural networks as a tool.

Mean-field theory, critical lines and phase diagrams of gated RNNs, each prediction next to a
simulated network. Names are imported when first used, so that ``gatefield --help`` stays instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatefield import analysis, bridge, compare, diagnosis, phases, plotting, theory
    from gatefield.analysis.fixed_points import FixedPoints, find_fixed_points
    from gatefield.analysis.gradients import NetworkGradients, network_gradients
    from gatefield.analysis.integrator import (
        IntegratorMemory,
        LineAttractor,
        integrator_memory,
        line_attractor,
    )
    from gatefield.analysis.lyapunov import (
        CovariantVectors,
        LyapunovEnsemble,
        LyapunovSpectrum,
        covariant_vectors,
        lyapunov_spectra,
        lyapunov_spectrum,
    )
    from gatefield.analysis.reset import (
        Erasure,
        Pulse,
        reset_by_output_gate,
        reset_by_pulse,
        reset_by_update_gate,
    )
    from gatefield.analysis.transients import TransientLengths, transient_lengths
    from gatefield.cells import (
        GRU,
        LSTM,
        AbstractCell,
        AbstractFlow,
        AbstractMap,
        ElmanRNN,
        GatedRNN,
        LinearGatedRNN,
        VanillaRNN,
        register,
        registered_cells,
    )
    from gatefield.compare import InputResponse, input_response
    from gatefield.diagnosis import Diagnosis, diagnose
    from gatefield.initialise import Design, DesignSolution, InputStatistics, design
    from gatefield.networks import (
        GaussianInput,
        LayeredNetwork,
        Network,
        Series,
        Trajectory,
        jacobian,
        linearise,
        simulate,
    )
    from gatefield.phases import GradientMap, PhaseDiagram, gradient_map, phase_diagram
    from gatefield.theory.adjoint import (
        AdjointMeanField,
        DependentAdjoint,
        SharedSensitivity,
        solve_adjoint,
        solve_dependent_adjoint,
        solve_shared_sensitivity,
    )
    from gatefield.theory.complexity import (
        AnnealedComplexity,
        Complexity,
        annealed_complexity,
        complexity,
    )
    from gatefield.theory.dmft import MeanField, solve_dmft, solve_transient
    from gatefield.theory.lyapunov import MeanFieldLyapunov, mean_field_lyapunov
    from gatefield.theory.rmt import (
        UnitEnsemble,
        spectral_boundary,
        spectral_density,
        spectral_density_grid,
    )
    from gatefield.theory.static import solve_static, solve_static_grid

__version__ = "0.1.0"

_HOME = {
    "AbstractCell": "cells",
    "AbstractFlow": "cells",
    "AbstractMap": "cells",
    "AdjointMeanField": "theory.adjoint",
    "AnnealedComplexity": "theory.complexity",
    "Complexity": "theory.complexity",
    "CovariantVectors": "analysis.lyapunov",
    "DependentAdjoint": "theory.adjoint",
    "Design": "initialise",
    "DesignSolution": "initialise",
    "Diagnosis": "diagnosis",
    "ElmanRNN": "cells",
    "Erasure": "analysis.reset",
    "FixedPoints": "analysis.fixed_points",
    "GRU": "cells",
    "GatedRNN": "cells",
    "GaussianInput": "networks",
    "GradientMap": "phases",
    "InputResponse": "compare",
    "InputStatistics": "initialise",
    "IntegratorMemory": "analysis.integrator",
    "LSTM": "cells",
    "LayeredNetwork": "networks",
    "LineAttractor": "analysis.integrator",
    "LinearGatedRNN": "cells",
    "LyapunovEnsemble": "analysis.lyapunov",
    "LyapunovSpectrum": "analysis.lyapunov",
    "MeanField": "theory.dmft",
    "MeanFieldLyapunov": "theory.lyapunov",
    "Network": "networks",
    "NetworkGradients": "analysis.gradients",
    "PhaseDiagram": "phases",
    "Pulse": "analysis.reset",
    "Series": "networks",
    "SharedSensitivity": "theory.adjoint",
    "Trajectory": "networks",
    "TransientLengths": "analysis.transients",
    "UnitEnsemble": "theory.rmt",
    "VanillaRNN": "cells",
    "annealed_complexity": "theory.complexity",
    "complexity": "theory.complexity",
    "covariant_vectors": "analysis.lyapunov",
    "design": "initialise",
    "diagnose": "diagnosis",
    "find_fixed_points": "analysis.fixed_points",
    "gradient_map": "phases",
    "input_response": "compare",
    "integrator_memory": "analysis.integrator",
    "jacobian": "networks",
    "line_attractor": "analysis.integrator",
    "linearise": "networks",
    "lyapunov_spectra": "analysis.lyapunov",
    "lyapunov_spectrum": "analysis.lyapunov",
    "mean_field_lyapunov": "theory.lyapunov",
    "network_gradients": "analysis.gradients",
    "phase_diagram": "phases",
    "register": "cells",
    "registered_cells": "cells",
    "reset_by_output_gate": "analysis.reset",
    "reset_by_pulse": "analysis.reset",
    "reset_by_update_gate": "analysis.reset",
    "simulate": "networks",
    "solve_adjoint": "theory.adjoint",
    "solve_dependent_adjoint": "theory.adjoint",
    "solve_dmft": "theory.dmft",
    "solve_shared_sensitivity": "theory.adjoint",
    "solve_static": "theory.static",
    "solve_static_grid": "theory.static",
    "solve_transient": "theory.dmft",
    "spectral_boundary": "theory.rmt",
    "spectral_density": "theory.rmt",
    "spectral_density_grid": "theory.rmt",
    "transient_lengths": "analysis.transients",
}
_ROOMS = (
    "analysis",
    "bridge",
    "cells",
    "compare",
    "diagnosis",
    "io",
    "networks",
    "numerics",
    "phases",
    "plotting",
    "theory",
)

__all__ = [
    "GRU",
    "LSTM",
    "AbstractCell",
    "AbstractFlow",
    "AbstractMap",
    "AdjointMeanField",
    "AnnealedComplexity",
    "Complexity",
    "CovariantVectors",
    "DependentAdjoint",
    "Design",
    "DesignSolution",
    "Diagnosis",
    "ElmanRNN",
    "Erasure",
    "FixedPoints",
    "GatedRNN",
    "GaussianInput",
    "GradientMap",
    "InputResponse",
    "InputStatistics",
    "IntegratorMemory",
    "LayeredNetwork",
    "LineAttractor",
    "LinearGatedRNN",
    "LyapunovEnsemble",
    "LyapunovSpectrum",
    "MeanField",
    "MeanFieldLyapunov",
    "Network",
    "NetworkGradients",
    "PhaseDiagram",
    "Pulse",
    "Series",
    "SharedSensitivity",
    "Trajectory",
    "TransientLengths",
    "UnitEnsemble",
    "VanillaRNN",
    "analysis",
    "annealed_complexity",
    "bridge",
    "compare",
    "complexity",
    "covariant_vectors",
    "design",
    "diagnose",
    "diagnosis",
    "find_fixed_points",
    "gradient_map",
    "input_response",
    "integrator_memory",
    "jacobian",
    "line_attractor",
    "linearise",
    "lyapunov_spectra",
    "lyapunov_spectrum",
    "mean_field_lyapunov",
    "network_gradients",
    "phase_diagram",
    "phases",
    "plotting",
    "register",
    "registered_cells",
    "reset_by_output_gate",
    "reset_by_pulse",
    "reset_by_update_gate",
    "simulate",
    "solve_adjoint",
    "solve_dependent_adjoint",
    "solve_dmft",
    "solve_shared_sensitivity",
    "solve_static",
    "solve_static_grid",
    "solve_transient",
    "spectral_boundary",
    "spectral_density",
    "spectral_density_grid",
    "theory",
    "transient_lengths",
]


def __getattr__(name: str) -> Any:
    """Import a public name, or a sub-package, when it is first used."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"gatefield.{_HOME[name]}"), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"gatefield.{name}")
    else:
        raise AttributeError(f"module 'gatefield' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*globals(), *__all__})
