"""What ``gatefield lyapunov`` can be told."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

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
    ascending_numbers,
    default_formats,
)

_THEORY_ONLY = ("sweep", "method", "start", "samples", "batches", "verify", "points")
_SPECTRUM_ONLY = ("k", "accuracy", "frame_dtype", "checkpoint")
_MODEL_ONLY = ("prefix", "nonlinearity", "sequence")
_BESIDE_MODEL = ("k", "t_max", "burn_in", "accuracy", "frame_dtype", "seed", "strict")
_FILES = ("output", "name", "formats")
_UNITS_BESIDE_THEORY = 400


class Sweep(NamedTuple):
    """A parameter of the cell, and the values it takes."""

    name: str
    values: tuple[float, ...]


@Parameter(name="*")
class LyapunovConfig(DrivenConfig):
    """Options of ``gatefield lyapunov``; the same names, with underscores, are keys in TOML."""

    theory: bool = Field(
        False,
        description="The largest exponent by mean-field theory, beside networks; without it and "
        "--model the Lyapunov spectra of networks.",
    )
    model: str | None = Field(
        None,
        description="A safetensors file or a state dict (.pt) with the weights of an nn.RNN, "
        "nn.GRU or nn.LSTM, under PyTorch's names: the Lyapunov spectrum of this model.",
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
    sequence: str | None = Field(
        None,
        description="With --model: the input, a .npy file with an array (T, features); zero by "
        "default. The burn-ins take at most a fifth of it and t_max the rest, unless given.",
    )
    sweep: str | None = Field(
        None,
        description="With --theory: a parameter and its values: g_h=1.5:4:26 takes 26 values from "
        "1.5 to 4, g_h=1.5,2,3 takes these.",
    )
    method: Method = Field(
        "auto",
        description="With --theory: how the mean field is solved: auto takes the lag equations "
        "where they are exact (alpha_z = 0, vanilla), and samples units otherwise.",
    )
    start: NotNegative = Field(
        1.0, description="Sampled theory: variance of the states from which it starts."
    )
    samples: int = Field(1000, ge=2, description="Sampled theory: units of each batch.")
    batches: int = Field(
        8, ge=2, description="Sampled theory: batches, whose scatter is its error."
    )
    verify: bool = Field(True, description="With --theory: simulate networks too.")
    points: int = Field(
        6, ge=1, description="Values of the sweep, evenly spread, at which networks are simulated."
    )
    n: int = Field(100, ge=2, description="Units of each network; 400 by default with --theory.")
    networks: int = Field(4, ge=1, description="Networks at each value; three or more give errors.")
    k: int | None = Field(
        None,
        ge=1,
        description="How many exponents, from the largest (of each layer of a model); all of "
        "them by default.",
    )
    t_max: Positive = Field(200.0, description="Duration of the measurement, steps for maps.")
    burn_in: Positive = Field(100.0, description="Duration discarded before it.")
    dt: Positive | None = Field(None, description="Time step of a flow's networks; 0.1 by default.")
    accuracy: Positive | None = Field(
        None,
        description="Stop a network as soon as every exponent's standard error is below it; t_max "
        "is then the longest run.",
    )
    frame_dtype: Literal["float64", "float32"] = Field(
        "float64",
        description="Precision of the perturbations: float32 is meant for large networks, and its "
        "error is measured and printed. The state keeps float64.",
    )
    checkpoint: str | None = Field(
        None,
        description="Folder with a file for each network, written every minute: the same command "
        "goes on from there.",
    )
    seed: int = Field(0, ge=0, description="Seed of the first network and of theory's samples.")
    strict: bool = Field(
        False,
        description="Exit with 1 if a spectrum missed its accuracy; with --theory, if theory and "
        "networks disagree, theory did not converge somewhere, or nothing could be compared.",
    )
    output: str = Field("results", description="Folder for figure and data.")
    name: FileName = Field("lyapunov", description="Name of the files.")
    formats: Formats = Field(
        default_factory=default_formats, description="Formats of the figure; repeat for more."
    )

    @model_validator(mode="before")
    @classmethod
    def _theory_takes_larger_networks(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("theory") is True:
            return {"n": _UNITS_BESIDE_THEORY, **given}
        return given

    @model_validator(mode="after")
    def _options_fit(self) -> LyapunovConfig:
        fields = type(self).model_fields
        self._model_options_fit()
        for name in _SPECTRUM_ONLY if self.theory else _THEORY_ONLY:
            value = getattr(self, name)
            if value != fields[name].default:
                expected = "no --theory beside it" if self.theory else "--theory beside it"
                remedy = "Leave one of them out." if self.theory else "Add --theory."
                raise ValueError(f"{name} = {value!r}: expected {expected}. {remedy}")
        if self.theory and self.strict and not (self.verify and self.networks >= FEWEST):
            raise ValueError(
                f"strict: expected at least {FEWEST} networks, since their scatter is the error. "
                "Raise networks, and leave verify on."
            )
        if self.strict and not self.theory and self.accuracy is None:
            raise ValueError("strict: expected an accuracy that may be missed. Give --accuracy.")
        swept = self.swept()
        if swept is not None and swept.name in (*self.assignments(), *self.gated()):
            raise ValueError(f"sweep = {self.sweep!r}: expected {swept.name} once. Remove one.")
        return self

    def _model_options_fit(self) -> None:
        if self.model is None:
            for name in _MODEL_ONLY:
                value = getattr(self, name)
                if value is not None:
                    expected = "expected --model beside it. Add --model."
                    raise ValueError(f"{name} = {value!r}: {expected}")
            return
        known = {"model", *_MODEL_ONLY, *_BESIDE_MODEL, *_FILES}
        # Whether an option was given counts, not whether it differs from its default: --n 100 is
        # as wrong as --n 50 where the file tells how many units there are.
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in self.model_fields_set - known and not (name == "theory" and not value):
                expected = "expected no --model beside it. Leave one of them out."
                raise ValueError(f"{name} = {value!r}: {expected}")

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
            values = ascending_numbers(text)
            if not (name and len(values) > 1):
                raise ValueError
        except ValueError:
            raise ValueError(
                f"sweep = {self.sweep!r}: expected name=from:to:number or name=value,value,..., "
                "two or more ascending values. For instance g_h=1.5:4:26."
            ) from None
        return Sweep(name, values)
