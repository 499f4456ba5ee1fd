"""What ``gatefield reset`` can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field, FiniteFloat, model_validator

from gatefield.cli.config.cell import CellConfig
from gatefield.cli.config.fields import (
    FileName,
    Formats,
    NotNegative,
    Positive,
    default_formats,
)


@Parameter(name="*")
class ResetConfig(CellConfig):
    """Options of ``gatefield reset``; the same names, with underscores, are keys in TOML."""

    alpha_z: NotNegative | None = Field(
        None, description="Gated RNN: gain of the update gate (30 by default here)."
    )
    alpha_r: NotNegative | None = Field(
        None, description="Gated RNN: gain of the output gate (5 by default with --gate output)."
    )
    gate: Literal["update", "output", "linear"] = Field(
        "update",
        description="Which gate resets: update opens it by pulses of --strengths, output shuts it "
        "for --durations, linear does so in the linear network of Sec. VI, which has no cell.",
    )
    strengths: Annotated[list[FiniteFloat], Parameter(negative=())] = Field(
        default_factory=lambda: [0.25, 0.5, 1.0, 2.0, 4.0],
        description="Input to the update gate; repeat for more. By default 0.25 to 4, negative for "
        "a GRU's z and an LSTM's f, which keep the state.",
    )
    duration: Positive = Field(5.0, description="Of these pulses, steps for maps.")
    durations: Annotated[list[Positive], Parameter(negative=())] = Field(
        default_factory=lambda: [1.0, 2.0, 4.0],
        description="How long the output gate is shut; repeat for more.",
    )
    drive: str | None = Field(
        None, description="Drive of the gate; z for the update, r for the output gate by default."
    )
    after: NotNegative = Field(30.0, description="Duration recorded after the longest pulse.")
    memories: int = Field(8, ge=1, description="States stored in each network.")
    start: Positive = Field(
        0.1, description="Standard deviation of the states from which networks settle."
    )
    n: int = Field(400, ge=2, description="Units of each network.")
    networks: int = Field(3, ge=1, description="Networks.")
    relaxation: Positive = Field(
        500.0, description="Duration in which states settle before the pulse, steps for maps."
    )
    dt: Positive | None = Field(None, description="Time step of a flow; 0.1 by default.")
    seed: int = Field(0, ge=0, description="Seed of the first network.")
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("reset", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _linear_network_has_no_cell(self) -> ResetConfig:
        told = self.cell != "gated" or self.set or self.gated()
        if self.gate == "linear" and (told or self.drive):
            raise ValueError(
                "gate = 'linear' beside a cell, its parameters or a drive: expected none, it has a "
                "network of its own. Leave them out, or ask for another gate."
            )
        if self.gate == "linear" and self.memories > self.n:
            raise ValueError(
                f"memories = {self.memories}: expected at most n = {self.n}. They are orthogonal."
            )
        return self
