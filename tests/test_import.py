"""What importing gatefield does, and does not do. Each case runs in its own interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def in_fresh_interpreter(code: str) -> dict:
    """Run code in a new interpreter, warnings being errors, and return what it prints as JSON."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_loads_no_library():
    loaded = in_fresh_interpreter(
        "import json, sys, gatefield; print(json.dumps({'loaded': sorted(sys.modules)}))"
    )["loaded"]
    assert "gatefield" in loaded
    heavy = {"jax", "numpy", "scipy", "xarray", "matplotlib", "equinox", "torch", "dask", "panel"}
    assert heavy.isdisjoint(loaded)


def test_first_use_changes_no_setting_and_starts_no_backend():
    seen = in_fresh_interpreter("""
import json, sys
import jax
before = {name: repr(value) for name, value in jax.config.values.items()}
import gatefield
gatefield.GatedRNN(g_h=2.5, alpha_z=1.0)
after = {name: repr(value) for name, value in jax.config.values.items()}
from jax._src import xla_bridge
started = sorted(xla_bridge._backends)
changed = sorted(name for name in after if after[name] != before.get(name))
jax.devices()  # the control: this does start one, and the check must see it
print(json.dumps({
    "settings": len(before), "changed": changed, "started": started,
    "started by the control": sorted(xla_bridge._backends), "loaded": sorted(sys.modules),
    "precision": str(jax.numpy.zeros(()).dtype),
}))
""")
    assert seen["settings"] > 50
    assert seen["changed"] == []
    assert seen["started"] == []
    assert seen["started by the control"] != []
    assert seen["precision"] == "float32"
    assert {"torch", "safetensors", "dask", "matplotlib", "panel", "pandas"}.isdisjoint(
        seen["loaded"]
    )


def test_every_public_name_resolves():
    names = in_fresh_interpreter("""
import json
import gatefield
scope = {}
exec("from gatefield import *", scope)
missing = [name for name in gatefield.__all__ if name not in scope]
rooms = {name: getattr(gatefield, name).__name__ for name in gatefield._ROOMS}
unlisted = sorted(set(gatefield._HOME) - set(gatefield.__all__))
print(json.dumps({
    "all": gatefield.__all__, "missing": missing, "rooms": rooms, "unlisted": unlisted,
    "undocumented": [n for n in gatefield.__all__ if not (scope[n].__doc__ or "").strip()],
    "dir": [n for n in gatefield.__all__ if n not in dir(gatefield)],
}))
""")
    assert {"GatedRNN", "Network", "simulate", "solve_static", "phases"} <= set(names["all"])
    assert names["missing"] == []
    assert names["unlisted"] == []
    assert names["dir"] == []
    assert names["undocumented"] == []
    assert names["rooms"] == {room: f"gatefield.{room}" for room in names["rooms"]}


def test_an_unknown_name_is_an_attribute_error():
    import gatefield

    with pytest.raises(AttributeError, match="has no attribute 'gru'"):
        _ = gatefield.gru


@pytest.mark.parametrize(
    "use", ["", "sys.argv[1:] = ['--help']; cli.main()"], ids=["import", "help"]
)
def test_the_command_line_starts_without_jax(use):
    loaded = in_fresh_interpreter(f"""
import contextlib, io, json, sys
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    import gatefield.cli as cli
    {use}
print(json.dumps({{"loaded": sorted(sys.modules)}}))
""")["loaded"]
    assert "gatefield.cli" in loaded
    assert {"jax", "xarray", "scipy", "matplotlib", "pandas"}.isdisjoint(loaded)
