"""Networks: random or given couplings, simulation, and the Jacobian."""

from gatefield.networks.jacobian import NetworkJacobian, UnitJacobian, jacobian, linearise
from gatefield.networks.layered import Layer, LayeredNetwork, LayeredRun
from gatefield.networks.network import Network
from gatefield.networks.noise import GaussianInput
from gatefield.networks.series import Series
from gatefield.networks.simulate import simulate
from gatefield.networks.trajectory import Trajectory

__all__ = [
    "GaussianInput",
    "Layer",
    "LayeredNetwork",
    "LayeredRun",
    "Network",
    "NetworkJacobian",
    "Series",
    "Trajectory",
    "UnitJacobian",
    "jacobian",
    "linearise",
    "simulate",
]
