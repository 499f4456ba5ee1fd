"""A network: a cell, N units, and the couplings between them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gatefield.cells import AbstractCell, Wiring, wiring
from gatefield.cells.base import cast, check_cell, over_units, stacked_outputs, stacked_rule
from gatefield.core.checks import check_choice, check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.types import Array, Drives, Fields, Float, HostArray, States
from gatefield.networks.couplings import Stacked, sample_couplings, send, stack_couplings

if TYPE_CHECKING:
    from gatefield.networks.layered import LayeredNetwork


class Network(eqx.Module):
    """N units of one cell and the couplings between them; build it by `sample` or `of_couplings`.

    Attributes
    ----------
    cell
        The per-unit rule.
    couplings
        Stacked coupling matrices, one for each distinct output of the cell; `coupling` returns the
        matrix of one field.
    wiring
        Which fields each stacked matrix feeds, and the order of sending.
    seed
        The seed that drew the couplings; -1 for given ones.
    """

    cell: AbstractCell
    couplings: Stacked
    wiring: Wiring = eqx.field(static=True)
    seed: int = eqx.field(static=True, default=-1)

    @classmethod
    def sample(
        cls, cell: AbstractCell, n: int, *, seed: int = 0, dtype: str = "float64"
    ) -> Network:
        r"""Draw a network: J^a has independent entries of N(0, gain_a^2 / N).

        Parameters
        ----------
        cell
            The per-unit rule; parameters of shape (N,) are per unit.
        n
            Number of units N.
        seed
            Same seed, same network.
        dtype
            "float64" or "float32".

        Returns
        -------
        Network

        Raises
        ------
        InvalidInputError
            If n < 1, dtype is unknown, or a per-unit parameter does not have N entries.
        """
        n, seed = check_count("n", n), check_seed(seed)
        precision = _precision(dtype)
        _check_units(check_cell(cell), n)
        with jax.enable_x64(True):
            wires = wiring(cell)
            return cls(cell, sample_couplings(cell, wires, n, seed, precision), wires, seed)

    @classmethod
    def of_couplings(
        cls, cell: AbstractCell, couplings: Mapping[str, Any], *, dtype: str = "float64"
    ) -> Network:
        """Build a network from given matrices, for instance trained ones.

        Parameters
        ----------
        cell
            The per-unit rule; its gains are not applied to the given matrices.
        couplings
            For each field the (N, N) matrix J^a, with u^a = J^a y^a.
        dtype
            "float64" or "float32".

        Returns
        -------
        Network

        Raises
        ------
        InvalidInputError
            If matrices are missing, not square, of different sizes or not finite.
        """
        precision = _precision(dtype)
        check_cell(cell)
        if not isinstance(couplings, Mapping):
            refuse(
                "couplings", type(couplings).__name__, "a mapping by field name", "One per field."
            )
        with jax.enable_x64(True):
            wires = wiring(cell)
            network = cls(cell, stack_couplings(cell, wires, couplings, precision), wires)
        _check_units(cell, network.n)
        return network

    @classmethod
    def from_torch(cls, module: Any, *, dtype: str | None = None) -> LayeredNetwork:
        """Return the layers of a torch.nn.RNN, GRU or LSTM, as `gatefield.bridge.from_torch`."""
        # `bridge` stands above this layer: it is looked up when called.
        return importlib.import_module("gatefield.bridge").from_torch(module, dtype=dtype)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        prefix: str = "",
        *,
        kind: str | None = None,
        nonlinearity: str | None = None,
        dtype: str | None = None,
    ) -> LayeredNetwork:
        """Return the layers stored in a file of weights, as `gatefield.bridge.from_file`."""
        return importlib.import_module("gatefield.bridge").from_file(
            path, prefix, kind=kind, nonlinearity=nonlinearity, dtype=dtype
        )

    def with_cell(self, cell: AbstractCell) -> Network:
        """Return the network with other parameters of the same cell and the couplings as they are.

        Raises
        ------
        InvalidInputError
            If the cell is of another kind or wired differently; if couplings were drawn, also if it
            has other gains, which they carry.
        """
        _check_units(check_cell(cell), self.n)
        with jax.enable_x64(True):
            wires = wiring(cell)
        alike = type(cell) is type(self.cell) and wires == self.wiring
        if not alike or (self.seed >= 0 and not _equal_gains(self.cell, cell, self.n)):
            refuse("cell", cell, f"a {type(self.cell).__name__} of equal gains", "Sample anew.")
        return eqx.tree_at(lambda network: network.cell, self, cell)

    @property
    def n(self) -> int:
        """Number of units N."""
        return self.couplings[0].shape[-1]

    @property
    def dtype(self) -> np.dtype:
        """Precision of the couplings, and of simulations."""
        return np.dtype(self.couplings[0].dtype)

    def coupling(self, field: str) -> Float[HostArray, "unit unit"]:
        """Return the coupling matrix J^a of one field, on the host."""
        check_choice("field", field, self.cell.field_names)
        index = self.cell.field_names.index(field)
        for group, stacked in zip(self.wiring.groups, self.couplings, strict=True):
            if index in group:
                start = group.index(index) * self.n
                return np.asarray(stacked[start : start + self.n])
        raise AssertionError("every field is in one group")

    def gains(self) -> Float[HostArray, " field"]:
        """Return each field's gain: the cell's for drawn couplings, |J|/sqrt(N) for given ones."""
        names = self.cell.field_names
        if self.seed < 0:
            norms = [np.linalg.norm(self.coupling(name)) for name in names]
            return np.array(norms, np.float64) / np.sqrt(self.n)
        drawn = self.cell.gains()
        return np.array([np.sqrt(np.mean(np.square(drawn[name]))) for name in names])

    def relative_gains(self) -> Float[HostArray, "unit field"]:
        """Return each unit's gain of drawn couplings over `gains`; ones for given couplings."""
        if self.seed < 0:
            return np.ones((self.n, len(self.cell.field_names)))
        return relative_gains(self.cell, self.n)

    def __repr__(self) -> str:
        """Show cell and size, not the matrices."""
        return f"Network({self.cell!r}, n={self.n}, seed={self.seed}, dtype={self.dtype})"


