"""What ``gatefield fixed-points`` can be told."""

from __future__ import annotations

from typing import Literal

from cyclopts import Parameter
from pydantic import Field, model_validator

from gatefield.cli.config.cell import GATED, DrivenConfig
from gatefield.cli.config.fields import FileName, Formats, Positive, default_formats

_MODEL_ONLY = ("prefix", "nonlinearity", "layer", "features")
_NETWORKS_ONLY = ("cell", "set", *GATED, "input", "n", "networks", "theory")


@Parameter(name="*")
class FixedPointsConfig(DrivenConfig):
    """Options of ``gatefield fixed-points``; the same names, with underscores, are TOML keys."""

    n: int = Field(100, ge=2, description="Units of each network.")
    networks: int = Field(1, ge=1, description="How many networks are searched.")
    model: str | None = Field(
        None,
        description="A safetensors file or a state dict (.pt) with the weights of an nn.RNN, "
        "nn.GRU or nn.LSTM, under PyTorch's names: the fixed points of one of its layers.",
    )
    prefix: str | None = Field(
        None,
        description="With --model: what stands before the names, such as encoder.rnn; needed where "
        "the file holds several modules.",
    )
    nonlinearity: Literal["tanh", "relu"] | None = Field(
        None,
        description="With --model: that of an nn.RNN, which the file does not tell; tanh by "
        "default.",
    )
    layer: int = Field(
        0, ge=0, description="With --model: which layer, from 0; directions count as layers."
    )
    features: str | None = Field(
        None,
        description="With --model: the constant input x, a .npy file with an array (features,); "
        "zero by default. A higher layer receives what the ones below it send after 500 steps.",
    )
    starts: int = Field(64, ge=1, description="Searches in each network.")
    spread: Positive = Field(1.0, description="Standard deviation of random starts.")
    tolerance: Positive = Field(1e-10, description="Speed below which a state is a fixed point.")
    slow: Positive | None = Field(
        None,
        description="Report slow points, too: minima of the speed that are not zero, up to this "
        "speed. It takes much longer.",
    )
    max_steps: int = Field(200, ge=1, description="Bound on the steps of one search.")
    theory: bool = Field(
        True, description="Sampled networks: the static mean-field theory and its complexity."
    )
    rows: int = Field(20, ge=1, description="Points of each network that are printed.")
    seed: int = Field(0, ge=0, description="Seed of the first network and of the searches.")
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("fixed-points", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="after")
    def _options_fit(self) -> FixedPointsConfig:
        model = self.model is not None
        for name in _NETWORKS_ONLY if model else _MODEL_ONLY:
            if name in self.model_fields_set:
                expected = "no --model beside it" if model else "--model beside it"
                remedy = "Leave one of them out." if model else "Add --model."
                value = getattr(self, name)
                raise ValueError(f"{name} = {value!r}: expected {expected}. {remedy}")
        for one in self.drives():
            if one.time != float("inf"):
                raise ValueError(
                    f"input = {one.name!r} with time={one.time:g}: expected an input that is "
                    "constant. Fixed points exist under constant input: leave time out."
                )
        if self.slow is not None and self.slow <= self.tolerance:
            raise ValueError(
                f"slow = {self.slow:g}: expected more than tolerance = {self.tolerance:g}. "
                "Raise one of them."
            )
        return self
