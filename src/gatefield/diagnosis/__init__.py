"""Trained networks as dynamical systems: what a recurrent module's weights do with its inputs."""

from gatefield.diagnosis.advice import URGENCY, Advice
from gatefield.diagnosis.biases import Biases
from gatefield.diagnosis.couplings import Couplings
from gatefield.diagnosis.diagnose import diagnose
from gatefield.diagnosis.drives import Drives
from gatefield.diagnosis.effort import EFFORTS
from gatefield.diagnosis.ensemble import Ensemble
from gatefield.diagnosis.exponents import Exponents
from gatefield.diagnosis.gates import RunStatistics
from gatefield.diagnosis.gradients import Gradients
from gatefield.diagnosis.result import STAGES, Diagnosis, LayerDiagnosis, Stage
from gatefield.diagnosis.slow_points import SlowPoints
from gatefield.diagnosis.spectra import Spectra
from gatefield.diagnosis.timescales import Timescales

__all__ = [
    "EFFORTS",
    "STAGES",
    "URGENCY",
    "Advice",
    "Biases",
    "Couplings",
    "Diagnosis",
    "Drives",
    "Ensemble",
    "Exponents",
    "Gradients",
    "LayerDiagnosis",
    "RunStatistics",
    "SlowPoints",
    "Spectra",
    "Stage",
    "Timescales",
    "diagnose",
]
