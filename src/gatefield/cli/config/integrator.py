"""What ``gatefield integrator`` can be told."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter
from pydantic import Field, model_validator

from gatefield.cli.config.cell import CellConfig
from gatefield.cli.config.fields import (
    FileName,
    Formats,
    NotNegative,
    Positive,
    default_formats,
)


@Parameter(name="*")
class IntegratorConfig(CellConfig):
    """Options of ``gatefield integrator``; the same names, with underscores, are keys in TOML."""

    alpha_z: NotNegative | None = Field(
        None, description="Gated RNN: gain of the update gate (15 by default here)."
    )
    strengths: Annotated[list[Positive], Parameter(negative=())] = Field(
        default_factory=lambda: [0.1, 0.3, 1.0],
        description="Euclidean norms of the input; repeat for more.",
    )
    duration: Positive = Field(10.0, description="How long the input lasts, steps for maps.")
    after: Positive = Field(100.0, description="Duration recorded after it.")
    at: NotNegative = Field(40.0, description="Time after the input at which the table asks.")
    slow: Positive = Field(
        0.01, description="Distance from 0 (maps: from 1) below which a mode is slow."
    )
    fast: Positive = Field(0.4, description="Least decay rate of a fast mode.")
    onto: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="Components of the state that input is added to; repeat for more. By default h"
        " of the gated RNN, all of other cells.",
    )
    patterns: int = Field(40, ge=2, description="Random inputs that measure the slow manifold.")
    n: int = Field(400, ge=3, le=4000, description="Units of each network.")
    networks: int = Field(3, ge=1, description="Networks.")
    relaxation: Positive = Field(
        500.0, description="Duration in which each network settles first, steps for maps."
    )
    dt: Positive | None = Field(None, description="Time step of a flow; 0.1 by default.")
    seed: int = Field(0, ge=0, description="Seed of the first network.")
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("integrator", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _asked_time_is_recorded(self) -> IntegratorConfig:
        if self.at > self.after:
            raise ValueError(
                f"at = {self.at:g}: expected at most after = {self.after:g}. Raise after."
            )
        return self