def relative_gains(cell: AbstractCell, n: int) -> Float[HostArray, "unit field"]:
    """Return the gains of n units over their root mean square, field by field; ones for zero."""
    columns = []
    for name in cell.field_names:
        each = np.broadcast_to(np.asarray(cell.gains()[name], np.float64), (n,))
        size = np.sqrt(np.mean(each**2))
        columns.append(each / size if size > 0 else np.ones(n))
    return np.stack(columns, axis=1)


def coupling_fields(network: Network, state: States, drive: Drives) -> Fields:
    """Return the coupling fields u^a = J^a y^a of a network's state, stage by stage."""
    count = len(network.cell.field_names)
    rows = [jnp.zeros(state.shape[-1:], state.dtype)] * count
    for stage in network.wiring.stages:
        sent = over_units(stacked_outputs, network.cell, state, jnp.stack(rows), drive)
        for index in stage:
            group = network.wiring.groups[index]
            brought = send(network.couplings[index], sent[group[0]])
            for place, field in enumerate(group):
                rows[field] = brought[place]
    return jnp.stack(rows)


def change(network: Network, state: States, drive: Drives) -> States:
    """Return ds/dt of a flow, or the next state of a map, for all units."""
    fields = coupling_fields(network, state, drive)
    return over_units(stacked_rule, network.cell, state, fields, drive)


def compilable(network: Network) -> Network:
    """Return the network as compiled code takes it: parameters in its precision, without its seed.

    The seed is no array: code would be compiled anew for each network that was drawn.
    """
    return Network(cast(network.cell, network.dtype), network.couplings, network.wiring)


def as_states(name: str, network: Network, state: Any) -> Array:
    """Check one state (d, N) or a batch (S, d, N) and return it in the network's precision.

    Raises
    ------
    InvalidInputError
        If the shape does not fit or values are not finite.
    """
    host = np.asarray(state)
    if not np.issubdtype(host.dtype, np.number) or np.iscomplexobj(host):
        refuse(name, f"array of {host.dtype}", "real numbers", "Take the real part.")
    d = len(network.cell.state_names)
    if host.ndim not in (2, 3) or host.shape[-2:] != (d, network.n) or host.size == 0:
        expected = f"({d}, {network.n}) or (samples, {d}, {network.n}): components, units"
        refuse(f"{name}.shape", host.shape, expected, "Put the unit axis last.")
    if not np.all(np.isfinite(host)):
        refuse(name, "values that are not finite", "finite numbers", "Check where it comes from.")
    return jnp.asarray(host, network.dtype)


def _equal_gains(first: AbstractCell, second: AbstractCell, n: int) -> bool:
    old, new = first.gains(), second.gains()
    return all(
        np.array_equal(np.broadcast_to(old[name], n), np.broadcast_to(new[name], n)) for name in old
    )


def as_state(name: str, network: Network, state: Any) -> Array:
    """Check one state (d, N) as `as_states` does, refusing batches."""
    if np.ndim(state) != 2:
        refuse(f"{name}.shape", np.shape(state), "one state (d, N)", "Loop over the batch.")
    return as_states(name, network, state)


def _precision(dtype: str) -> np.dtype:
    known = {np.float64: "float64", np.float32: "float32"}
    name = known.get(getattr(dtype, "type", dtype), dtype)
    return np.dtype(check_choice("dtype", name, ("float64", "float32")))


def _check_units(cell: AbstractCell, n: int) -> None:
    for name, value in vars(cell).items():
        shape = np.shape(value)
        if shape not in ((), (n,)):
            expected = f"() for a shared or ({n},) for a per-unit parameter"
            refuse(f"cell.{name}.shape", shape, expected, "One value, or one for each unit.")
