"""``gatefield diagnose``: the table, the JSON file, the page, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import diagnosed
import numpy as np
import pytest
from commands import Ran
from commands import run as command
from model_files import FEATURES, saved, weights

import gatefield.cli.diagnose as diagnose_command
from gatefield.cli.config import DiagnoseConfig
from gatefield.diagnosis import EFFORTS, STAGES

N = 16
QUICK = ("--stages", "couplings", "--stages", "biases", "--stages", "run")


def run(*arguments: str) -> Ran:
    return command("diagnose", *arguments)


def strict(text: str) -> Any:
    """Parse JSON as the standard has it: NaN and Infinity are errors."""

    def refuse(name: str):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


class Page(HTMLParser):
    """A page's elements; fails where tags do not match."""

    EMPTY = ("meta", "img", "br", "link", "hr")

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder with models and inputs."""
    folder = tmp_path_factory.mktemp("files")
    saved(folder, weights("GRU", n=N, depth=2), "gru.safetensors")
    saved(folder, weights("GRU", n=N), "lone.safetensors")
    saved(folder, weights("RNN", n=N), "rnn.safetensors")
    two = weights("GRU", n=4, prefix="up.") | weights("LSTM", n=4, prefix="down.")
    saved(folder, two, "two.safetensors")
    rng = np.random.default_rng(0)
    np.save(folder / "one.npy", rng.normal(size=(40, FEATURES)))
    np.save(folder / "several.npy", rng.normal(size=(3, 40, FEATURES)))
    return folder


@pytest.fixture
def known(monkeypatch):
    """Let the command report a diagnosis that was put together by hand, and note what it asked."""
    asked: list[Any] = []

    def replace(found=None):
        def diagnose(stack, inputs=None, **options):
            asked.append((stack, inputs, options))
            return diagnosed.diagnosis() if found is None else found

        monkeypatch.setattr(diagnose_command, "diagnose", diagnose)
        return asked

    return replace


def bare() -> Any:
    """Return a diagnosis without figures, which take most of the time."""
    return diagnosed.diagnosis(diagnosed.layer(without=tuple(diagnosed.PARTS)))


def model_of(files: Path, name: str = "gru") -> str:
    return str(files / f"{name}.safetensors")


# --- what is shown of known numbers


def test_the_table_tells_every_part(files, known, tmp_path):
    known()
    ran = run(model_of(files), "--no-html", "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    words = " ".join(ran.text.split())
    for told in (
        "layer 0: GRU of 4 units, 3 features",
        "weights gain r 1 bulk 1, no outliers",
        "gain n 2 bulk 1.25, 1 outlier, largest 3",
        "bias z 1.5 +- 0.25 90%: 1 to 2",
        "inputs variance of r 0.75 static 0.25, time 3",
        "variance of z 0.5 static 0.5",
        "update gate 0.75 +- 0.2 0% shut, 25% wide open",
        "Jacobian leading edge 0.85 theory 0.5, at most 1 outside",
        "over the run 0.8 to 0.9 2 states",
        "Lyapunov largest 0.050 +- 0.010 1 of 4 are positive",
        "dimension 1.5 of 4, entropy 0.05",
        "times gates 4 90% of units 1 to 16",
        "spectrum unbounded -1 / ln(leading edge)",
        "points fixed points 2 1 stable, by 88% of 8 searches",
        "slow points 1 up to 0.001 per step",
        "leading edges 0.9 to 1.2 unstable directions: 2",
        "gradients growth -6.93 e-folds over 10 steps back",
        "random nets radius 1 at gain n 2, bias z 0.5",
        "gain n at the edge 3.00 +- 0.25 exponent 0 of random networks",
        "leading edge 0.85 random 0.5 +- 0.02, theory 0.5, structure",
        "exponent 0.05 random 0.04 +- 0.02, theory 0.04, as random",
        "warning, chaos: Lower the gain.",
        "The exponent is 0.05.",
        "Note: All was quick.",
        "Note: layer 0, exponents: It was cut.",
    ):
        assert told in words, told


def test_a_part_that_failed_says_why(files, known, tmp_path):
    known(diagnosed.diagnosis(diagnosed.layer(without=("spectra", "gradients"))))
    ran = run(model_of(files), "--output", str(tmp_path))
    assert ran.code == 0
    words = " ".join(ran.text.split())
    assert "Jacobian not computed It ran off." in words
    assert "gradients not computed It ran off." in words
    assert (
        "Jacobian not computed It ran off."
        in Page((tmp_path / "diagnosis.html").read_text("utf-8")).text()
    )


def test_the_json_file_has_every_number(files, known, tmp_path):
    known()
    model, inputs = model_of(files), str(files / "one.npy")
    ran = run(model, "--inputs", inputs, "--no-html", "--output", str(tmp_path), "--name", "found")
    assert ran.code == 0, ran.error
    content = strict((tmp_path / "found.json").read_text("utf-8"))
    assert content["schema"] == "gatefield.diagnosis/1"
    expected = hashlib.sha256(Path(model).read_bytes()).hexdigest()
    assert content["files"]["model"] == {"path": model, "sha256": expected}
    assert content["files"]["inputs"]["path"] == inputs
    assert content["options"]["effort"] == "normal" and content["options"]["json"] is True
    ((prefix, found),) = [(each["prefix"], each["diagnosis"]) for each in content["modules"]]
    assert prefix == "" and found["kind"] == "GRU" and found["notes"] == ["All was quick."]
    assert found["settings"] == [["effort", "quick"], ["limits", [["steps", 64]]]]
    (layer,) = found["layers"]
    assert layer["couplings"]["gain"] == [1.0, 0.5, 2.0]
    assert layer["couplings"]["eigenvalues_imag"][2] == [0.0, 0.5, -0.5, 0.0]
    assert layer["couplings"]["outliers"] == [0, 0, 1]
    assert layer["slow_points"]["stable"] == [True, False, False]
    # What is not known, and what is infinite.
    assert layer["exponents"]["exponents"] == [0.05, -0.1, -0.5, "-Infinity"]
    assert layer["exponents"]["standard_errors"][-1] is None
    assert layer["timescales"]["memory_time"] == "Infinity"
    assert layer["timescales"]["units"]["memory_time"] == "step"
    assert layer["exponents"]["units"]["exponents"] == "1 / step"
    assert layer["advice"][0]["values"] == {"exponent": 0.05}
    assert {each["name"]: each["status"] for each in layer["stages"]}["spectra"] == "ok"


def test_the_page_stands_alone(files, known, tmp_path):
    known(diagnosed.diagnosis(diagnosed.layer(), diagnosed.layer(depth=1)))
    ran = run(model_of(files), "--output", str(tmp_path))
    assert ran.code == 0, ran.error
    text = (tmp_path / "diagnosis.html").read_text("utf-8")
    page = Page(text)
    pictures = page.named("img")
    assert len(pictures) == 8
    for each in pictures:
        source = str(each["src"])
        assert source.startswith("data:image/png;base64,")
        assert base64.b64decode(source.partition(",")[2], validate=True)[:4] == b"\x89PNG"
        assert each["alt"]
    assert [each["href"] for each in page.named("a")] == ["#layer-0", "#layer-1"]
    assert {each["id"] for each in page.named("section")} == {"layer-0", "layer-1"}
    banned = {"script", "link", "iframe", "object", "embed", "form", "base", "video", "audio"}
    assert banned.isdisjoint(tag for tag, _ in page.tags)
    allowed = {"src", "href", "alt", "id", "class", "scope", "colspan", "width", "height"}
    allowed |= {"lang", "charset", "name", "content", "http-equiv"}
    assert {name for _, attrs in page.tags for name in attrs} <= allowed
    plain = "".join(part for part in text.split('"') if not part.startswith("data:"))
    for scheme in ("http:", "https:", "//", "@import", "url(", "javascript:"):
        assert scheme not in plain
    told = page.text()
    assert "layer 1: GRU of 4 units, 3 features" in told and "spectrum unbounded" in told
    assert "warning, chaos: Lower the gain." in told


def test_what_comes_from_outside_is_escaped(files, known, tmp_path):
    """Names of files and modules, and texts of the diagnosis, are text and no markup."""
    evil = "<script>alert(1)</script>&[bold]"
    layer = diagnosed.layer(advice=(diagnosed.advice(evil),))
    known(diagnosed.diagnosis(layer, notes=(evil,)))
    folder = tmp_path / "a<b>&[red]"
    folder.mkdir()
    prefix = '<img src=x onerror="alert(2)">[bold]'
    two = weights("GRU", n=4, prefix=f"{prefix}.") | weights("GRU", n=4, prefix="plain.")
    path = saved(folder, two, "<b>model&amp;.safetensors")
    out = tmp_path / "out"
    ran = run(path, "--prefix", "all", "--output", str(out))
    assert ran.code == 0, ran.error
    assert f"warning, chaos: {evil}" in ran.text and prefix in ran.text
    page = Page((out / "diagnosis.html").read_text("utf-8"))
    tags = {tag for tag, _ in page.tags}
    assert {"script", "b"}.isdisjoint(tags)
    assert all(str(each["src"]).startswith("data:") for each in page.named("img"))
    text = page.text()
    assert evil in text and prefix in text and "<b>model&amp;.safetensors" in text
    content = strict((out / "diagnosis.json").read_text("utf-8"))
    assert [each["prefix"] for each in content["modules"]] == [f"{prefix}.", "plain."]


# --- what is asked for


def test_options_reach_the_computation(files, known, tmp_path):
    asked = known()
    told = ["--effort", "quick", "--seed", "3", "--kind", "GRU", "--no-html", *QUICK]
    ran = run(
        model_of(files), "--inputs", str(files / "several.npy"), *told, "--output", str(tmp_path)
    )
    assert ran.code == 0, ran.error
    ((stack, inputs, options),) = asked
    assert (stack.n, stack.depth, str(stack.dtype)) == (N, 2, "float64")
    np.testing.assert_array_equal(inputs, np.load(files / "several.npy"))
    assert options == {"effort": "quick", "seed": 3, "stages": ["couplings", "biases", "run"]}


def test_without_options_everything_is_made(files, known, tmp_path):
    asked = known(bare())
    assert run(model_of(files, "rnn"), "--output", str(tmp_path)).code == 0
    ((_, inputs, options),) = asked
    assert inputs is None and options["stages"] is None and options["effort"] == "normal"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["diagnosis.html", "diagnosis.json"]


def test_the_command_knows_every_part_and_effort():
    fields = DiagnoseConfig.model_fields
    assert get_args(get_args(fields["stages"].annotation)[0]) == STAGES
    assert get_args(fields["effort"].annotation) == EFFORTS


def test_modules_are_chosen_by_their_prefix(files, known, tmp_path):
    for prefixes, expected in (
        (["up"], ["GRU"]),
        (["up", "down"], ["GRU", "LSTM"]),
        (["all"], ["LSTM", "GRU"]),
    ):
        asked = known()
        asked.clear()
        told = [word for each in prefixes for word in ("--prefix", each)]
        ran = run(model_of(files, "two"), *told, "--no-html", "--output", str(tmp_path))
        assert ran.code == 0, ran.error
        kinds = [type(stack.layers[0].network.cell).__name__ for stack, _, _ in asked]
        assert kinds == expected


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (["--no-json"], ["diagnosis.html"]),
        (["--no-html"], ["diagnosis.json"]),
        (["--no-html", "--no-json"], []),
    ],
    ids=["page", "json", "table"],
)
def test_files_are_left_out_on_request(files, known, tmp_path, told, left):
    known(bare())
    ran = run(model_of(files), *told, "--output", str(tmp_path))
    assert ran.code == 0 and [each.name for each in tmp_path.iterdir()] == left
    assert ("Wrote" in ran.text) is bool(left)


def test_strict_tells_by_its_exit_code(files, known, tmp_path):
    good = diagnosed.layer(advice=())
    failed = diagnosed.layer(without=("spectra",), advice=())
    for layer, plain, tested in ((diagnosed.layer(), 0, 1), (good, 0, 0), (failed, 0, 1)):
        known(diagnosed.diagnosis(layer))
        for told, expected in (([], plain), (["--strict"], tested)):
            options = ["--no-html", "--output", str(tmp_path)]
            assert run(model_of(files), *told, *options).code == expected


def test_options_come_from_a_file(files, known, tmp_path):
    asked = known(bare())
    config = tmp_path / "options.toml"
    config.write_text(
        f'[diagnose]\nmodel = "{model_of(files, "two")}"\nprefix = ["down"]\neffort = "thorough"\n'
        f'json = false\noutput = "{tmp_path / "out"}"\n'
    )
    ran = command("--config", str(config), "diagnose")
    assert ran.code == 0, ran.error
    ((stack, _, options),) = asked
    assert stack.n == 4 and options["effort"] == "thorough"
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["diagnosis.html"]


def test_an_interrupt_leaves_no_file(files, monkeypatch, tmp_path):
    def stopped(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnose_command, "diagnose", stopped)
    assert run(model_of(files), "--output", str(tmp_path)).code == 130
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_drawing_leaves_no_file(files, known, monkeypatch, tmp_path):
    def stopped(*given):
        raise KeyboardInterrupt

    known()
    monkeypatch.setattr(diagnose_command, "page_of", stopped)
    assert run(model_of(files), "--output", str(tmp_path)).code == 130
    assert list(tmp_path.iterdir()) == []


# --- the computation itself


def test_cheap_parts_of_a_model(files, tmp_path):
    """Gains are Frobenius norms over sqrt(N), biases the sums of PyTorch's two."""
    inputs = str(files / "several.npy")
    told = [*QUICK, "--effort", "quick", "--inputs", inputs, "--output", str(tmp_path)]
    ran = run(model_of(files), *told)
    assert ran.code == 0, ran.error
    content = strict((tmp_path / "diagnosis.json").read_text("utf-8"))
    found = content["modules"][0]["diagnosis"]
    named = weights("GRU", n=N, depth=2)
    assert [each["depth"] for each in found["layers"]] == [0, 1]
    for depth, layer in enumerate(found["layers"]):
        for k, name in enumerate("rz"):
            rows = slice(k * N, (k + 1) * N)
            size = np.linalg.norm(named[f"weight_hh_l{depth}"][rows]) / np.sqrt(N)
            assert abs(layer["couplings"]["gain"][k] - size) < 1e-12
            both = named[f"bias_ih_l{depth}"][rows] + named[f"bias_hh_l{depth}"][rows]
            place = layer["biases"]["names"].index(f"bias_{name}")
            assert abs(layer["biases"]["mean"][place] - both.mean()) < 1e-12
        assert layer["exponents"] is None
    pictures = Page((tmp_path / "diagnosis.html").read_text("utf-8")).named("img")
    assert len(pictures) == 4  # couplings and gates of each layer


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lone", "rnn"])
def test_a_whole_diagnosis(files, tmp_path, name):
    """Every part is made, and the file's numbers belong together."""
    told = ["--inputs", str(files / "one.npy"), "--effort", "quick", "--output", str(tmp_path)]
    ran = run(model_of(files, name), *told)
    assert ran.code == 0, ran.error
    content = strict((tmp_path / "diagnosis.json").read_text("utf-8"))
    (layer,) = content["modules"][0]["diagnosis"]["layers"]
    # Theory of a map of few units need not converge; everything measured is there.
    measured = [each for each in layer["stages"] if each["name"] != "ensemble"]
    assert {each["status"] for each in measured} == {"ok"}, measured
    spectra, times = layer["spectra"], layer["timescales"]
    values = np.array(spectra["eigenvalues_real"]) + 1j * np.array(spectra["eigenvalues_imag"])
    here = np.array(spectra["leading_edges"])[spectra["whole"]]
    np.testing.assert_allclose(np.abs(values).max(axis=1), here, rtol=1e-6)
    typical = np.median(spectra["leading_edges"])
    expected = -1 / np.log(typical) if typical < 1 else np.inf
    np.testing.assert_allclose(float(times["memory_time"]), expected, rtol=1e-12)
    assert len(layer["exponents"]["exponents"]) == N
    assert "Traceback" not in ran.text and "Lyapunov" in ran.text
