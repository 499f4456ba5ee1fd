"""What ``gatefield correlations`` can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import Field, model_validator

from gatefield.cli.config.cell import DrivenConfig
from gatefield.cli.config.fields import (
    FEWEST,
    FileName,
    Formats,
    NotNegative,
    Positive,
    default_formats,
)

Method = Literal["auto", "lag-equations", "separable", "sampled"]


@Parameter(name="*")
class CorrelationsConfig(DrivenConfig):
    """Options of ``gatefield correlations``; the same names, with underscores, are keys in TOML."""

    quantities: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="What to correlate: components of the state (h), coupling fields (eta_h), "
        "outputs (y_h), observables (phi, sigma_z); repeat for more. By default the first component"
        " and phi, or the first output.",
    )
    method: Method = Field(
        "auto",
        description="How theory is solved: auto takes the lag equations where they are exact "
        "(alpha_z = 0, vanilla), and samples units otherwise.",
    )
    start: NotNegative = Field(
        1.0, description="Variance of the states from which theory and networks start."
    )
    samples: int = Field(1000, ge=2, description="Sampled units of each batch.")
    batches: int = Field(8, ge=2, description="Batches, whose scatter is theory's error.")
    verify: bool = Field(True, description="Simulate networks beside theory.")
    n: int = Field(500, ge=2, description="Units of each network.")
    networks: int = Field(6, ge=1, description="Networks; three or more give standard errors.")
    t_max: Positive = Field(300.0, description="Duration averaged over, steps for maps.")
    burn_in: NotNegative = Field(100.0, description="Duration discarded before it.")
    max_lag: Positive | None = Field(
        None,
        description="Largest lag; by default five relaxation times, at most a fifth of t_max.",
    )
    dt: Positive | None = Field(None, description="Time step of a flow's networks; 0.1 by default.")
    seed: int = Field(0, ge=0, description="Seed of the first network and of theory's samples.")
    strict: bool = Field(False, description="Exit with 1 if theory and networks disagree.")
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("correlations", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _lags_fit(self) -> CorrelationsConfig:
        if self.max_lag is not None and self.verify and self.max_lag > self.t_max / 2:
            raise ValueError(
                f"max_lag = {self.max_lag:g}: expected at most half of t_max = {self.t_max:g}. "
                "Raise t_max."
            )
        few = self.verify and self.networks < FEWEST
        if few and self.max_lag is not None and self.max_lag >= self.t_max / 4:
            raise ValueError(
                f"max_lag = {self.max_lag:g}: expected less than a quarter of t_max = "
                f"{self.t_max:g}, since the errors of fewer than {FEWEST} networks are those of "
                "four blocks of time. Raise t_max or networks."
            )
        if self.strict and not (self.verify and self.networks >= FEWEST):
            raise ValueError(
                f"strict: expected at least {FEWEST} networks, since their scatter is the error. "
                "Raise networks, and leave verify on."
            )
        return self
