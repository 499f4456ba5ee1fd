"""The command ``gatefield lyapunov``: spectra of networks and models, exponents by theory."""

from __future__ import annotations

from rich.console import Console

from gatefield.cli import lyapunov_model, lyapunov_spectrum, lyapunov_theory
from gatefield.cli.config import LyapunovConfig


def run(config: LyapunovConfig, console: Console | None = None) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    config
        The options.
    console
        Where to print; by default standard output.

    Returns
    -------
    int
        0, or 1 with ``strict`` if something was not shown; `lyapunov_spectrum`,
        `lyapunov_model` and `lyapunov_theory` say what.
    """
    if config.model is not None:
        return lyapunov_model.run(config, console)
    return (lyapunov_theory if config.theory else lyapunov_spectrum).run(config, console)
