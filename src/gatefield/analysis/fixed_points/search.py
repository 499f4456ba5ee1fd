"""`find_fixed_points`: Newton's method from many starts, and what it found sorted out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.analysis.fixed_points.iterate import Searched, descend, solve
from gatefield.analysis.fixed_points.result import FixedPoints, size_of
from gatefield.analysis.fixed_points.starts import drawn_states
from gatefield.cells import AbstractMap
from gatefield.core.checks import as_number, check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import Status
from gatefield.networks.inputs import Inputs, drive_of
from gatefield.networks.jacobian import jacobian
from gatefield.networks.layered import LayeredNetwork
from gatefield.networks.network import Network, as_states, compilable

_STARTS = 64
_LARGEST = 3000
_ROUNDING = 1e-9  # of eigenvalues


def find_fixed_points(
    network: Network,
    starts: int | None = None,
    *,
    inputs: Inputs | None = None,
    initial: Any = None,
    spread: float = 1.0,
    tolerance: float = 1e-10,
    max_steps: int = 200,
    distinct: float = 1e-6,
    slow: float | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> FixedPoints:
    r"""Search for the fixed points of a network by Newton's method from many starts.

    .. math:: v(x) = \dot x \;\text{(flows)}, \quad v(x) = F(x) - x \;\text{(maps)}, \qquad
        x \leftarrow x - a\, \Big(\frac{\partial v}{\partial x}\Big)^{-1} v(x)

    with the exact Jacobian, and the length a that reduces :math:`|v|^2` most. Where none does by
    much, a step of Levenberg and Marquardt is taken instead: :math:`|v|^2` never grows.

    Parameters
    ----------
    network
        Any network of at most 3000 state components d N; one of float32 is searched in double
        precision. Of a stack of layers (`LayeredNetwork`) pass one layer's ``network``.
    starts
        How many starts are drawn: by default 64, or none where ``initial`` is given. The first is
        the zero state; half are states of simulated trajectories at equal intervals, two of three
        moved by 0.1 and 0.5 of their size; the others are normal, of 0.1, 0.3, 1 and 3 times
        ``spread``.
    inputs
        Constant external input by drive name: a number or an array (N,). For a layer of a trained
        network that reads x: ``{name: W @ x for name, W in layer.input_weights.items()}``.
    initial
        Starts of one's own, (d, N) or (S, d, N).
    spread
        Standard deviation of drawn starts.
    tolerance
        Speed (root mean square of v) below which a state is a fixed point, provided that the Newton
        step from there is short: where gates close, the speed falls to zero towards infinity.
        Newton's method then goes on until the speed falls no further, usually to rounding.
    max_steps
        Bound on the steps of one search.
    distinct
        Root mean square distance, relative to the larger state's size where that exceeds one, below
        which two points are the same. Points that a symmetry relates stay apart.
    slow
        If given, speed up to which a local minimum of :math:`|v|^2` that is not zero is reported as
        a slow point. Every start is then searched twice, by Newton's method and by descent.
    seed
        Draws the starts; same seed, same result.
    progress
        True shows a bar of the searches, None on a terminal after some seconds.

    Returns
    -------
    FixedPoints

    Raises
    ------
    InvalidInputError
        For inputs that depend on time, networks that are too large, and shapes or numbers that do
        not fit.

    Assumptions
    -----------
    What was not found may exist: raise ``starts`` until the points stop increasing. Searches also
    end at minima of the speed that are not zeros, as slow points are: of gated maps most of those
    from normal starts do, which ``converged`` tells. v is smooth, as
    with tanh; with relu Newton's method may miss points. At a bifurcation the Jacobian is singular:
    convergence is slow there, ``errors`` is large beside ``speeds``, and a point known to the
    square root of the tolerance may be counted more than once.

    References
    ----------
    Sussillo and Barak, Neural Computation 25, 626 (2013), for slow points. Krishnamurthy, Can and
    Schwab, Phys. Rev. X 12, 011011 (2022), Sec. IV and App. I, for what their number means.
    """
    _check(network, inputs)
    tolerance = as_number("tolerance", tolerance, positive=True)
    distinct = as_number("distinct", distinct, positive=True)
    spread = as_number("spread", spread, positive=True)
    max_steps, seed = check_count("max_steps", max_steps), check_seed(seed)
    if slow is not None:
        slow = as_number("slow", slow, positive=True)
        if slow <= tolerance:
            refuse("slow", slow, f"more than tolerance = {tolerance:g}", "Raise one of them.")
    if starts is not None:
        starts = check_count("starts", starts, at_least=0 if initial is not None else 1)
    count = (_STARTS if initial is None else 0) if starts is None else starts
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), compilable(network))
        shape = (-1, len(wide.cell.state_names), wide.n)
        drive = drive_of(wide, inputs).constant
        states = np.zeros((0, *shape[1:]))
        if initial is not None:
            states = np.asarray(as_states("initial", wide, initial)).reshape(shape)
        if count:
            states = np.concatenate([states, drawn_states(wide, inputs, count, spread, seed)])
        searches = len(states) * (1 if slow is None else 2)
        bar = tqdm(
            total=searches,
            disable=None if progress is None else not progress,
            delay=3.0 if progress is None else 0.0,
            desc="find_fixed_points",
            unit="search",
        )
        with bar:
            minima = Searched(states[:0], np.zeros(0), np.zeros(0), np.zeros(0, bool))
            if slow is not None:
                minima = descend(wide, drive, states, tolerance, max_steps, bar)
                # Descents that ended at zeros are completed by Newton's method.
                zeros = minima.reached & (minima.merits <= tolerance**2)
                states = np.concatenate([states, minima.states[zeros]])
                good = minima.reached & ~zeros & (minima.merits <= slow**2)
                minima = Searched(*(each[good] for each in minima))
            fixed = solve(wide, drive, states, tolerance, max_steps, bar)
        fixed = Searched(*(each[fixed.reached] for each in fixed))
        kept, found, is_slow = _merged(fixed, minima, distinct)
        edges, unstable, stable = _stability(wide, kept.states, inputs)
    settings = {
        "cell": repr(network.cell),
        "n": network.n,
        "network_seed": network.seed,
        "searches": searches,
        "spread": spread,
        "tolerance": tolerance,
        "max_steps": max_steps,
        "distinct": distinct,
        "slow": slow,
        "seed": seed,
    }
    return FixedPoints(
        states=kept.states,
        is_slow=is_slow,
        speeds=np.sqrt(kept.merits),
        errors=kept.lengths,
        found=found,
        leading_edges=edges,
        unstable=unstable,
        stable=stable,
        converged=np.asarray(np.sum(found) / searches),
        is_map=isinstance(network.cell, AbstractMap),
        status=Status.OK if len(found) else Status.NOT_CONVERGED,
        settings=tuple(settings.items()),
    )


def _check(network: Any, inputs: Any) -> None:
    if isinstance(network, LayeredNetwork):
        remedy = "Pass network.layers[k].network, and as inputs what that layer receives."
        refuse("network", network, "the Network of one layer", remedy)
    if not isinstance(network, Network):
        refuse("network", type(network).__name__, "a Network", "Build one by Network.sample.")
    size = len(network.cell.state_names) * network.n
    if size > _LARGEST:
        remedy = "Each Newton step solves a dense system; search a smaller network."
        refuse("d N", size, f"at most {_LARGEST}", remedy)
    for name, value in inputs.items() if isinstance(inputs, Mapping) else ():
        if callable(value):
            expected = "a number or an array (N,): input that is constant in time"
            refuse(f"inputs[{name!r}]", value, expected, "Freeze it at its value at one time.")


def _merged(
    fixed: Searched, minima: Searched, distinct: float
) -> tuple[Searched, np.ndarray, np.ndarray]:
    """Return the distinct points, how many searches found each, and which are slow."""
    states, merits, lengths, _ = (np.concatenate(pair) for pair in zip(fixed, minima, strict=True))
    is_slow = np.repeat([False, True], [len(fixed.states), len(minima.states)])
    sizes = size_of(states)
    left, kept, found = np.lexsort((merits, is_slow)), [], []
    while left.size:
        best = left[0]
        limit = distinct * np.maximum(1.0, np.maximum(sizes[left], sizes[best]))
        same = size_of(states[left] - states[best]) <= limit
        kept.append(best)
        found.append(int(np.sum(same)))
        left = left[~same]
    order = np.lexsort((sizes[kept], is_slow[kept])) if kept else np.zeros(0, int)
    kept, found = np.array(kept, int)[order], np.array(found, int)[order]
    points = Searched(states[kept], merits[kept], lengths[kept], ~is_slow[kept])
    return points, found, is_slow[kept]


def _stability(network: Network, states: np.ndarray, inputs: Any) -> tuple[np.ndarray, ...]:
    """Return leading edges, numbers of unstable directions, and which points are stable."""
    is_map = isinstance(network.cell, AbstractMap)
    edges, unstable = np.zeros(len(states)), np.zeros(len(states), int)
    for place, state in enumerate(states):
        values = np.linalg.eigvals(jacobian(network, state, inputs=inputs).as_matrix())
        growth = np.abs(values) - 1 if is_map else np.real(values)
        edges[place] = np.max(growth) + is_map
        unstable[place] = np.sum(growth > _ROUNDING)
    return edges, unstable, edges - is_map < -_ROUNDING
