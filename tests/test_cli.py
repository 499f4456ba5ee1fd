"""The command line: files, tables, exit codes, and errors without tracebacks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from gatefield.cli import main

SMALL = ["--g-points", "12", "--alpha-points", "10", "--tau-r", "0"]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.mark.slow
def test_phases_writes_figure_data_and_table(tmp_path, capsys):
    out = str(tmp_path / "new")
    assert run("phases", *SMALL, "--no-verify", "--output", out, "--formats", "svg") == 0
    text = capsys.readouterr().out
    assert "8.15698" in text  # alpha*_FP(1.8), THEORY section 4
    assert "14.8896" in text  # alpha*_DMFT(1.8), THEORY section 4
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "phase_diagram.nc",
        "phase_diagram.svg",
    ]
    with xr.open_dataset(tmp_path / "new" / "phase_diagram.nc") as data:
        assert data["region"].shape == (10, 12)
        assert json.loads(data.attrs["config"])["tau_r"] == 0.0


def test_point_is_answered_by_theory_and_networks(tmp_path, capsys):
    quick = ["--n", "60", "--networks", "1", "--t-max", "30"]
    code = run("phases", *SMALL, *quick, "--point", "1.2,1", "--output", str(tmp_path))
    text = capsys.readouterr().out
    assert code == 0
    assert "region 1" in text and "radius 0.6" in text  # rho = g_h s_r(0)
    with xr.open_dataset(tmp_path / "phase_diagram.nc", group="checks") as checks:
        assert checks.sizes["point"] == 1
        assert float(np.max(checks["small_growth"])) < 0


def test_options_come_from_toml_and_the_command_line_wins(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text(f"[phases]\ng_points = 7\nverify = false\ntau_r = 0\noutput = '{tmp_path}'\n")
    assert run("phases", "--config", str(config), "--alpha-points", "5") == 0
    with xr.open_dataset(tmp_path / "phase_diagram.nc") as data:
        assert data["region"].shape == (5, 7)
    assert run("phases", "--config", str(config), "--g-points", "9") == 0
    with xr.open_dataset(tmp_path / "phase_diagram.nc") as data:
        assert data["region"].shape == (200, 9)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["phases", "--bogus", "1"], "--bogus"),
        (["phases", "--g-min", "-1"], "greater than 0"),
        (["phases", "--g-points", "0"], "greater than or equal to 1"),
        (["phases", "--g-min", "3", "--g-max", "2"], "g_min < g_max"),
        (["phases", "--beta-h", "nan"], "finite"),
        (["phases", "--networks", "4"], "odd"),
        (["phases", "--point", "1;2"], "g,alpha"),
        (["phases", "--formats", "gif"], "'png', 'pdf' or 'svg'"),
        (["phases", "--output", "/proc/none"], "written to"),
        (["phases", "--config", "absent.toml"], "absent.toml"),
        (["nonsense"], "nonsense"),
    ],
)
def test_bad_input_exits_with_2_and_one_message(arguments, told, capsys):
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("gatefield: ") and told in error
    assert "Traceback" not in error


def test_unknown_config_keys_are_refused(tmp_path, capsys):
    config = tmp_path / "c.toml"
    config.write_text("[phases]\ngmin = 1\n")
    assert run("phases", "--config", str(config)) == 2
    assert "gmin" in capsys.readouterr().err


def test_nothing_half_written_when_the_run_fails(tmp_path, monkeypatch):
    import gatefield.cli.phases as command

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "save_netcdf", interrupted)
    assert run("phases", *SMALL, "--no-verify", "--output", str(tmp_path)) == 130
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
