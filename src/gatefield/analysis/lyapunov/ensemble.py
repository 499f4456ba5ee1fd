"""Spectra of several networks, or from several initial states, at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import numpy as np
from tqdm.auto import tqdm

from gatefield.analysis.lyapunov.result import LyapunovSpectrum
from gatefield.analysis.lyapunov.spectrum import lyapunov_spectrum
from gatefield.cells import AbstractMap
from gatefield.core.checks import check_count, check_seed
from gatefield.core.errors import refuse
from gatefield.core.results import AbstractResult, Status, quantity
from gatefield.core.types import Float, HostArray, Int
from gatefield.networks.network import Network
from gatefield.numerics.threads import in_turn


class LyapunovEnsemble(AbstractResult):
    """Lyapunov exponents of several runs, and their means.

    Attributes
    ----------
    exponents
        Of each run, (run, k), descending; natural log per time constant (maps: per step).
    run_errors
        Standard error of each within its run, (run, k).
    network, start
        Which network and which of its initial states a run belongs to, (run,).
    dimensions
        Kaplan-Yorke dimension of each run, (run,); NaN where it was not reached.
    is_map
        Whether rates are per step.
    status
        OK if every run is; else that of one which is not.
    spectra
        The runs themselves, network after network.
    """

    exponents: Float[HostArray, "run rank"] = eqx.field(
        metadata=quantity("run", "rank", unit="1 / time constant")
    )
    run_errors: Float[HostArray, "run rank"] = eqx.field(
        metadata=quantity("run", "rank", unit="1 / time constant")
    )
    network: Int[HostArray, " run"] = eqx.field(metadata=quantity("run"))
    start: Int[HostArray, " run"] = eqx.field(metadata=quantity("run"))
    dimensions: Float[HostArray, " run"] = eqx.field(metadata=quantity("run"))
    is_map: bool = eqx.field(static=True)
    status: Status = eqx.field(static=True)
    spectra: tuple[LyapunovSpectrum, ...] = eqx.field(repr=False)

    @property
    def mean(self) -> Float[HostArray, " rank"]:
        """Mean over networks of the exponents, each network's over its initial states."""
        return self._by_network(self.exponents).mean(axis=0)

    @property
    def standard_errors(self) -> Float[HostArray, " rank"]:
        """Standard error of the mean, from the scatter of networks.

        With one network from that of its initial states, and with one run that of the run.
        """
        if len(self.exponents) == 1:
            return self.run_errors[0]
        each = self._by_network(self.exponents)
        each = self.exponents if len(each) == 1 else each
        return each.std(axis=0, ddof=1) / np.sqrt(len(each))

    def _by_network(self, values: HostArray) -> HostArray:
        which = np.unique(self.network)
        return np.stack([values[self.network == each].mean(axis=0) for each in which])


def lyapunov_spectra(
    networks: Network | Sequence[Network],
    k: int | None = None,
    *,
    starts: int = 1,
    initial: Sequence[Any] | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    progress: bool | None = None,
    **options: Any,
) -> LyapunovEnsemble:
    """Measure the Lyapunov exponents of several networks, from several initial states each.

    Runs share the cores where their frames are small.

    Parameters
    ----------
    networks
        One or several, with equally many exponents.
    k
        As in `lyapunov_spectrum`.
    starts
        Number of initial states of each network, standard normal.
    initial
        The initial states themselves, each (d, N), the same for every network.
    seed
        Draws the initial states: the j-th of every network from ``seed + j``.
    checkpoint
        A folder for the runs' checkpoints: called again, finished runs are read, others go on.
    progress
        True shows a bar of the runs, None on a terminal after some seconds.
    options
        Those of `lyapunov_spectrum`: ``t_max``, ``burn_in``, ``dt``, ``inputs``, ``accuracy`` ...

    Returns
    -------
    LyapunovEnsemble

    Raises
    ------
    InvalidInputError, NumericalFailureError
        As `lyapunov_spectrum`.

    Assumptions
    -----------
    As in `lyapunov_spectrum`. The scatter of networks contains their finite size: exponents of
    single networks differ by more than their errors.
    """
    several = isinstance(networks, Sequence)
    chosen: list[Any] = list(networks) if several else [networks]
    if not chosen or not all(isinstance(each, Network) for each in chosen):
        remedy = "Build each by Network.sample; call lyapunov_spectrum for a LayeredNetwork."
        refuse("networks", networks, "one Network or several", remedy)
    if len({isinstance(each.cell, AbstractMap) for each in chosen}) > 1:
        refuse(
            "networks", "flows and maps", "one of the two", "Rates per time and per step differ."
        )
    sizes = {len(each.cell.state_names) * each.n for each in chosen}
    if len(sizes) > 1 and k is None:
        remedy = "Ask for k of them, or call lyapunov_spectrum for each."
        refuse("networks", f"d N in {sorted(sizes)}", "one number of exponents", remedy)
    for name in ("resume", "frame"):
        if options.get(name) is not None:
            refuse(name, "given", "None for several runs", "Call lyapunov_spectrum for each.")
    seed, given = check_seed(seed), initial
    count = check_count("starts", starts) if given is None else len(given)
    if count == 0:
        refuse("initial", "[]", "at least one state", "Leave it out for random ones.")
    folder = None if checkpoint is None else Path(checkpoint).expanduser()
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            expected = f"a folder that can be made ({error.strerror or error})"
            refuse("checkpoint", str(folder), expected, "Choose another.")
    jobs = [(number, start) for number in range(len(chosen)) for start in range(count)]

    def one(job: tuple[int, int]) -> LyapunovSpectrum:
        number, start = job
        return lyapunov_spectrum(
            chosen[number],
            k,
            initial=None if given is None else given[start],
            seed=seed + start,
            checkpoint=None if folder is None else folder / f"network{number}_start{start}.npz",
            progress=False,
            **options,
        )

    bar = tqdm(
        total=len(jobs),
        disable=None if progress is None else not progress,
        delay=3.0 if progress is None else 0.0,
        desc="lyapunov_spectra",
        unit="run",
    )

    def report(done: int) -> None:
        bar.update(done - bar.n)

    with bar:
        spectra = in_turn(one, jobs, size=max(sizes), lapack=False, report=report)
    statuses = {each.status for each in spectra} - {Status.OK}
    return LyapunovEnsemble(
        exponents=np.stack([each.exponents for each in spectra]),
        run_errors=np.stack([each.standard_errors for each in spectra]),
        network=np.array([number for number, _ in jobs]),
        start=np.array([start for _, start in jobs]),
        dimensions=np.array([each.kaplan_yorke_dimension for each in spectra]),
        is_map=spectra[0].is_map,
        status=min(statuses, default=Status.OK),
        spectra=tuple(spectra),
    )
