"""What ``gatefield driven`` can be told."""

from __future__ import annotations

from typing import Literal

from cyclopts import Parameter
from pydantic import Field, model_validator

from gatefield.cli.config.cell import CellConfig
from gatefield.cli.config.fields import (
    FileName,
    Formats,
    Positive,
    ascending_numbers,
    default_formats,
)


@Parameter(name="*")
class DrivenNetworksConfig(CellConfig):
    """Options of ``gatefield driven``; the same names, with underscores, are keys in TOML."""

    drive: str | None = Field(None, description="What is driven; by default the cell's first.")
    input_gating: Literal["none", "update"] | None = Field(
        None,
        description="Gated RNN: whether the input to h stands outside the update gate's bracket "
        "(none) or within it (update, the default here).",
    )
    strengths: str = Field(
        "0,0.05,0.1,0.2,0.5,1",
        description="Standard deviations of the input over units, value,value,... or "
        "from:to:number, ascending.",
    )
    verify: bool = Field(True, description="Simulate networks beside theory.")
    windows: bool = Field(True, description="Find the strengths at which no fixed point is stable.")
    n: int = Field(400, ge=2, description="Units of each network.")
    networks: int = Field(4, ge=1, description="Networks at each strength, the same at all.")
    t_max: Positive = Field(100.0, description="Duration of a measurement, steps for maps.")
    burn_in: Positive = Field(200.0, description="Duration discarded before it.")
    seed: int = Field(0, ge=0, description="Seed of the first network.")
    strict: bool = Field(
        False, description="Exit with 1 if networks do otherwise than theory, or theory failed."
    )
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("driven", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _strengths_can_be_read(self) -> DrivenNetworksConfig:
        self.values()
        if self.strict and not self.verify:
            raise ValueError("strict: expected networks to compare with. Leave --no-verify out.")
        if self.input_gating is not None and self.cell not in ("gated", "gated-rnn"):
            raise ValueError(
                f"input_gating = {self.input_gating!r} beside cell = {self.cell!r}: expected a "
                "gated RNN. Leave one of them out."
            )
        return self

    def values(self) -> tuple[float, ...]:
        """Return the strengths.

        Raises
        ------
        ValueError
            If the text cannot be read, or values are negative or do not ascend.
        """
        try:
            values = ascending_numbers(self.strengths)
            if values[0] < 0:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"strengths = {self.strengths!r}: expected value,value,... or from:to:number, "
                "ascending and not negative. For instance 0:1:11."
            ) from None
        return values
