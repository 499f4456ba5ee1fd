"""Tables of a page that commands fill: what stands between two comments of a name."""

from __future__ import annotations

from pathlib import Path

PAGE = Path("docs/training.md")


def marks(name: str) -> tuple[str, str]:
    """Return the comments around the part of a page that has this name."""
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def part(text: str, name: str) -> str:
    """Return what stands between a name's comments.

    Raises
    ------
    ValueError
        If the text does not have both once, in their order.
    """
    begin, end = marks(name)
    before, _, rest = text.partition(begin)
    inside, _, after = rest.partition(end)
    if text != f"{before}{begin}{inside}{end}{after}" or begin in inside + after or end in after:
        raise ValueError(f"the page needs {begin} and then {end}, once each.")
    return inside


def fill(page: Path, name: str, content: str) -> None:
    """Put content between a name's comments, for what stood there."""
    text = page.read_text()
    begin, end = marks(name)
    old = f"{begin}{part(text, name)}{end}"
    page.write_text(text.replace(old, f"{begin}\n\n{content.strip()}\n\n{end}"))
