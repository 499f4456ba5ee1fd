"""Networks: random or given couplings, simulation, and the Jacobian."""

from gatefield.networks.jacobian import NetworkJacobian, UnitJacobian, jacobian, linearise
from gatefield.networks.network import Network
from gatefield.networks.noise import GaussianInput
from gatefield.networks.simulate import simulate
from gatefield.networks.trajectory import Trajectory

__all__ = [
    "GaussianInput",
    "Network",
    "NetworkJacobian",
    "Trajectory",
    "UnitJacobian",
    "jacobian",
    "linearise",
    "simulate",
]
