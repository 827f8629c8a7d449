"""The page of results: its structure, what its plots show, names that are markup, what may be missing; PNG files."""

import re
from urllib.parse import unquote

import numpy as np
import pytest
from page_files import (
    SCORINGS,
    TARGET,
    make_results,
    read_page,
    records_of,
    scores_of,
    write_experiment,
)
from scipy.special import ndtr, ndtri
from shell import ROOT

from xvkd.errors import UserError
from xvkd.evaluation.metrics import ErrorCurve
from xvkd.evaluation.page.figures import BINS, histogram, size_plot, training_plots
from xvkd.evaluation.page.markup import element
from xvkd.evaluation.page.plot import linear_axis, log_axis, probit_axis, simplified
from xvkd.evaluation.page.sources import read_curves, read_trainings

SCALES = {"linear": lambda x: x, "log": np.log10, "probit": ndtri}
HOSTILE = """<script>"&'$x$|level"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An experiment, the folder of its results, and its page."""
    root = tmp_path_factory.mktemp("page")
    lists, students = ["dev", "eval", "eval_noisy"], [["frame"], [], ["frame", "segment6"]]
    write_experiment(root / "corpus", lists, ["frame", "segment6"], students, durations=("2s", "10s"))
    (root / "corpus" / "options.txt").write_text("audio=''\nstudents=label\\ frame\\+segment6\nseed=0\n")
    make_results(root / "corpus", root / "results")
    return root / "corpus", root / "results", read_page(root / "results")


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """One level of a teacher without a log, no development set, no durations; names that are markup."""
    root = tmp_path_factory.mktemp("odd")
    experiment = root / "<b>corpus & co"
    write_experiment(experiment, ["eval", "eval_<img src=x>"], [HOSTILE], [], logs=False)
    make_results(experiment, root / "results")
    return experiment, root / "results", read_page(root / "results")


def figures(page, kind, name, scoring):
    """The figures of a list and scoring, by the numbers that the choices give to these."""
    labels = {label.text: label.attributes["for"] for label in page.all("label")}
    return page.all("div", f"{kind} {labels[name]} {labels[scoring]}")[0].all("figure")


def by_class(page):
    """Class of a system -> its key in results.json is found by the name in the panel."""
    return {label.attributes["for"]: label.text for label in page.all("nav")[0].all("label")}


def values(drawing, axis, places):
    """Places in a plot, read off its axis as people do: between the ticks' ends, which the drawing names."""
    scale, low, high, *_ = drawing.attributes[f"data-{axis}"].split("|")
    inside = drawing.all("svg", "inside")[0].attributes
    length = float(inside["width" if axis == "x" else "height"])
    shares = np.array(places) / length if axis == "x" else 1 - np.array(places) / length
    return SCALES[scale](float(low)), SCALES[scale](float(high)), shares


def off(drawing, axis, places, expected):
    """How far, as a share of the axis, places are from where values belong."""
    low, high, shares = values(drawing, axis, places)
    scale = drawing.attributes[f"data-{axis}"].split("|")[0]
    return np.abs(shares - (SCALES[scale](np.array(expected)) - low) / (high - low)).max()


def spots(group):
    """Where the markers of a series are."""
    found = [re.findall(r"[-.\d]+", mark.attributes["transform"]) for mark in group.all("path", "mark")]
    return np.array(found, dtype=float).T


@pytest.mark.parametrize("which", ["made", "odd"])
def test_the_page_is_whole_and_needs_nothing_from_elsewhere(which, request):
    _, folder, page = request.getfixturevalue(which)
    text = (folder / "index.html").read_text()
    assert text.startswith("<!DOCTYPE html>") and page.all("html")[0].attributes == {"lang": "en"}
    assert not re.search(r"https?:|url\(|@import", text)
    assert len(page.all("script")) == len(page.all("style")) == 1
    keys = {key for node in page.every() for key in node.attributes}
    assert not keys & {"src", "href", "xlink:href", "srcset", "data", "action"}
    assert not any(key.startswith("on") for key in keys)
    ids = [node.attributes["id"] for node in page.every() if "id" in node.attributes]
    assert len(set(ids)) == len(ids) and set(by_class(page)) <= set(ids)
    assert all(drawing.attributes["aria-label"] for drawing in page.all("svg") if "role" in drawing.attributes)


