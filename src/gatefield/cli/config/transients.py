"""What ``gatefield transients`` can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field

from gatefield.cli.config.cell import CellConfig
from gatefield.cli.config.fields import FileName, Formats, NotNegative, Positive, default_formats


def _default_sizes() -> list[int]:
    return [200, 400, 800]


@Parameter(name="*")
class TransientsConfig(CellConfig):
    """Options of ``gatefield transients``; the same names, with underscores, are keys in TOML."""

    sizes: Annotated[list[Annotated[int, Field(ge=2)]], Parameter(negative=())] = Field(
        default_factory=_default_sizes,
        min_length=1,
        description="Units of the networks; repeat for more sizes.",
    )
    networks: int = Field(40, ge=1, description="Networks of each size.")
    t_max: Positive = Field(
        1000.0, description="Longest time to watch, steps for maps; some runs may last longer."
    )
    threshold: Positive = Field(
        0.01, description="Root mean square distance from the fixed point that counts as rest."
    )
    component: str | None = Field(
        None, description="Component of the state that is watched: by default the first; or all."
    )
    hold: Positive = Field(20.0, description="Time that a network must stay there.")
    spread: NotNegative = Field(1.0, description="Standard deviation of the initial states.")
    dt: Positive | None = Field(None, description="Time step of a flow; 0.1 by default.")
    dtype: Literal["float32", "float64"] = Field(
        "float32", description="Precision; the statistics are the same in both."
    )
    confidence: float = Field(0.95, gt=0, lt=1, description="Of bands and intervals.")
    checkpoint: str | None = Field(
        None,
        description="File from which interrupted runs go on, also with more networks or sizes.",
    )
    seed: int = Field(0, ge=0, description="Same seed, same networks.")
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("transients", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )
