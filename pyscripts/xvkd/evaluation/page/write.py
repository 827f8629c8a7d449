"""Writes the page of results and the same figures as PNG files."""

import importlib.util
import logging
from pathlib import Path

from xvkd.evaluation.page.document import Material, Page
from xvkd.evaluation.page.figures import histogram_plot
from xvkd.kaldi.files import atomic_write

PAGE = "index.html"


def write_page(material: Material, folder: Path) -> None:
    """Writes index.html."""
    with atomic_write(folder / PAGE) as file:
        file.write(Page(material).html())


def write_images(material: Material, folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Writes the figures of the primary scoring, and of the trainings, as PNG files, if matplotlib is there.

    Args:
        material: what they show.
        folder: where they go.

    Returns:
        trial list, or "" for the trainings -> title and file name of each figure.
    """
    if importlib.util.find_spec("matplotlib") is None:
        logging.warning("matplotlib is not installed: no figures as PNG files; %s has them", PAGE)
        return {}
    from xvkd.evaluation.page import png

    images: dict[str, list[tuple[str, str]]] = {}
    names, chosen = material.full_names, {*material.best.values()}
    for name in material.lists:
        scoring, found = material.primary, images.setdefault(name, [])
        for kind, plot in zip(("det", "size", "duration"), material.plots(name, scoring), strict=True):
            if plot.series:
                found.append((plot.title, f"{kind}_{name}.png"))
                png.draw([plot], names, material.styles, folder / found[-1][1])
        # Of teachers the best level, as in the tables of conditions; all of them where there is none.
        records = [
            record for record in material.of(name, scoring)
            if record["role"] == "student" or not material.best or record["system"] in chosen
        ]  # fmt: skip
        plots = {names[record["system"]]: histogram_plot(record, material.curves) for record in records}
        plots = {system: plot for system, plot in plots.items() if plot.series}
        if plots:
            found.append(("Scores", f"scores_{name}.png"))
            png.draw_histograms(plots, folder / found[-1][1])
    plots = material.training_plots()
    if plots:
        images[""] = [("Training", "training.png")]
        png.draw(plots, material.training_names, material.styles, folder / images[""][0][1])
    return images
