"""What ``gatefield lyapunov`` can be told."""

from __future__ import annotations

import math
from typing import NamedTuple

from cyclopts import Parameter
from pydantic import Field, model_validator

from gatefield.cli.config.cell import DrivenConfig
from gatefield.cli.config.correlations import Method
from gatefield.cli.config.fields import (
    FEWEST,
    FileName,
    Formats,
    NotNegative,
    Positive,
    default_formats,
)


class Sweep(NamedTuple):
    """A parameter of the cell, and the values it takes."""

    name: str
    values: tuple[float, ...]


@Parameter(name="*")
class LyapunovConfig(DrivenConfig):
    """Options of ``gatefield lyapunov``; the same names, with underscores, are keys in TOML."""

    theory: bool = Field(
        False, description="The largest exponent by mean-field theory, beside networks."
    )
    sweep: str | None = Field(
        None,
        description="A parameter and its values: g_h=1.5:4:26 takes 26 values from 1.5 to 4, "
        "g_h=1.5,2,3 takes these.",
    )
    method: Method = Field(
        "auto",
        description="How the mean field is solved: auto takes the lag equations where they are "
        "exact (alpha_z = 0, vanilla), and samples units otherwise.",
    )
    start: NotNegative = Field(
        1.0, description="Sampled theory: variance of the states from which it starts."
    )
    samples: int = Field(1000, ge=2, description="Sampled units of each batch.")
    batches: int = Field(8, ge=2, description="Batches, whose scatter is theory's error.")
    verify: bool = Field(True, description="Simulate networks beside theory.")
    points: int = Field(
        6, ge=1, description="Values of the sweep, evenly spread, at which networks are simulated."
    )
    n: int = Field(400, ge=2, description="Units of each network.")
    networks: int = Field(4, ge=1, description="Networks at each value; three or more give errors.")
    t_max: Positive = Field(200.0, description="Duration of the measurement, steps for maps.")
    burn_in: Positive = Field(100.0, description="Duration discarded before it.")
    dt: Positive | None = Field(None, description="Time step of a flow's networks; 0.1 by default.")
    seed: int = Field(0, ge=0, description="Seed of the first network and of theory's samples.")
    strict: bool = Field(
        False,
        description="Exit with 1 if theory and networks disagree, if theory did not converge "
        "somewhere, or if nothing could be compared.",
    )
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("lyapunov", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _options_fit(self) -> LyapunovConfig:
        if not self.theory:
            raise ValueError(
                "theory = False: expected --theory, since Lyapunov spectra of networks cannot be "
                "computed yet. Add --theory."
            )
        if self.strict and not (self.verify and self.networks >= FEWEST):
            raise ValueError(
                f"strict: expected at least {FEWEST} networks, since their scatter is the error. "
                "Raise networks, and leave verify on."
            )
        swept = self.swept()
        if swept is not None and swept.name in (*self.assignments(), *self.gated()):
            raise ValueError(f"sweep = {self.sweep!r}: expected {swept.name} once. Remove one.")
        return self

    def swept(self) -> Sweep | None:
        """Return the parameter that is varied, and its values.

        Raises
        ------
        ValueError
            If the text is no name=from:to:number or name=value,value, or values do not ascend.
        """
        if self.sweep is None:
            return None
        name, _, text = (part.strip() for part in self.sweep.partition("="))
        try:
            if ":" in text:
                low, high, number = text.split(":")
                count, first, last = int(number), float(low), float(high)
                step = (last - first) / (count - 1)
                values = tuple(first + step * k for k in range(count))
            else:
                values = tuple(float(part) for part in text.split(","))
            ascending = all(a < b for a, b in zip(values[:-1], values[1:], strict=True))
            if not (name and len(values) > 1 and ascending and math.isfinite(sum(values))):
                raise ValueError
        except (ValueError, ZeroDivisionError):
            raise ValueError(
                f"sweep = {self.sweep!r}: expected name=from:to:number or name=value,value,..., "
                "two or more ascending values. For instance g_h=1.5:4:26."
            ) from None
        return Sweep(name, values)
