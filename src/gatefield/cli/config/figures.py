"""What ``gatefield figures`` can be told."""

from __future__ import annotations

from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field

from gatefield.cli.config.fields import Formats, default_formats


@Parameter(name="*")
class FiguresConfig(BaseModel):
    """Options of ``gatefield figures``; the same names are keys of [figures] in TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quick: bool = Field(
        False, description="Small networks: minutes for each figure on two cores, or less."
    )
    seed: int = Field(0, ge=0, description="Seed of the first network.")
    again: bool = Field(False, description="Compute figures anew that the folder holds already.")
    output: str = Field("results", description="Folder for figure and data.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )
