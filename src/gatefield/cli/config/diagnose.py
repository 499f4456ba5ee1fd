"""What ``gatefield diagnose`` can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gatefield.cli.config.fields import FileName

ALL = "all"
"""The prefix that means every recurrent module of a file."""

_Part = Literal[
    "couplings",
    "biases",
    "drives",
    "run",
    "spectra",
    "exponents",
    "timescales",
    "slow_points",
    "gradients",
    "ensemble",
    "advice",
]


@Parameter(name="*")
class DiagnoseConfig(BaseModel):
    """Options of ``gatefield diagnose``; the same names, with underscores, are keys in TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    inputs: str | None = Field(
        None,
        description="What the model reads: a .npy file with an array (T, features) or (samples, T, "
        "features). Zero by default, from a random state.",
    )
    prefix: Annotated[list[str], Parameter(negative=())] = Field(
        default_factory=list,
        description="What stands before the names of a module, such as encoder.rnn; needed where "
        "the file holds several. Repeat for more, or all.",
    )
    kind: Literal["RNN", "GRU", "LSTM"] | None = Field(
        None, description="The kind of module; by default the shapes of its weights tell."
    )
    nonlinearity: Literal["tanh", "relu"] | None = Field(
        None, description="That of an nn.RNN, which the file does not tell; tanh by default."
    )
    effort: Literal["quick", "normal", "thorough"] = Field(
        "normal", description="How many states, exponents, searches and samples of theory."
    )
    stages: Annotated[list[_Part], Parameter(negative=())] = Field(
        default_factory=list,
        description="A part to make; repeat for more. All of them by default.",
    )
    seed: int = Field(0, ge=0, description="Seed of states, searches and theory's samples.")
    strict: bool = Field(
        False, description="Exit with 1 if a layer gets a warning, or a part could not be computed."
    )
    json_file: Annotated[bool, Parameter(name="--json", negative="--no-json")] = Field(
        True, alias="json", description="Write all numbers as JSON."
    )
    html: bool = Field(True, description="Write one page with tables and figures.")
    output: str = Field("results", description="Folder for the files.")
    name: FileName = Field("diagnosis", description="Name of the files.")

    @model_validator(mode="after")
    def _prefixes_fit(self) -> DiagnoseConfig:
        if ALL in self.prefix and len(self.prefix) > 1:
            raise ValueError(
                f"prefix = {self.prefix!r}: expected {ALL!r} alone. Remove the others."
            )
        if len(set(self.prefix)) < len(self.prefix):
            raise ValueError(f"prefix = {self.prefix!r}: expected each once. Remove one.")
        return self
