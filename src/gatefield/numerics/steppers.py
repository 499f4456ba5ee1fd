"""Fixed steps of ordinary differential equations, as functions of a velocity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatefield.core.types import Array

Velocity = Callable[[Any, Array], Array]
Step = Callable[[Velocity, Any, Array, Any], Array]


def euler(velocity: Velocity, time: Any, state: Array, dt: Any) -> Array:
    """Advance by one explicit Euler step: state + dt velocity(time, state), first order."""
    return state + dt * velocity(time, state)


def rk4(velocity: Velocity, time: Any, state: Array, dt: Any) -> Array:
    """Advance by one step of the classical Runge-Kutta method, fourth order, four velocities."""
    half = dt / 2
    k1 = velocity(time, state)
    k2 = velocity(time + half, state + half * k1)
    k3 = velocity(time + half, state + half * k2)
    k4 = velocity(time + dt, state + dt * k3)
    return state + (dt / 6) * (k1 + 2 * k2 + 2 * k3 + k4)


STEPPERS: dict[str, Step] = {"euler": euler, "rk4": rk4}
"""The fixed-step methods, by the name that `gatefield.simulate` takes."""
