"""The map of a zoo as one HTML page that needs nothing else, and asks nobody for anything.

plotly.js stands in the page (4.8 MB), and the page's own policy forbids every request. Texts out of
files enter it as JSON, in which no markup is left, and are shown as text.
"""

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined


def write_map_page(path: Path, zoo: str, data: str) -> None:
    """Write the page.

    Args:
        path: File to write.
        zoo: Name of the zoo.
        data: JSON of `map.write_map`.
    """
    from plotly.offline import get_plotlyjs  # takes a moment, and only the page needs it

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(_source("map_page.html")).render(
        zoo=zoo,
        data=_without_markup(data),
        plotly=_in_script(get_plotlyjs()),
        script=_in_script(_source("map_page.js")),
    )
    path.write_text(page, encoding="utf-8")


def _source(name: str) -> str:
    return files("sane_core.analysis").joinpath(name).read_text(encoding="utf-8")


def _without_markup(data: str) -> str:
    """Return JSON without the characters that begin or end markup: they stand in strings only."""
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    return data


def _in_script(source: str) -> str:
    """Return a program that cannot end its element early."""
    return source.replace("</script", "<\\/script").replace("<!--", "<\\!--")
