"""A page that shows figures with what agrees in them and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from gatefield.figures import FIGURES
from gatefield.io import whole_file

_HEAD = """# The figures of the paper, computed anew

K. Krishnamurthy, T. Can and D. J. Schwab, *Theory of Gating in Recurrent Neural Networks*,
Phys. Rev. X 12, 011011 (2022). Under each figure stands what agrees with the paper and with
theory, and what does not, in words and numbers that were computed with it.
"""


def write_gallery(folder: Path, names: Sequence[str], *, quick: bool) -> Path:
    """Write ``gallery.md`` beside figures, and return its path.

    Parameters
    ----------
    folder
        Holds the files of the figures.
    names
        Of the figures to show; those of which the folder has no picture and data are left out.
    quick
        Whether they were made with ``--quick``.

    Returns
    -------
    Path
    """
    parts = [_HEAD]
    for name in names:
        data, picture = folder / f"{name}.nc", _picture(folder, name)
        if not data.exists() or picture is None:
            continue
        with xr.open_dataset(data, engine="h5netcdf") as root:
            lines = str(root.attrs.get("lines", ""))
        title = FIGURES[name]
        command = f"gatefield figures {name}" + (" --quick" if quick else "")
        parts.append(
            f"## {_heading(name)}: {title}\n\n![{name}]({picture.name})\n\n"
            f"`{command}`\n\n{_as_list(lines)}\n"
        )
    path = folder / "gallery.md"
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(parts), encoding="utf-8")
    return path


def _heading(name: str) -> str:
    number = name.removeprefix("fig")
    return f"Figure {int(number)}" if number.isdigit() else name.replace("_", " ").capitalize()


def _picture(folder: Path, name: str) -> Path | None:
    """Return the picture that a browser shows, if there is one."""
    for kind in ("png", "svg"):
        path = folder / f"{name}.{kind}"
        if path.exists():
            return path
    return None


def _as_list(lines: str) -> str:
    """Return lines as a list; one that begins with spaces goes on with the item before it."""
    items: list[str] = []
    for line in lines.split("\n"):
        if line.startswith(" ") and items:
            items[-1] += f"; {line.strip()}"
        elif line.strip():
            items.append(line.strip())
    # Underscores and stars of names are no emphasis, pipes no table.
    return "\n".join(f"- {_escaped(item)}" for item in items)


def _escaped(text: str) -> str:
    for mark in ("\\", "_", "*", "|", "<", ">"):
        text = text.replace(mark, f"\\{mark}")
    return text
