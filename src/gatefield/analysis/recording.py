"""Runs of networks of which only chosen quantities are kept, piece by piece."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from gatefield.cells import AbstractMap
from gatefield.cells.base import over_units
from gatefield.cells.observables import quantity_names, stacked_quantities
from gatefield.core.checks import as_number, check_choice, check_names, check_seed
from gatefield.core.errors import NumericalFailureError, refuse
from gatefield.core.types import Array, Float, HostArray
from gatefield.networks import Network
from gatefield.networks.inputs import Drive, Inputs, drive_of
from gatefield.networks.network import as_state, compilable, coupling_fields
from gatefield.networks.noise import GaussianInput
from gatefield.networks.simulate import one_step
from gatefield.numerics.steppers import STEPPERS

FEWEST = 3
"""Networks from which a standard error can be had: fewer say too little of their scatter."""
_DEFAULT_STEP = 0.05
_CHUNK_BYTES = 64 * 2**20
_PIECES = 20

NetworkInputs = Inputs | Callable[[int], Inputs]
"""Inputs of every network, or a function of its number; a `GaussianInput` is drawn for each."""


@dataclasses.dataclass(frozen=True)
class Recording:
    """Networks of one kind, what is recorded of them, and how they are advanced.

    Attributes
    ----------
    networks
        At least one, of one kind of cell and one size.
    quantities
        Names among `quantity_names`.
    method, dt
        "rk4" or "euler" and its step; "map" and 1.
    inputs
        As the caller gave them.
    seed
        Draws initial states and inputs.
    """

    networks: tuple[Network, ...]
    quantities: tuple[str, ...]
    method: str
    dt: float
    inputs: NetworkInputs | None
    seed: int

    @property
    def is_map(self) -> bool:
        """Whether time counts steps."""
        return self.method == "map"

    @property
    def fit(self) -> int:
        """How many recorded times fit the memory that one piece may take."""
        return max(1, _CHUNK_BYTES // (8 * len(self.quantities) * self.networks[0].n))

    def settings(self, **more: object) -> tuple[tuple[str, object], ...]:
        """Return what made a result, with ``more`` of it."""
        own = {
            "network_seeds": tuple(network.seed for network in self.networks),
            "method": self.method,
            "dt": self.dt,
            "inputs": repr(self.inputs),
            "seed": self.seed,
            "dtype": str(self.networks[0].dtype),
        }
        return tuple({**own, **more}.items())

    def start(self, number: int, initial: Any = None) -> Float[HostArray, "component unit"]:
        """Return a given state (d, N), or the one that `simulate` draws for the seed + number."""
        network = self.networks[number]
        with jax.enable_x64(True):
            if initial is not None:
                return np.asarray(as_state("initial", network, initial))
            key = jax.random.key(self.seed + number)
            shape = (len(network.cell.state_names), network.n)
            return np.asarray(jax.random.normal(key, shape, network.dtype))

    def run(
        self, number: int, state: Any, steps: HostArray, ends: Sequence[int], bar: tqdm
    ) -> Iterator[tuple[Float[HostArray, "time quantity unit"], bool]]:
        """Run one network and yield what is recorded, and whether its states are finite.

        Parameters
        ----------
        number
            Which network.
        state
            Where it starts at step 0, (d, N).
        steps
            Ascending step numbers at which to record.
        ends
            Ascending positions in ``steps`` at which a piece ends; the last is their number.
        bar
            Advanced by the steps that were made.
        """
        starts = [0, *ends[:-1]]
        size = max(end - start for start, end in zip(starts, ends, strict=True))
        picked = tuple(
            quantity_names(self.networks[0].cell).index(name) for name in self.quantities
        )
        with jax.enable_x64(True):
            network = compilable(self.networks[number])
            drive = self._drive(number, float(max(steps[-1], 1) * self.dt))
            state = jnp.asarray(state, network.dtype)
            dt = jnp.asarray(self.dt, network.dtype)

            def advance(state, first, counts):
                padded = jnp.asarray(np.pad(counts, (0, size - len(counts))))
                first, used = jnp.asarray(first), jnp.asarray(len(counts))
                options = first, padded, used, dt, self.method, picked
                state, rows = _record(network, drive, state, *options)
                bar.update(int(counts.sum()))
                return state, rows

            # In pieces, so that a run can be watched and interrupted.
            bounds = np.unique(np.linspace(0, steps[0], _PIECES + 1).astype(int))
            for low, high in zip(bounds[:-1], bounds[1:], strict=True):
                state, _ = advance(state, low, np.array([high - low]))
            counts = np.append(np.diff(steps), 0)
            for start, end in zip(starts, ends, strict=True):
                state, rows = advance(state, steps[start], counts[start:end])
                yield np.asarray(rows)[: end - start], bool(jnp.all(jnp.isfinite(state)))

    def _drive(self, number: int, t_max: float) -> Drive:
        given, network = self.inputs, self.networks[number]
        if callable(given):
            given = given(number)
        if isinstance(given, Mapping):
            names, drawn = network.cell.drive_names, {}
            check_names("inputs", given, names)
            for name, value in given.items():
                if isinstance(value, GaussianInput):
                    words = np.random.SeedSequence((self.seed, number, names.index(name)))
                    seed = int(words.generate_state(1, np.uint64)[0] >> 1)
                    value = value.realise(network.n, t_max, dt=self.dt, seed=seed)
                drawn[name] = value
            given = drawn
        return drive_of(network, given)


def recording(
    networks: Network | Sequence[Network],
    *,
    dt: float | None,
    method: str | None,
    inputs: NetworkInputs | None,
    quantities: Sequence[str] | None,
    seed: int,
) -> Recording:
    """Check what the tools that record take alike.

    Raises
    ------
    InvalidInputError
        For anything that does not fit.
    """
    every = (networks,) if isinstance(networks, Network) else tuple(networks)
    if not every or not all(isinstance(network, Network) for network in every):
        refuse("networks", networks, "a Network or a sequence of them", "Use Network.sample.")
    kinds = {(type(each.cell), each.n, str(each.dtype)) for each in every}
    if len(kinds) > 1:
        shown = sorted(f"{kind.__name__}, n={n}, {dtype}" for kind, n, dtype in kinds)
        refuse("networks", shown, "one kind of cell, one size, one dtype", "Call once for each.")
    cell = every[0].cell
    known = quantity_names(cell)
    if isinstance(quantities, str):
        refuse("quantities", quantities, "a sequence of names", f"Pass ({quantities!r},).")
    chosen = known if quantities is None else tuple(dict.fromkeys(quantities))
    check_names("quantities", chosen, known)
    if not chosen:
        refuse("quantities", quantities, f"some of {known}", "Leave it out for all.")
    if isinstance(cell, AbstractMap):
        if method is not None or dt is not None:
            given = f"method={method!r}, dt={dt!r}"
            refuse("for a map", given, "neither method nor dt", "Maps advance step by step.")
        method, step = "map", 1.0
    else:
        method = check_choice("method", "rk4" if method is None else method, STEPPERS)
        step = as_number("dt", _DEFAULT_STEP if dt is None else dt, positive=True)
    return Recording(every, chosen, method, step, inputs, check_seed(seed))


def progress_bar(total: int, progress: bool | None, desc: str) -> tqdm:
    """Return a bar as `simulate` shows it."""
    delay = 3.0 if progress is None else 0.0
    hidden = None if progress is None else not progress
    return tqdm(total=total, disable=hidden, delay=delay, desc=desc, unit="step")


def check_finite(name: str, finite: bool, throw: bool) -> None:
    """Raise for states that are not finite, if ``throw``.

    Raises
    ------
    NumericalFailureError
        Which names the remedies.
    """
    if throw and not finite:
        raise NumericalFailureError(
            f"{name} left the finite numbers. Reduce dt; throw=False returns what there is."
        )


@eqx.filter_jit
def _record(network, drive, state, first, counts, used, dt, method, picked):
    """Record, then advance by counts[i] steps, for the first ``used`` entries of counts."""
    step = one_step(network, drive, dt, method)
    buffer = jnp.zeros((counts.shape[0], len(picked), network.n), state.dtype)

    def observe(number: Array, state: Array) -> Array:
        driven = drive(number if method == "map" else number.astype(state.dtype) * dt)
        fields = coupling_fields(network, state, driven)
        every = over_units(stacked_quantities, network.cell, state, fields, driven)
        return jnp.stack([every[row] for row in picked])

    def save(index, carry):
        state, number, buffer = carry
        seen = observe(number, state)
        buffer = jax.lax.dynamic_update_index_in_dim(buffer, seen, index, 0)
        end = number + counts[index]
        return jax.lax.fori_loop(number, end, step, state), end, buffer

    state, _, buffer = jax.lax.fori_loop(0, used, save, (state, first, buffer))
    return state, buffer
