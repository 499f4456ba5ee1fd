"""A diagnosis as one page that needs nothing beside itself: no script, network or other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from gatefield.cli.diagnosis_rows import Section, sections_of
from gatefield.diagnosis import Advice, Diagnosis, LayerDiagnosis
from gatefield.io import provenance
from gatefield.plotting import diagnosis_figures, style

_DPI = 140
_CSS = 96  # of a browser's pixels to the inch
CAPTIONS = {
    "couplings": "Eigenvalues of each recurrent block. Independent random entries of the same size "
    "would fill the disc (circular law); those outside the dotted circle are outliers.",
    "dynamics": "Eigenvalues of the Jacobian at a state of the run, with the boundary that random "
    "couplings would have with the units' own responses; Lyapunov exponents along the inputs; "
    "fixed and slow points under the mean input.",
    "memory": "How far gates are open and how long units keep their state by them; the correlation "
    "of the activity beside the layer's times; the size of a readout's gradient back in time.",
    "place": "The phase plane of the matched random ensemble: radius of the static theory, with "
    "all input taken as constant, and the line where stability ends. A diamond marks the gain at "
    "which random networks are at the edge of stability: along the layer's own inputs, if they "
    "vary.",
}
"""What each of `gatefield.plotting.diagnosis_figures` shows."""


class _Picture(NamedTuple):
    data: str
    caption: str
    width: int
    height: int


class _Layer(NamedTuple):
    anchor: str
    name: str
    what: str
    nothing: str
    advice: Sequence[Advice]
    figures: Sequence[_Picture]
    sections: Sequence[Section]
    notes: Sequence[str]


def page_of(title: str, about: Sequence[str], found: Sequence[tuple[str, Diagnosis]]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    title
        Name of the model.
    about
        Lines below it.
    found
        The diagnosis of each module, after its prefix.

    Returns
    -------
    str
        Every value escaped, figures inline.
    """
    places = Environment(
        loader=PackageLoader("gatefield.cli", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    layers = [
        each for prefix, diagnosis in found for each in _layers(prefix, diagnosis, len(found) > 1)
    ]
    # Anchors count: a prefix may hold anything.
    numbered = [each._replace(anchor=f"layer-{k}") for k, each in enumerate(layers)]
    return places.get_template("diagnosis.html").render(
        title=title, about=about, layers=numbered, made=list(provenance().items())
    )


def layer_name(prefix: str, layer: LayerDiagnosis, several: bool) -> str:
    """Return a layer's name, after its module's where there are several."""
    return f"{prefix.rstrip('.') or 'module'}, {layer.name}" if several else layer.name


def layer_size(layer: LayerDiagnosis) -> str:
    """Return kind and size of a layer in words."""
    return f"{layer.kind} of {layer.n} units, {layer.features} features"


def _layers(prefix: str, diagnosis: Diagnosis, several: bool) -> Iterator[_Layer]:
    for layer in diagnosis.layers:
        drawn = diagnosis_figures(layer)
        yield _Layer(
            anchor="",
            name=layer_name(prefix, layer, several),
            what=layer_size(layer),
            nothing=_nothing(layer),
            advice=layer.advice,
            figures=[_picture(name, figure) for name, figure in drawn.items()],
            sections=sections_of(layer),
            notes=layer.notes,
        )


def _nothing(layer: LayerDiagnosis) -> str:
    """Return what stands where a layer has no advice: that parts were not looked at, too."""
    for stage in layer.stages:
        if stage.name == "advice":
            return " ".join(["Nothing was found.", *stage.notes])
    return "Advice was not asked for."


def _picture(name: str, figure: Figure) -> _Picture:
    buffer = io.BytesIO()
    look: dict[str, Any] = {"format": "png", "dpi": _DPI, "metadata": {"Software": None}}
    with style():
        figure.savefig(buffer, **look)
    width, height = (round(each * _CSS) for each in figure.get_size_inches())
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return _Picture(data, CAPTIONS[name], width, height)