def test_every_list_has_its_table_with_every_system(made):
    _, folder, page = made
    records = records_of(folder)
    sections = page.all("section")
    tables = next(one for one in sections if one.attributes["id"] == "errors").all("table")
    assert len(tables) == 3 and page.all("h1")[0].text == "Results: corpus"
    for name, table in zip(("eval", "eval_noisy", "dev"), tables, strict=True):
        here = [record for record in records if (record["set"], record["scoring"]) == (name, "plda")]
        titles = [title.text for title in table.all("thead")[0].all("th")]
        assert titles[:4] == ["levels", "system", "loss", "EER plda (%)"] and sorted(titles)[-1] == "system"
        rows = [[cell.text for cell in row.children] for row in table.all("tbody")[0].all("tr")]
        assert [row[3].split()[0] for row in rows] == [f"{record['eer_percent']:.2f}" for record in here]
        assert len({len(row) for row in rows} | {len(titles)}) == 1 and len(rows) == 5
    costs = next(one for one in sections if one.attributes["id"] == "more").all("table")
    assert any("minDCF 0.01" in table.text for table in costs)


def test_curves_and_marks_are_those_of_the_results(made):
    _, folder, page = made
    records = records_of(folder)
    for name in ("dev", "eval", "eval_noisy"):
        for scoring in SCORINGS:
            det, size, duration = figures(page, "plots", name, scoring)
            here = [record for record in records if (record["set"], record["scoring"]) == (name, scoring)]
            drawing, groups = det.all("svg")[0], det.all("g", "series")
            assert [len(group.all("polyline")) for group in groups] == [1] * len(here) == [1] * 5
            for record, group in zip(here, groups, strict=True):
                place, rate = spots(group), record["eer_percent"] / 100
                assert off(drawing, "x", place[0], [rate]) < 1e-3 and off(drawing, "y", place[1], [rate]) < 1e-3
                assert f"EER {record['eer_percent']:.2f} % [{record['eer_ci'][0]:.2f}, " in group.all("title")[0].text
            drawing, groups = size.all("svg")[0], size.all("g", "series")
            for record, group in zip(here, groups, strict=True):
                (x,), (y,) = spots(group)
                assert off(drawing, "y", [y], [record["eer_percent"]]) < 1e-3
                # Those of about one size stand side by side.
                assert off(drawing, "x", [x], [record["parameters"]]) < 0.05
                assert f"{record['parameters']:,} parameters as trained" in group.text
            if name != "eval":
                assert duration.all("svg") == [] and "whole utterances alone" in duration.text
                continue
            drawing, groups = duration.all("svg")[0], duration.all("g", "series")
            for record, group in zip(here, groups, strict=True):
                rates = [record["pairings"]["2s"], record["pairings"]["10s"], record]
                assert off(drawing, "y", spots(group)[1], [one["eer_percent"] for one in rates]) < 1e-3
            assert [text.text for text in drawing.all("text")][:3] == ["2 s", "10 s", "whole"]


def test_a_det_curve_is_that_of_the_scores(made):
    _, folder, page = made
    det = figures(page, "plots", "eval", "plda")[0]
    drawing, group = det.all("svg")[0], det.all("g", "series")[1]
    scores = scores_of(1, "eval", "plda")
    curve = ErrorCurve.of(scores[TARGET], scores[~TARGET])
    points = [point.split(",") for point in group.all("polyline")[0].attributes["points"].split()]
    x, y = np.array(points, dtype=float).T
    low, high, across = values(drawing, "x", x)
    _, _, up = values(drawing, "y", y)
    inside = (across > 0.05) & (across < 0.95) & (up > 0.05) & (up < 0.95)
    alarms, misses = (ndtr(low + shares[inside] * (high - low)) for shares in (across, up))
    order = np.argsort(curve.false_alarms)
    least = np.interp(alarms, curve.false_alarms[order], curve.misses[order])
    assert inside.sum() > 5 and np.abs(misses - least).max() < 0.03


def test_histograms_have_all_trials():
    target = np.arange(100000) < 20000
    scores = np.random.default_rng(0).normal(np.where(target, 2, -2), np.where(target, 1, 2))
    curve = ErrorCurve.of(scores[target], scores[~target]).det_points(100)
    edges, *shares = histogram(curve)
    for found, some in zip(shares, (scores[target], scores[~target]), strict=True):
        expected = np.histogram(np.clip(some, edges[0], edges[-1]), edges)[0] / len(some)
        assert found.sum() == pytest.approx(1) and np.abs(found - expected).max() < 0.004
        assert expected[[0, -1]].max() < 0.02
    # Equal scores, and classes that do not overlap.
    edges, *shares = histogram(ErrorCurve.of(np.ones(5), np.ones(7)))
    assert len(edges) == BINS + 1 and [one.sum() for one in shares] == [1, 1]
    _, high, low = histogram(ErrorCurve.of(np.arange(50) + 100.0, np.arange(50.0)))
    assert high.sum() == pytest.approx(1) and np.minimum(high, low).sum() < 0.03


