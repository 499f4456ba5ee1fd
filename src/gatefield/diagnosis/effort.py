"""How much work a diagnosis may take: limits by the effort asked for and the network's size."""

from __future__ import annotations

from typing import NamedTuple

EFFORTS = ("quick", "normal", "thorough")
_FACTOR = {"quick": 0.25, "normal": 1.0, "thorough": 4.0}
_EXPONENT_WORK = 1.2e12  # products of numbers, about half a minute on two cores
_GRADIENT_WORK = 1.2e10  # couplings times steps times readouts, about as long
_NETWORK_WORK = 1e11  # products of numbers of all random networks beside a layer
_NETWORKS = {"quick": 8, "normal": 8, "thorough": 16}
_HELD = 1e8  # numbers of a layer's run that are kept, 0.8 GB


class Limits(NamedTuple):
    """What each part of a diagnosis may take.

    Attributes
    ----------
    sequences, steps
        Sequences that are run, and the steps of each that are used.
    moments
        Pairs of step and sequence at which gates are evaluated.
    whole, states
        States at which all eigenvalues, and at which leading ones, are computed.
    exponents, exponent_steps
        Exponents that are followed, and for how long.
    starts, newton_steps, largest
        Searches for fixed points, steps of each, and the largest d N for Newton's method.
    relaxations
        Runs under the mean input from which the searches begin.
    readouts, horizon
        Readouts whose gradients are averaged, and steps that these go back.
    networks, network_work
        Random networks that are run beside the layer at most, and products of numbers that they
        may take in all.
    samples, batches, period, sweeps
        Of the sampled theory.
    plane
        Points on each side of the phase plane.
    """

    sequences: int
    steps: int
    moments: int
    whole: int
    states: int
    exponents: int
    exponent_steps: int
    starts: int
    newton_steps: int
    largest: int
    relaxations: int
    readouts: int
    horizon: int
    networks: int
    network_work: float
    samples: int
    batches: int
    period: float
    sweeps: int
    plane: int


def limits_of(effort: str, n: int, components: int, fields: int) -> Limits:
    """Return the limits for a layer of n units.

    Parameters
    ----------
    effort
        One of `EFFORTS`.
    n, components, fields
        Units N, components d of a unit's state, coupling fields K.
    """
    factor, size = _FACTOR[effort], n * components
    sequences = {"quick": 2, "normal": 8, "thorough": 16}[effort]
    held = sequences * n * (fields + components)
    steps = int(min(4000, max(256, 2e6 * factor / n), max(64, _HELD / held)))
    # A Jacobian's eigenvalues take about 10 (d N)^3 operations: 8e10 at d N = 2000, some seconds.
    whole = int(max(1, min(5, 2.5e11 * factor / (10.0 * size**3))))
    exponents = size if size <= 256 * factor**0.5 else int(min(size, max(32, 128 * factor**0.5)))
    # Each step sums K matrices, and multiplies the frame by d^2 of them at most.
    each = 2.0 * n**2 * (fields + components**2 * exponents) + 8.0 * exponents**2 * size
    follow = int(min(4000 * factor, max(128, _EXPONENT_WORK * factor / each)))
    readouts = 8 if n <= 512 else 4 if n <= 1024 else 1
    horizon = int(min(2000, max(64, _GRADIENT_WORK * factor / (fields * n**2 * readouts))))
    return Limits(
        sequences=sequences,
        steps=steps,
        moments=int(max(64, min(1024, 4e5 * factor / n))),
        whole=whole,
        states=max(whole, 3 if n > 1024 else 5),
        exponents=exponents,
        exponent_steps=follow,
        starts=int(max(2, min(16, 2e10 * factor / size**3))),
        newton_steps=50 if size <= 512 else 25,
        largest=3000,
        relaxations=4,
        readouts=readouts,
        horizon=horizon,
        networks=_NETWORKS[effort],
        network_work=_NETWORK_WORK * factor,
        samples=512 if effort == "quick" else 1024,
        batches=4,
        period=2048.0 if effort == "thorough" else 512.0,
        sweeps=200,
        plane=13 if effort == "thorough" else 7 if effort == "normal" else 5,
    )
