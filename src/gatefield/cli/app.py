"""The command ``gatefield``: reads options and TOML files, and turns errors into messages.

This module imports neither JAX nor xarray, so that ``--help`` answers at once; a command imports
what it needs when it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import App, Parameter
from cyclopts.config import Toml
from pydantic import ValidationError

from gatefield import __version__
from gatefield.cli.config import (
    CorrelationsConfig,
    DesignConfig,
    DiagnoseConfig,
    DrivenNetworksConfig,
    FiguresConfig,
    FixedPointsConfig,
    GradientsConfig,
    IntegratorConfig,
    LinesConfig,
    LyapunovConfig,
    PhasesConfig,
    ResetConfig,
    SpectrumConfig,
    TransientsConfig,
)
from gatefield.core.errors import GatefieldError

BAD_INPUT = 2
DISAGREEMENT = 1
INTERRUPTED = 130

app = App(
    name="gatefield",
    help="The theory of gating in recurrent networks: phase diagrams, spectra, correlations and "
    "chaos, each prediction next to a simulated network.",
    version=__version__,
)


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[
        Path | None, Parameter(help="TOML file with a table for each command, e.g. [phases].")
    ] = None,
) -> int:
    """Read the configuration file, then run the command."""
    app.config = () if config is None else (Toml(config, must_exist=True),)
    return app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


@app.command
def phases(*, config: PhasesConfig | None = None) -> int:
    """Compute the (g_h, alpha_r) phase diagram of the gated RNN and verify it on networks.

    Writes a figure and a netCDF file, prints the critical values, and simulates networks at a point
    of each region (or at each --point). Exits with 1 if a region's own point disagrees.
    """
    from gatefield.cli.phases import run

    return run(PhasesConfig.model_validate({}) if config is None else config)


@app.command
def lines(*, config: LinesConfig | None = None) -> int:
    """Draw critical lines of the gated RNN for several biases or static inputs (Fig. 13).

    One solid line (stability) and one dashed (marginal stability) for each --value of what is to
    --vary; networks are simulated at every --point. Writes a figure and a netCDF file. Exits with 1
    if networks disagree with theory and --strict was given.
    """
    from gatefield.cli.lines import run

    return run(LinesConfig.model_validate({}) if config is None else config)


@app.command
def spectrum(*, config: SpectrumConfig | None = None) -> int:
    """Compare the Jacobian's eigenvalues in networks with random-matrix theory.

    Simulates networks (or takes their states from --state), prints theory's leading edges beside
    the networks', and writes a figure and a netCDF file, which --state can read. Exits with 1 if
    theory and networks disagree and --strict was given.
    """
    from gatefield.cli.spectrum import run

    return run(SpectrumConfig.model_validate({}) if config is None else config)


@app.command
def correlations(*, config: CorrelationsConfig | None = None) -> int:
    """Compare correlation functions in networks with dynamical mean-field theory.

    Solves the theory of any cell, simulates networks beside it, prints both, and writes a figure
    and a netCDF file. Exits with 1 if theory and networks disagree and --strict was given.
    """
    from gatefield.cli.correlations import run

    return run(CorrelationsConfig.model_validate({}) if config is None else config)


@app.command
def lyapunov(*, config: LyapunovConfig | None = None) -> int:
    """Measure Lyapunov exponents of networks or of a trained model, or predict the largest.

    By default it samples networks and prints largest exponent, Kaplan-Yorke dimension and entropy
    rate of each. --model FILE does so for the layers of a trained model, on zero input or on a
    --sequence. --theory predicts the largest exponent by mean-field theory, beside networks, and
    --sweep does so along a parameter. Each writes a figure and a netCDF file. With --strict it
    exits with 1 if the --accuracy was missed, or with --theory unless theory converged everywhere
    and networks agree with it.
    """
    from gatefield.cli.lyapunov import run

    return run(LyapunovConfig.model_validate({}) if config is None else config)


@app.command
def driven(*, config: DrivenNetworksConfig | None = None) -> int:
    """Find out whether static input induces chaos or suppresses it, in theory and in networks.

    Prints the largest Lyapunov exponent at each strength of a static random input, and the
    strengths at which no fixed point is stable; writes a figure and a netCDF file. With --strict
    it exits with 1 if networks do otherwise than theory.
    """
    from gatefield.cli.driven import run

    return run(DrivenNetworksConfig.model_validate({}) if config is None else config)


@app.command
def fixed_points(*, config: FixedPointsConfig | None = None) -> int:
    """Search for the fixed points of networks or of a trained model's layer, beside theory.

    Prints size, speed, stability and unstable directions of each point and how often it was found,
    and the branches of static mean-field theory with their complexity. --model FILE searches a
    layer of a trained model under constant input. Writes a figure and a netCDF file.
    """
    from gatefield.cli.fixed_points import run

    return run(FixedPointsConfig.model_validate({}) if config is None else config)


@app.command
def transients(*, config: TransientsConfig | None = None) -> int:
    """Measure how long networks of several sizes take to come to rest.

    Beside a stable fixed point networks may be chaotic for a time that grows with N. Prints the
    median of each size with its confidence interval, runs that had not ended taken into account,
    and writes survival curves and medians as a figure and a netCDF file.
    """
    from gatefield.cli.transients import run

    return run(TransientsConfig.model_validate({}) if config is None else config)


@app.command
def design(*, config: DesignConfig | None = None) -> int:
    """Find parameters at which networks have wanted properties, and verify them in networks.

    --target names a quantity and its value, --free a parameter and its bounds. Prints every
    solution with what theory predicts and networks show, or what is nearest and why the targets
    cannot be met; writes a JSON file. With --strict it exits with 1 if a target is missed.
    """
    from gatefield.cli.design import run

    return run(DesignConfig.model_validate({}) if config is None else config)


@app.command
def gradients(*, config: GradientsConfig | None = None) -> int:
    """Predict how large gradients are and how they grow, or map where they vanish or explode.

    For one cell it prints the adjoint back in time, the mean squared gradient by every coupling
    matrix and parameter, and the growth rate beside twice the largest Lyapunov exponent;
    --networks differentiates networks beside it. --plane, or --x and --y, map over two parameters
    where gradients vanish, keep their size or explode. Each writes a figure and a netCDF file.
    With --strict it exits with 1 unless networks agree with theory.
    """
    from gatefield.cli.gradients import run

    return run(GradientsConfig.model_validate({}) if config is None else config)


@app.command
def diagnose(model: str, *, config: DiagnoseConfig | None = None) -> int:
    """Report what a trained network's weights do with its inputs, and what to change.

    For each layer of a GRU, LSTM or RNN: effective gains and outlier eigenvalues, biases, the
    Jacobian's spectrum along the inputs with theory's boundary, Lyapunov exponents, timescales,
    fixed and slow points, growth of gradients, the place of its matched random ensemble on the
    phase diagram, and advice. Prints a table; writes all numbers as JSON and one page with figures.
    With --strict it exits with 1 if a layer gets a warning or a part could not be computed.

    Parameters
    ----------
    model
        A safetensors file, or a state dict or checkpoint that torch.save wrote (.pt, .pth, .bin,
        .ckpt), of which the weights alone are read.
    """
    from gatefield.cli.diagnose import run

    return run(model, DiagnoseConfig.model_validate({}) if config is None else config)


@app.command
def integrator(*, config: IntegratorConfig | None = None) -> int:
    """Measure what networks keep of input along slow modes, along a fast one, and at random.

    Lets networks settle, drives them along modes of their Jacobian for a while, prints what is
    retained and for how long, the number of slow modes and the quality of the line attractor, and
    writes a figure and a netCDF file.
    """
    from gatefield.cli.integrator import run

    return run(IntegratorConfig.model_validate({}) if config is None else config)


@app.command
def reset(*, config: ResetConfig | None = None) -> int:
    """Measure how pulses of input to the gates erase what networks remember.

    Lets networks settle in several states, opens the update gate or shuts the output gate for a
    while, prints what is left of each state beside a control without pulse, and writes a figure and
    a netCDF file.
    """
    from gatefield.cli.reset import run

    return run(ResetConfig.model_validate({}) if config is None else config)


@app.command
def figures(*names: str, config: FiguresConfig | None = None) -> int:
    """Compute figures of the paper anew, with their data; without a name, list them.

    Prints for each panel what agrees with networks and what does not. ``all`` makes each of them,
    and a page that shows them; what the folder holds already is left as it is.

    Parameters
    ----------
    names
        Such as fig01 fig02, or all.
    """
    from gatefield.cli.figures import run

    return run(names, FiguresConfig.model_validate({}) if config is None else config)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, and exit: 0 well, 1 disagreement, 2 bad input, 130 interrupted."""
    if "numpy" not in sys.modules:
        # Networks are diagonalised side by side; LAPACK's own threads would block each other.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(_status(arguments))


def _status(arguments: Sequence[str] | None) -> int:
    app.config = ()  # an earlier call in the same process may have left its file
    try:
        given = sys.argv[1:] if arguments is None else list(arguments)
        result = app.meta(
            given, exit_on_error=False, print_error=False, result_action="return_value"
        )
        return result if isinstance(result, int) else 0
    except (cyclopts.CycloptsError, ValidationError, GatefieldError, OSError) as error:
        print(f"gatefield: {_message(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("gatefield: interrupted; files already named above are complete.", file=sys.stderr)
        return INTERRUPTED


def _message(error: Exception) -> str:
    """Return an error in one line or a few, without a traceback."""
    cause = error.__cause__ if isinstance(error, cyclopts.CycloptsError) else None
    if isinstance(cause, ValidationError):
        error = cause
    if isinstance(error, ValidationError):
        lines = []
        for problem in error.errors():
            place = ".".join(str(part) for part in problem["loc"])
            text = problem["msg"].removeprefix("Value error, ")
            given = "" if problem["type"] == "value_error" else f" = {problem['input']!r}"
            lines.append(f"{place}{given}: {text}" if place else text)
        return "\n".join(lines)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}. Check the path."
    return str(error)
