"""Files that hold code or are damaged, and readers that are not trusted: refused, none is run."""

from __future__ import annotations

import functools
import os
import pickle
import sys
import types
import warnings
import zipfile
from typing import Any

import pytest
from commands import run
from state_dicts import FEATURES, N, gru, saved_state, torch

import gatefield as gf
from gatefield.core.errors import InvalidInputError


@pytest.fixture
def stored(tmp_path):
    """Return a function that saves an object by torch.save and returns the path."""
    return functools.partial(saved_state, tmp_path)


# --- code is never run


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("legacy", [False, True], ids=["archive", "legacy"])
@pytest.mark.parametrize("asked", ["", "1"], ids=["", "told otherwise"])
def test_code_in_a_file_is_refused_and_not_run(stored, tmp_path, monkeypatch, legacy, asked):
    """Also where the environment tells PyTorch to trust files."""
    trap = tmp_path / "sprung"
    content = {**gru(), "extra": Trap(trap)}
    path = stored(content, _use_new_zipfile_serialization=not legacy)
    if asked:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", asked)
    told = r"more than weights \(\w+\.mkdir\), which could run code: nothing was run\. Where"
    with pytest.raises(InvalidInputError, match=told):
        gf.Network.from_file(path)
    assert not trap.exists()
    torch().load(path, weights_only=False)  # the control: this runs it
    assert trap.exists()


def test_a_bare_pickle_is_refused_and_not_run(tmp_path):
    torch()
    trap, path = tmp_path / "sprung", tmp_path / "model.pt"
    path.write_bytes(pickle.dumps({"weight_hh_l0": Trap(trap)}))
    with pytest.raises(InvalidInputError, match="expected a state dict of PyTorch"):
        gf.Network.from_file(path)
    assert not trap.exists()


def test_commands_run_no_code_either(stored, tmp_path):
    trap = tmp_path / "sprung"
    path = stored({**gru(), "extra": Trap(trap)})
    for command in ("lyapunov", "fixed-points"):
        ran = run(command, "--model", str(path), "--output", str(tmp_path / "out"))
        assert ran.code == 2 and "more than weights" in ran.error
    assert not trap.exists()


def test_a_module_saved_whole_is_refused(stored):
    path = stored(torch().nn.GRU(FEATURES, N))
    with pytest.raises(InvalidInputError, match=r"more than weights \(torch.nn.modules.rnn.GRU\)"):
        gf.Network.from_file(path)


# --- files that are damaged, or meant to do damage


def test_a_compressed_archive_is_refused_before_it_is_unpacked(stored):
    """A gigabyte of zeros takes a megabyte of disc; torch.save never compresses."""
    path = stored(gru())
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part + bytes(2**24) if name.endswith("/data/0") else part)
    assert path.stat().st_size < 2**20
    with pytest.raises(InvalidInputError, match="not compressed. It holds .* bytes that unpack"):
        gf.Network.from_file(path)


def test_a_number_repeated_by_its_stride_is_refused(stored):
    """Twelve bytes may claim to be a matrix of a terabyte."""
    repeated = torch().zeros(1).expand(3 * 10**5, 10**5)
    path = stored({**gru(), "weight_hh_l0": repeated})
    with pytest.raises(InvalidInputError, match=r"shape = \(300000, 100000\): expected no more"):
        gf.Network.from_file(path)


def test_a_dictionary_within_itself_is_refused(stored):
    content: dict[str, Any] = {"head": torch().zeros(2)}
    content |= {f"again{k}": content for k in range(200)}
    with pytest.raises(InvalidInputError, match=r"keys of model.pt = \['head'\]"):
        gf.Network.from_file(stored(content))


@pytest.mark.parametrize("part", [0.02, 0.5, 0.999], ids=["head", "half", "end"])
@pytest.mark.parametrize("legacy", [False, True], ids=["archive", "legacy"])
def test_a_file_cut_short_is_refused(stored, part, legacy):
    path = stored(gru(), _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InvalidInputError, match="state dict of PyTorch. It cannot be read"):
        gf.Network.from_file(path)


@pytest.mark.parametrize(
    "content", [b"", b"weights", b"\xff" * 64, b"PK\x03\x04", b"\x80\x02."], ids=range(5)
)
def test_other_files_are_refused(tmp_path, content):
    torch()
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="state dict of PyTorch. It cannot be read"):
        gf.Network.from_file(path)


def test_a_program_is_refused(tmp_path):
    of_torch = torch()
    path = tmp_path / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is on its way out
        of_torch.jit.save(of_torch.jit.script(of_torch.nn.GRU(FEATURES, N)), path)
    with pytest.raises(InvalidInputError, match="This is a TorchScript archive, a program"):
        gf.Network.from_file(path)


@pytest.mark.parametrize(
    "content", [[1, 2], 3, "weights", None], ids=["list", "number", "text", "none"]
)
def test_other_content_is_refused(stored, content):
    told = rf"content of model.pt = 'a {type(content).__name__}': expected a state dict"
    with pytest.raises(InvalidInputError, match=told):
        gf.Network.from_file(stored(content))


# --- where PyTorch is missing


def test_without_pytorch_the_remedy_is_told(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"")
    monkeypatch.setitem(sys.modules, "torch", None)  # an import of it fails
    told = "since PyTorch is not installed. Only PyTorch reads this format: install it"
    with pytest.raises(InvalidInputError, match=told):
        gf.Network.from_file(path)


@pytest.mark.parametrize("version", ["2.5.1+cpu", "1.13.0", "unknown"])
def test_an_old_pytorch_is_not_trusted(tmp_path, monkeypatch, version):
    """Before 2.6 weights_only=True could be led to run code (CVE-2025-32434)."""
    path = tmp_path / "model.pt"
    path.write_bytes(b"\x80\x02}.")

    def load(*given, **options):
        raise AssertionError("an old version must not read the file")

    old: Any = types.ModuleType("torch")
    old.__version__, old.load = version, load
    monkeypatch.setitem(sys.modules, "torch", old)
    with pytest.raises(InvalidInputError, match="expected 2.6 or later"):
        gf.Network.from_file(path)