def test_every_system_has_a_histogram(made):
    page = made[2]
    shown = figures(page, "histograms", "eval", "plda")
    assert len(shown) == 5 and all(len(one.all("g", "series area")) == 2 for one in shown)
    assert "teacher, segment6" in shown[1].all("figcaption")[0].text


def test_trainings_are_those_of_the_logs(made):
    page = made[2]
    part = next(one for one in page.all("section") if one.attributes["id"] == "training")
    plots = {figure.all("figcaption")[0].text: figure for figure in part.all("figure")}
    assert list(plots) == [
        "Loss", "Accuracy on training speakers", "Cosine of output and target", "EER on the development set (%)",
    ]  # fmt: skip
    drawing, groups = plots["Loss"].all("svg")[0], plots["Loss"].all("g", "series")
    assert len(groups) == 4 and groups[0].all("title")[0].text == "teacher_t_s0"
    y = [float(point.split(",")[1]) for point in groups[0].all("polyline")[0].attributes["points"].split()]
    assert off(drawing, "y", y, [6.5, 2.5, 1.25]) < 1e-3
    # What was not measured after an epoch is left out.
    sole = plots["EER on the development set (%)"].all("polyline")
    assert len(sole) == 1 and len(sole[0].attributes["points"].split()) == 2


def test_the_configuration_of_run_and_models_is_shown(made):
    page = made[2]
    part = next(one for one in page.all("section") if one.attributes["id"] == "configuration")
    titles = [one.text for one in part.all("summary")]
    assert titles[0] == "Options of the last run (2)" and "student_1_s0/config.yaml" in titles
    rows = [[cell.text for cell in row.children] for row in part.all("table")[0].all("tr")]
    assert rows == [["students", "label frame+segment6"], ["seed", "0"]]
    assert any("bootstrap_draws" in one.text for one in part.all("pre"))


def test_names_are_never_markup(odd):
    _, folder, page = odd
    assert page.all("h1")[0].text == "Results: <b>corpus & co" and page.all("b") == page.all("img") == []
    labels = [label.text for label in page.all("label")]
    assert "eval_<img src=x>" in labels and HOSTILE in labels
    assert any(cell.text.startswith(HOSTILE) for cell in page.all("th"))
    shown = figures(page, "plots", "eval_<img src=x>", "plda")[0]
    assert shown.all("title")[0].text.startswith(f"teacher, {HOSTILE}: EER ")
    assert element("p", "<b>", title='"><b>') == '<p title="&quot;&gt;&lt;b&gt;">&lt;b&gt;</p>'


def test_what_is_missing_is_told(odd):
    page = odd[2]
    assert "No model here has a log of its training." in page.text
    assert page.all("dl") == []  # nothing was chosen on a development set
    assert len(figures(page, "plots", "eval", "plda")[0].all("g", "series")) == 1


def test_of_an_earlier_version_and_without_matplotlib_there_is_the_page(tmp_path):
    """Systems without points of their curves and intervals are named; the others are drawn."""
    experiment, folder = tmp_path / "corpus", tmp_path / "results"
    write_experiment(experiment, ["dev", "eval"], ["frame"], [["frame"]])
    for name in ("det.tsv", "draws.npz"):
        (experiment / "teacher_t_s0" / "scores" / "frame" / name).unlink()
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['matplotlib'] = None\n")
    log = make_results(experiment, folder, PYTHONPATH=f"{tmp_path}:{ROOT / 'pyscripts'}")
    page = read_page(folder)
    det = figures(page, "plots", "eval", "plda")[0]
    assert len(det.all("polyline")) == 1
    assert "Not drawn, no points of the curve; repeat stage 9: teacher_t_s0/frame." in det.text
    assert "Scored by an earlier version: repeat stage 9." in figures(page, "histograms", "eval", "plda")[0].text
    assert "matplotlib is not installed: no figures as PNG files; index.html has them" in log
    assert {path.name for path in folder.iterdir()} == {"index.html", "RESULTS.md", "results.json", "files"}
    assert (folder / "files").read_text().split() == ["results.json", "RESULTS.md", "index.html"]


