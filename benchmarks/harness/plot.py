"""Curves as SVG."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pygal
from pygal.style import CleanStyle

__all__ = ["draw"]

_STYLE = CleanStyle(
    background="white",
    plot_background="white",
    font_family="DejaVu Sans, Helvetica, Arial, sans-serif",
    colors=("#1f6fb4", "#d95f02", "#1b9e77", "#7570b3"),
    guide_stroke_color="#dddddd",
    guide_stroke_dasharray="",
    major_guide_stroke_color="#dddddd",
    major_guide_stroke_dasharray="",
    title_font_size=16,
    label_font_size=13,
    major_label_font_size=13,
    legend_font_size=13,
)


def draw(
    path: Path,
    title: str,
    axes: tuple[str, str],
    labels: Sequence[str],
    curves: Mapping[str, Sequence[float]],
) -> None:
    """Write one plot: a line per curve, from 0, so that a level one looks level."""
    chart = pygal.Line(
        style=_STYLE,
        title=title,
        x_title=axes[0],
        y_title=axes[1],
        width=800,
        height=450,
        js=(),
        include_x_axis=True,
        legend_at_bottom=True,
        show_y_guides=True,
        max_scale=8,
        stroke_style={"width": 2},
        value_formatter=lambda value: f"{value:,.4g}",
    )
    chart.x_labels = labels
    for name, values in curves.items():
        chart.add(name, list(values))
    path.parent.mkdir(parents=True, exist_ok=True)
    chart.render_to_file(str(path))
