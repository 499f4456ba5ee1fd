"""How pulses of input to the gates erase what a network remembers."""

from gatefield.analysis.reset.context import context_gate, memory_coupling
from gatefield.analysis.reset.gates import reset_by_output_gate, reset_by_update_gate
from gatefield.analysis.reset.pulses import Pulse, reset_by_pulse
from gatefield.analysis.reset.result import Erasure

__all__ = [
    "Erasure",
    "Pulse",
    "context_gate",
    "memory_coupling",
    "reset_by_output_gate",
    "reset_by_pulse",
    "reset_by_update_gate",
]
