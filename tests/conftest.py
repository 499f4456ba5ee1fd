"""Rules that hold for every test: no network, no JAX setting left behind, fixed hypotheses."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Before anything is imported: JAX's defaults, on the CPU unless the environment says otherwise,
# and figures without a window.
os.environ.pop("JAX_ENABLE_X64", None)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
# Workers share the cores; the threads of each one's linear algebra would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Compilation makes the first example slow; without a database, two runs see the same examples.
settings.register_profile("gatefield", deadline=None, derandomize=True, database=None)
settings.load_profile("gatefield")

_MANY_MAPS = 20_000
_LOCAL = ("localhost", "127.0.0.1", "::1")


@pytest.fixture(autouse=True)
def _jax_settings_stay():
    """Fail a test that leaves JAX in double precision: gatefield must enter and leave it itself."""
    yield
    jax = sys.modules.get("jax")
    if jax is not None and jax.config.jax_enable_x64:
        jax.config.update("jax_enable_x64", False)
        pytest.fail("the test left jax_enable_x64 switched on: use `with jax.enable_x64(True):`")


@pytest.fixture(autouse=True)
def _figures_are_closed():
    """Close what a test drew: matplotlib keeps every figure, and warns from the 21st on."""
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")


@pytest.fixture(autouse=True, scope="module")
def _compiled_code_is_freed():
    """Forget compiled functions before their memory maps reach what Linux allows a process.

    Each takes some of the 65,530; the compiler crashes at the next one.
    """
    yield
    jax, maps = sys.modules.get("jax"), Path("/proc/self/maps")
    if jax is not None and maps.exists() and maps.read_bytes().count(b"\n") > _MANY_MAPS:
        jax.clear_caches()


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """Refuse every connection to anywhere but this machine."""
    connect = socket.socket.connect

    def only_local(self, address):
        if self.family != getattr(socket, "AF_UNIX", None) and address[0] not in _LOCAL:
            raise RuntimeError(f"a test tried to connect to {address!r}: tests stay offline")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", only_local)
        yield