@pytest.mark.parametrize("damage", ["list\nx\ty\tz\n", "list\nx\ty\t1\t2\tmuch\n"])
def test_damaged_files_are_told(tmp_path, damage):
    file = tmp_path / "student" / "scores" / "embedding" / "det.tsv"
    file.parent.mkdir(parents=True)
    file.write_text(damage)
    with pytest.raises(UserError, match="det.tsv: damaged .*; remove it and repeat stage 9"):
        read_curves(tmp_path, [])
    log = tmp_path / "student" / "log" / "training.csv"
    log.parent.mkdir()
    log.write_text("epoch,loss\n1,much\n")
    with pytest.raises(UserError, match="training.csv: damaged .*; mend or remove it"):
        read_trainings(tmp_path, ["student"])


@pytest.mark.parametrize("which", ["made", "odd"])
def test_the_figures_are_png_files_too(which, request):
    image = pytest.importorskip("matplotlib.image", reason="PNG files need matplotlib")
    _, folder, _ = request.getfixturevalue(which)
    names = [name for name in (folder / "files").read_text().splitlines() if name.endswith(".png")]
    assert {*names, "files", "results.json", "RESULTS.md", "index.html"} == {path.name for path in folder.iterdir()}
    expected = {"det_eval.png", "size_eval.png", "scores_eval.png"}
    if which == "made":
        expected |= {"duration_eval.png", "training.png", "det_dev.png", "size_eval_noisy.png"}
    assert expected <= set(names)
    for name in names:
        pixels = image.imread(folder / name)
        assert pixels.shape[0] > 200 and pixels.shape[1] > 400 and pixels[..., :3].std() > 0.03
    links = re.findall(r"\]\(([^)]*)\)", (folder / "RESULTS.md").read_text())
    assert {unquote(link) for link in links} == {"index.html", *names}


def test_axes_have_ticks_that_people_read():
    def texts(axis):
        return [text for _, text in axis.ticks]

    assert texts(linear_axis("", [0, 17.3], zero=True)) == ["0", "5", "10", "15"]
    assert texts(linear_axis("", [4.4, 7.2])) == ["5", "6", "7"]
    assert texts(log_axis("", [1, 90])) == ["1", "2", "5", "10", "20", "50", "100"]
    assert texts(probit_axis("", 0.001, 0.5)) == ["0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "40"]
    for axis in (linear_axis("", [3.0]), log_axis("", [3.0]), linear_axis("", [0.0], zero=True), linear_axis("", [])):
        assert len(axis.ticks) >= 2 and axis.low < axis.high
        assert (axis.share([tick for tick, _ in axis.ticks]) >= -1e-9).all()


def test_systems_of_unknown_size_are_named_and_those_of_one_size_do_not_hide_each_other():
    """A teacher from elsewhere may have left its embeddings only."""
    common = {"set": "eval", "scoring": "plda", "eer_ci": None}
    plot = size_plot([
        {**common, "system": "given", "parameters": None, "eer_percent": 3.0},
        {**common, "system": "a", "parameters": 99, "deployed_parameters": 80_000, "eer_percent": 4.0},
        {**common, "system": "b", "parameters": 80_000, "eer_percent": 0.0},
    ])  # fmt: skip
    a, b = plot.series
    assert a.x[0] < 80_000 < b.x[0] and "size not known: given" in plot.note
    assert a.label == ["EER 4.00 %, 80,000 parameters as deployed"] and plot.y.scale == "linear"


def test_a_training_of_one_epoch_is_a_point():
    log = {"loss": (np.array([1.0]), np.array([3.0])), "seconds": (np.ones(1), np.ones(1))}
    (plot,) = training_plots({"t": log}, {"t": "t/a"})
    assert plot.series[0].key == "t/a" and plot.series[0].mark == (1, 3)


def test_lines_keep_to_what_they_stand_for():
    x = np.linspace(0, 100, 201)
    y = 30 * np.sin(x / 15)
    kept = simplified(x, y, 0.25)
    assert kept[0] and kept[-1] and kept.sum() < 80
    assert np.abs(np.interp(x, x[kept], y[kept]) - y).max() < 0.5
    assert simplified(x, 2 * x, 0.25).sum() == 2
