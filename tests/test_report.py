"""The report: its numbers stand where they belong, it is whole, and no file of a user is lost."""

import base64
import html.parser
import os
import re

import commands
import numpy as np
import pytest
import reports
from run_directories import OTHER_NETWORK, write_run

from unfair_bp import report
from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger, naming
from unfair_bp.figures import style
from unfair_bp.figures.comparison import comparison_figure
from unfair_bp.reporting import comparison, document
from unfair_bp.reporting.differences import Wanted
from unfair_bp.results.budgets import BUDGETS, EPOCHS, OPERATIONS, UPDATES
from unfair_bp.results.collection import collect
from unfair_bp.results.series import Part

PNG = b"\x89PNG\r\n"
VOID = {"meta", "img"}
DIFFERENCES = tuple(
    f"Paired differences of test accuracy at equal {cost}"
    for cost in ("operations", "layer updates", "epochs", "training accuracy")
)
OVERFITTING = "Paired differences of overfitting and skewness after the last epoch"


class Page(html.parser.HTMLParser):
    """Checks that elements are closed in order; gathers text, attributes and pictures."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.references, self.texts = [], [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.references += [
            value
            for name, value in attributes
            if name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def attributes(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def logs(tmp_path):
    """Cases a and c with two seeds each, c with a third; one run damaged, one in the middle."""
    root = tmp_path / "logs"
    for seed, fair, back in ((1, 0.50, 0.25), (2, 0.60, 0.45)):
        write_run(root / "a" / str(seed), "a", [0.2, fair + 0.02, fair], seed=seed)
        write_run(root / "c" / str(seed), "c", [0.2, 0.1, back], seed=seed)
    write_run(root / "c" / "3", "c", [0.2, 0.1, 0.95], seed=3)
    write_run(root / "c" / "4", "c", [0.2, 0.1], seed=4, epochs=3)
    write_run(root / "torn", "e", [0.1])
    (root / "torn" / "metrics.csv").write_text("epoch\n1")
    return str(root)


def table(text, heading, number=0):
    """A table of the Markdown: a dictionary for each row."""
    section = re.split(r"^#+ ", text, flags=re.MULTILINE)
    body = [part for part in section if part.startswith(heading + "\n")][number]
    lines = [line[2:-2].split(" | ") for line in body.splitlines() if line.startswith("| ")]
    assert len(set(map(len, lines))) <= 1
    return [dict(zip(lines[0], line)) for line in lines[2:]]


# --- what it says


def test_accuracies_stand_beside_the_published_ones(logs):
    """Breaks if a column is swapped, or another case's published numbers stand in a row."""
    rows = table(reports.markdown(logs), "Accuracy")
    assert [(row["case"], row["epochs"], row["seeds"]) for row in rows] == [
        ("a", "3", "2"),
        ("c", "2", "1"),
        ("c", "3", "3"),
    ]
    assert rows[0] == {
        "case": "a",
        "schedule": "fair",
        "protocol": "either",
        "epochs": "3",
        "seeds": "2",
        "test": "0.5500 [-0.0853, 1.1853]",
        "published test": "0.8333 (50)",
        "train": "0.6500 [0.0147, 1.2853]",
        "published train": "0.9831 (50)",
        "train - test": "+0.1000 [+0.1000, +0.1000]",
    }
    assert rows[1]["test"] == "0.1000"
    assert rows[2]["published test"] == "0.8298 (10)"
    assert rows[2]["published train"] == "0.8971 (10)"


def test_the_cost_of_a_run(logs):
    """Breaks if updates of the first and the last layer are swapped, or units are wrong."""
    rows = table(reports.markdown(logs), "Cost")
    assert list(rows[0])[4:6] == ["updates of layer 1", "updates of layer 9"]
    assert list(rows[0].values())[3:] == ["3", "3", "27", "15", "9", "32"]
    assert list(rows[1].values())[3:] == ["2", "2", "18", "10", "6", "21"]


def test_differences_are_over_common_seeds(logs):
    """Breaks if the report takes other runs for a difference than those it says."""
    (row,) = table(reports.markdown(logs), DIFFERENCES[2])
    assert row == {
        "cases": "c, 3 ep. - a",
        "question": "from the back against fair",
        "protocol": "per-step",
        "at epoch": "3",
        "pairs": "2",
        "difference": "-0.2000 [-0.8353, +0.4353]",
        "p (Holm)": "0.1560",
    }


def test_equal_operations_come_first(tmp_path):
    """Breaks if tables change places, a cost has another's unit, or a note is another table's."""
    fair = 2 * 10**12
    write_run(tmp_path / "a", "a", [0.2, 0.4, 0.5], flops=fair)
    write_run(tmp_path / "c", "c", [0.2, 0.3, 0.5], flops=fair // 2)
    text = reports.markdown(tmp_path)
    assert tuple(re.findall("^### (.*)", text, re.MULTILINE)) == (
        *DIFFERENCES,
        "Accuracy",
        "Cost",
        OVERFITTING,
    )
    found = [list(table(text, heading)[0].items())[3:] for heading in DIFFERENCES]
    rest = [("p (Holm)", "-")]
    assert found == [
        [("at TFLOP", "3"), ("pairs", "1"), ("difference", "+0.2000"), *rest],
        [("at updates", "15"), ("pairs", "1"), ("difference", "+0.0000"), *rest],
        [("at epoch", "3"), ("pairs", "1"), ("difference", "+0.0000"), *rest],
        [("at train, mean", "0.6000"), ("pairs", "1"), ("difference", "-0.0500"), *rest],
    ]
    first = text[text.index(DIFFERENCES[0]) : text.index(DIFFERENCES[1])]
    assert "total operations (of the convolutions) of the cheaper run" in first
    assert "interpolated linearly" in first


def test_what_cannot_be_compared_is_said(tmp_path):
    """Breaks if the reader is not told why two cases that were run are not compared."""
    write_run(tmp_path / "a", "a", [0.2], flops=8)
    write_run(tmp_path / "c", "c", [0.3], [0.2], flops=4)
    write_run(tmp_path / "e", "e", [0.3], seed=2)
    text = reports.markdown(tmp_path)
    assert "quirks for: e - a, c - e.\n" in text
    early = "one run of the pair ended below what the other had after its first epoch: c - a.\n"
    assert text.count(early) == text[: text.index(DIFFERENCES[1])].count(early) == 1
    low = "because one run of the pair never reached the other's training accuracy of its second "
    assert text[text.index(DIFFERENCES[3]) :].count(low + "epoch: c - a.\n") == 1
    assert [len(table(text, heading)) for heading in DIFFERENCES] == [0, 1, 1, 0]


def test_a_tiny_p_is_not_written_as_zero(tmp_path):
    """Breaks if differences that are all alike seem to be certain."""
    for seed in (1, 2):
        write_run(tmp_path / f"a{seed}", "a", [0.25], seed=seed)
        write_run(tmp_path / f"c{seed}", "c", [0.5 + seed * 1e-6], seed=seed)
    (row,) = table(reports.markdown(tmp_path), DIFFERENCES[2])
    assert row["p (Holm)"] == "<0.0001"


def test_several_directories_on_the_command_line(tmp_path, capsys):
    """Breaks if only the first is reported, or the command in the report has lost one."""
    roots = [str(tmp_path / name) for name in ("fair", "back")]
    for letter, root in zip("ac", roots):
        write_run(os.path.join(root, "seed1"), letter, [0.25, 0.5])
    assert commands.here(report.main, *roots) == 0
    text = capsys.readouterr().out
    assert f"unfair_bp.report {roots[0]} {roots[1]}` (unfair_bp" in text
    assert [row["cases"] for row in table(text, DIFFERENCES[2])] == ["c - a"]


@pytest.mark.parametrize("augment", [False, True])
def test_a_baseline_that_is_missing_is_said(tmp_path, augment):
    """Breaks if schedules are not compared and nobody says what to run, or to give."""
    for name in ("single", "9;8-9"):
        write_run(tmp_path / name, "own", [0.2, 0.2], schedule=name, augment=augment)
    text = reports.markdown(tmp_path)
    ending = ", augmented" * augment
    assert "### Paired" not in text
    assert (
        f"No run with the schedule fair{' and augmentation' * augment}, the baseline, to compare "
        f"with: 9;8-9{ending}, single{ending}. Train one with these options, "
        "or compare with another: `--baseline SCHEDULE`.\n"
    ) in text
    text = reports.markdown(tmp_path, Wanted("single"))
    assert [len(table(text, heading)) for heading in DIFFERENCES] == [1, 1, 1, 1]
    assert "No run with" not in text
    assert "--baseline single` (unfair_bp" in text


def test_a_baseline_of_one_of_two_networks(tmp_path):
    """Breaks if a schedule is refused as the baseline because another network lacks its layers."""
    write_run(tmp_path / "nine", "a", [0.2], schedule="9")
    write_run(tmp_path / "five", "own", [0.2], architecture=OTHER_NETWORK)
    comparison.check_baseline(collect(str(tmp_path)), "9")
    with pytest.raises(UsageError, match="--baseline '10': '10' is out of range"):
        comparison.check_baseline(collect(str(tmp_path)), "10")


def test_only_what_there_is_is_mentioned(tmp_path):
    """Breaks if a report of one run speaks of augmentation, protocols or differences."""
    write_run(tmp_path / "x" / "1", "own", [0.2], schedule="single")
    text = reports.markdown(tmp_path / "x")
    for word in ("ugment", "either", "ublished", "Differences", "baseline", "### Paired", "No two"):
        assert word not in text, word
    write_run(tmp_path / "x" / "2", "b", [0.2])
    write_run(tmp_path / "x" / "3", "d", [0.2])
    text = reports.markdown(tmp_path / "x")
    for word in (
        "augmented ones",
        "`either`",
        "Published",
        "c to f",
        "Differences are",
        "### Paired",
    ):
        assert word in text, word
    assert "No two" not in text


def test_one_budget_alone(tmp_path, capsys):
    """Breaks if --at shows another table than the one of its name, or the others too."""
    for name in "ac":
        write_run(tmp_path / name, name, [0.1])
    for at, heading in zip([budget.option for budget in BUDGETS], DIFFERENCES):
        assert commands.here(report.main, tmp_path, "--at", at) == 0
        text = capsys.readouterr().out
        headings = re.findall("^### (Paired.*)", text, re.MULTILINE)
        assert headings == [heading, OVERFITTING]
        assert f"--at {at}` (unfair_bp" in text
    page = reports.html(tmp_path, Wanted("fair", (UPDATES,)))
    headings = [heading for heading in Page(page).texts["h3"] if heading.startswith("Paired")]
    assert headings == [DIFFERENCES[1], OVERFITTING]


def test_runs_without_a_pair_have_no_table_of_differences(tmp_path):
    """Breaks if there are headings without tables."""
    write_run(tmp_path, "a", [0.2])
    text = reports.markdown(tmp_path)
    assert "### Paired" not in text
    assert "quirks for" not in text


def test_settings_that_differ_have_headings_that_differ(tmp_path):
    """Breaks if two tables have the same heading, as those with and without Nesterov's momentum."""
    for nesterov in (False, True):
        changes = {"optimizer": "sgd", "nesterov": nesterov}
        write_run(tmp_path / str(nesterov), "a", [0.2], **changes)
    headings = re.findall("^## (Width .*)$", reports.markdown(tmp_path), re.MULTILINE)
    assert len(set(headings)) == 2 and sum("Nesterov" in heading for heading in headings) == 1


def test_a_run_of_ones_own_is_reported(tmp_path):
    """Breaks if another network, optimizer, or a long schedule cannot be reported or drawn."""
    other = {"architecture": OTHER_NETWORK, "optimizer": "sgd"}
    for name, schedule in (("own", "back"), ("mine", ";".join(99 * ["1-5", "5"]))):
        write_run(tmp_path / name, name, [0.2], schedule=schedule, **other)
    text = reports.markdown(tmp_path)
    rows = table(text, "Accuracy")
    short = naming.short_name(";".join(99 * ["1-5", "5"]), 28)
    assert short.startswith("1-5;5;1-5;5;1-5;5;1-5;5~")
    assert [row["case"] for row in rows] == [short, "back"]
    assert rows[0]["schedule"].startswith(9 * "1-5;5;")
    assert "5 layers for 28x28x1 images, sgd\n" in text
    assert "Optimizer sgd with momentum 0.9. " in text
    assert "Layers at width 1: 3x3 to 8 channels, stddev 0.1; 3x3 to 8 channels" in text
    assert list(table(text, "Cost")[0])[5] == "updates of layer 5"
    legend = reports.figure(tmp_path).axes[0].get_legend()
    assert legend.texts[1].get_text() == "back, 1 epoch, 1 seed"


def test_how_it_was_made_and_what_is_missing(logs):
    """Breaks if the origin is not stated, or a run disappears without a word."""
    text = reports.markdown(logs)
    made = f"Made by `python -m unfair_bp.report {logs}` (unfair_bp "
    assert made in text
    assert "from 6 runs in 1 setting." in text
    ended = text.split("## Runs that have not ended\n")[1].split("\n## ")[0]
    assert ended.splitlines()[-1] == "- {}: 2 of 3 epochs".format(os.path.join(logs, "c", "4"))
    assert "torn" in text.split("## Not counted\n")[1]


def test_each_setting_has_its_tables(tmp_path):
    """Breaks if settings share a table, or headings do not tell them apart."""
    write_run(tmp_path / "1", "a", [0.1], width=0.25)
    write_run(tmp_path / "2", "a", [0.3], width=0.5, batch_size=20, learning_rate=0.01)
    write_run(tmp_path / "3", "c", [0.3], width=0.5, batch_size=20, learning_rate=0.01)
    text = reports.markdown(tmp_path)
    images = "CIFAR-10, drawn, 50 training and 20 test images"
    assert re.findall("^## (.*)", text, re.MULTILINE) == [
        f"Width 0.5, {images}, batches of 20, learning rate 0.01",
        f"Width 0.25, {images}, batches of 10, learning rate 0.0001",
    ]
    assert [row["case"] for row in table(text, "Accuracy", 0)] == ["a", "c"]
    assert [row["test"] for row in table(text, "Accuracy", 1)] == ["0.1000"]


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "single"},
        {"schedule": "back", "protocol": "per-batch"},
        {"architecture": OTHER_NETWORK},
        {"data": {"name": "shapes"}},
        {"data": {"name": "CIFAR-10 format, files not official"}},
    ],
)
def test_another_experiment_has_no_published_numbers(tmp_path, changes):
    """Breaks if numbers of the post stand beside a run, or images, that the post does not have."""
    write_run(tmp_path, "a", [0.1], **changes)
    (row,) = table(reports.markdown(tmp_path), "Accuracy")
    assert [name for name in row if "published" in name] == []
    legend, *panels = reports.figure(tmp_path).axes
    name = changes.get("schedule", "fair" if "architecture" in changes else "a")
    (text,) = (text.get_text() for text in legend.get_legend().get_texts())
    assert text.startswith(name)
    assert [line for axes in panels for line in axes.lines if line.get_linestyle() == ":"] == []


# --- the page


def test_the_page_is_whole_and_needs_no_other(logs):
    """Breaks if tags are left open, something is loaded from elsewhere, or a picture is missing."""
    text = reports.html(logs)
    page = Page(text)
    assert page.tags[0] == ("html", {"lang": "en"})
    assert {"charset": "utf-8"} in page.attributes("meta")
    assert page.texts["title"] == [comparison.TITLE]
    assert "url(" not in text
    assert "@import" not in text
    assert {"script", "link", "iframe"}.isdisjoint(tag for tag, _ in page.tags)
    (picture,) = page.attributes("img")
    assert page.references == [picture["src"]]
    kind, data = picture["src"].split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data).startswith(PNG)
    assert "cases a, c" in picture["alt"]
    assert "@media print" in page.texts["style"][0]


def test_the_page_says_what_the_markdown_says(logs):
    """Breaks if a number or a warning is in one form of the report only."""
    page = Page(reports.html(logs))
    text = reports.markdown(logs)
    for heading in ("Accuracy", "Cost", *DIFFERENCES):
        for row in table(text, heading):
            assert set(row.values()) - {""} <= {*page.texts["td"], *page.texts["th"]}
    bullets = [line[2:] for line in text.splitlines() if line.startswith("- ")]
    assert len(page.attributes("li")) == len(bullets)


def test_names_cannot_break_out_of_the_page(tmp_path):
    """Breaks if a data set's name or a path is taken for markup, or splits a table's row."""
    name = '<script>x|"y"&$\\bad$\n# z'
    write_run(tmp_path / "<b>|&", "a", [0.1], data={"name": name}, epochs=2)
    page = Page(reports.html(tmp_path))
    assert page.attributes("script") == []
    assert any('<script>x|"y"&$\\bad$ # z' in heading for heading in page.texts["h2"])
    assert "\n# z" not in reports.markdown(tmp_path)


@pytest.mark.parametrize("ending", ["pgf", "raw", "eps", ""])
def test_another_format_is_refused_before_the_work(tmp_path, capsys, ending):
    """Breaks if a format that Matplotlib alone knows is found to need LaTeX after the work."""
    assert commands.here(report.main, tmp_path / "nowhere", "--png", f"x.{ending}") == 2
    assert "give a file that ends in .png, .svg or .pdf" in capsys.readouterr().err
    assert commands.here(report.main, tmp_path / "nowhere", "--png", "x.PNG") == 2
    assert "nowhere is not a directory" in capsys.readouterr().err  # the format is known


def test_blocks_in_markdown():
    """Breaks if a bar splits a cell, an asterisk is taken for emphasis, or numbers stand left."""
    blocks = [
        document.Heading(2, "A"),
        document.Picture(b"", "nothing"),
        document.Table(["x", "n"], [["a|b*2 c*3", "1"]], range(1, 2)),
        document.Bullets(["one\ntwo"]),
        document.Paragraph("back*100 and `single*5`"),
    ]
    expected = "## A\n\n| x | n |\n| --- | ---: |\n| a\\|b\\*2 c\\*3 | 1 |\n\n- one two\n"
    expected += "\nback\\*100 and `single*5`\n"
    assert document.as_markdown(blocks) == expected


def test_blocks_in_html():
    """Breaks if code or a number's cell is not marked, or a wide table cannot be scrolled."""
    blocks = [
        document.Paragraph("run `a < b` & c"),
        document.Table(["x", "n", "y"], [["`r`", "1", "z"]], range(1, 2)),
        document.Picture(b"abc", 'say "x"'),
    ]
    text = document.as_html(blocks, "<t>")
    assert "<p>run <code>a &lt; b</code> &amp; c</p>" in text
    heads = '<th scope="col">x</th><th scope="col" class="number">n</th><th scope="col">y</th>'
    assert f'<div class="table"><table>\n<thead>\n<tr>{heads}</tr>' in text
    assert '<th scope="row"><code>r</code></th><td class="number">1</td><td>z</td>' in text
    assert 'base64,YWJj" alt="say &quot;x&quot;"' in text
    assert "<title>&lt;t&gt;</title>" in text


# --- the picture


def panels_of(figure):
    """The panels by name: of each kind, those of one part after the other."""
    found = {}
    for axes in figure.axes:
        found.setdefault(axes.get_label(), []).append(axes)
    return found


def only_panels_of(figure):
    """The panels by name, of a picture with one part."""
    return {name: axes for name, (axes,) in panels_of(figure).items()}


def test_a_panel_that_would_be_empty_is_left_out(tmp_path):
    """Breaks if runs of one epoch, which have no test accuracy in its middle, get empty axes."""
    write_run(tmp_path / "a", "a", [0.1])
    assert "train" not in panels_of(reports.figure(tmp_path))
    write_run(tmp_path / "c", "c", [0.1, 0.2])
    assert "train" in panels_of(reports.figure(tmp_path))


def test_the_picture_shows_means_and_ranges(logs):
    """Breaks if a curve is drawn over another quantity, or mean and seeds are mixed up."""
    panels = only_panels_of(reports.figure(logs))
    for name, per_epoch in (("epochs", 1), ("updates", 5), ("tflop", 3)):
        axes = panels[name]
        np.testing.assert_allclose(axes.lines[0].get_xdata(), per_epoch * np.array([1, 2, 3]))
        np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.2, 0.57, 0.55])
        np.testing.assert_allclose(axes.lines[2].get_ydata(), [0.2, 0.1, 0.55])
        assert len(axes.lines) == 3  # published curves are elsewhere
        (fair, back) = (band.get_paths()[0].vertices for band in axes.collections)
        assert (fair[:, 1].min(), fair[:, 1].max()) == pytest.approx((0.2, 0.62))
        assert {0.25, 0.95} <= set(back[:, 1])
        assert "band: lowest to highest seed" in axes.get_title(loc="left")
    train = panels["train"].lines[0]
    # In the middle of an epoch, whose mean the training accuracy is.
    np.testing.assert_allclose(train.get_ydata(), [(0.2 + 0.57) / 2, (0.57 + 0.55) / 2])
    np.testing.assert_allclose(train.get_xdata(), [0.67, 0.65])


def test_the_picture_shows_the_last_epoch(logs):
    """Breaks if an interval is not the table's, or a seed is missing."""
    last = only_panels_of(reports.figure(logs))["last"]
    ends = [line for line in last.lines if line.get_marker() == "_"]
    assert list(ends[0].get_ydata()) == pytest.approx([0.55 - 0.6353, 0.55 + 0.6353], abs=1e-4)
    means = [float(line.get_ydata()[0]) for line in last.lines if line.get_marker() not in "_."]
    assert means == pytest.approx([0.55, 0.1, 0.55])
    seeds = [line.get_ydata() for line in last.lines if line.get_marker() == "."]
    assert [sorted(values) for values in seeds] == [[0.5, 0.6], [0.1], [0.25, 0.45, 0.95]]
    assert [tick.get_text() for tick in last.get_xticklabels()] == [
        "a",
        "c\n2 ep.",
        "c\n3 ep.",
    ]


def test_published_curves_have_a_panel_of_their_own(logs):
    """Breaks if a published curve is missing, cut, or drawn where accuracies are compared."""
    published = only_panels_of(reports.figure(logs))["published"]
    dotted = [line for line in published.lines if line.get_linestyle() == ":"]
    assert sorted({line.get_ydata()[-1] for line in dotted}) == [0.7765, 0.8298]
    assert {line.get_xdata()[-1] for line in dotted} == {10}  # a's log goes on to 50
    ours = [line for line in published.lines if line.get_linestyle() != ":"]
    np.testing.assert_allclose(ours[0].get_ydata(), [0.2, 0.57, 0.55])


def test_differences_are_drawn_as_differences(tmp_path):
    """Breaks if a mark or interval is not the table's, or a pair or budget is left out."""
    for seed, change in ((0, 0.1), (1, 0.2)):
        write_run(tmp_path / f"a{seed}", "a", [0.3, 0.3, 0.4], seed=seed)
        write_run(tmp_path / f"c{seed}", "c", [0.3, 0.3, 0.4 + change], seed=seed)
        write_run(tmp_path / f"e{seed}", "e", [0.3, 0.3, 0.4 - change], seed=seed)
    axes = only_panels_of(reports.figure(tmp_path))["differences"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["c - a", "e - a", "c - e"]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["operations", "layer updates", "epochs", "training accuracy"]
    marks = [line for line in axes.lines if line.get_marker() in "o^s" and len(line.get_xdata())]
    means = [round(float(line.get_xdata()[0]), 6) for line in marks]
    assert means == 3 * [0.15, -0.15, 0.3]  # but for training accuracy, whose mark is a diamond
    places = sorted(line.get_ydata()[0] for line in axes.lines if line.get_marker() == "|")
    assert len(places) == 3 * 4
    assert [np.mean(places[n : n + 4]) for n in (0, 4, 8)] == pytest.approx([0, 1, 2])
    reach = 12.7062 * 0.05  # t of one degree of freedom; 0.05 is the standard error
    (low, high) = next(line.get_xdata() for line in axes.lines if line.get_marker() == "|")
    assert (low, high) == pytest.approx((0.15 - reach, 0.15 + reach), abs=1e-4)


@pytest.mark.parametrize(("budget", "more"), [(OPERATIONS, []), (EPOCHS, ["published"])])
def test_at_one_budget_the_picture_has_its_panel_and_the_differences(tmp_path, budget, more):
    """Breaks if --at is ignored in the picture, or other panels push the one that counts aside."""
    for name in "ac":
        write_run(tmp_path / name, name, [0.1, 0.2])
    figure = comparison.figure(collect(str(tmp_path)), Wanted(budgets=(budget,)))
    assert list(panels_of(figure)) == ["legend", budget.field, "differences", *more]
    axes = only_panels_of(figure)["differences"]
    assert axes.get_title(loc="left") == f"paired differences at equal {budget.words}"
    assert axes.get_legend() is None


@pytest.mark.parametrize(("count", "bands"), [(4, 4), (5, 0)])
def test_at_most_four_bands_in_a_panel(tmp_path, count, bands):
    """Breaks if bands hide each other, or the title speaks of bands that are not there."""
    for n in range(count):
        for seed in range(2):
            write_run(tmp_path / f"{n}-{seed}", "own", [0.1], schedule=str(n + 1), seed=seed)
    axes = only_panels_of(reports.figure(tmp_path))["epochs"]
    assert len(axes.collections) == bands
    assert ("band" in axes.get_title(loc="left")) == bool(bands)


def test_one_run_of_one_epoch_can_be_drawn(tmp_path):
    """Breaks if a single point, or a single seed, cannot be drawn or is invisible."""
    write_run(tmp_path / "run", "f", [0.1])
    figure = reports.figure(tmp_path)
    epochs = only_panels_of(figure)["epochs"]
    (mean,) = epochs.lines
    assert mean.get_xydata().tolist() == [[1, 0.1]]
    assert "band" not in epochs.get_title(loc="left")
    style.save(figure, str(tmp_path / "picture.png"))


def test_a_long_curve_stays_a_line(tmp_path):
    """Breaks if fifty epochs become a row of overlapping marks, or a short curve loses some."""
    write_run(tmp_path / "a", "a", [0.1] * 50)
    write_run(tmp_path / "c", "c", [0.1] * 20)
    means = only_panels_of(reports.figure(tmp_path))["epochs"].lines
    assert [line.get_markevery() for line in means] == [3, 1]


def test_each_setting_and_protocol_has_its_panels(tmp_path):
    """Breaks if curves of different settings or protocols are drawn over each other."""
    write_run(tmp_path / "1", "c", [0.1])
    write_run(tmp_path / "2", "c", [0.2], protocol="per-batch")
    write_run(tmp_path / "3", "a", [0.3], width=0.5)
    panels = panels_of(reports.figure(tmp_path))
    titles = [axes.get_title() for axes in panels["legend"]]
    assert [title[:9] + title.split("; ")[1] for title in titles] == [
        "Width 1, per-batch",
        "Width 1, per-step",
        "Width 0.5either",
    ]
    assert [axes.lines[0].get_ydata()[0] for axes in panels["epochs"]] == [0.2, 0.1, 0.3]


def test_fair_runs_are_drawn_beside_each_protocol(tmp_path):
    """Breaks if a cycle of one row, which has no protocol, is drawn apart from what it is for."""
    write_run(tmp_path / "a", "a", [0.1])
    write_run(tmp_path / "c", "c", [0.2])
    write_run(tmp_path / "d", "d", [0.3], protocol="per-batch", quirks=("elu-slope",))
    write_run(tmp_path / "e", "e", [0.4], protocol="per-batch")
    panels = {
        axes.get_title().split("; ")[1]: [
            text.get_text().split(",")[0] for text in axes.get_legend().texts
        ]
        for axes in panels_of(reports.figure(tmp_path))["legend"]
    }
    assert panels == {
        "per-batch": ["a: fair", "front"],
        "per-step": ["a: fair", "c: back"],
        "per-batch, elu-slope": ["back"],
    }


def test_runs_with_the_same_quirks_share_panels(tmp_path):
    """Breaks if a pair of the table is not drawn, or two that are none share a set of panels."""
    write_run(tmp_path / "a", "own", [0.1], schedule="fair", quirks=ledger.as_run("c"))
    write_run(tmp_path / "c", "c", [0.2], quirks=ledger.as_run("c"))
    write_run(tmp_path / "d", "d", [0.3], quirks=ledger.as_run("d"))
    legends = panels_of(reports.figure(tmp_path))["legend"]
    texts = [[item.get_text() for item in axes.get_legend().texts] for axes in legends]
    drawn = [[text.split(",")[0] for text in alike] for alike in texts]
    assert sorted(drawn, key=len) == [["d: back"], ["a: fair", "c: back"]]


def test_every_case_looks_different(tmp_path):
    """Breaks if two cases, or two groups of one case, cannot be told apart without colours."""
    for name in "abcdef":
        write_run(tmp_path / name, name, [0.1])
    write_run(tmp_path / "long", "a", [0.1, 0.2])
    write_run(tmp_path / "single", "a", [0.1], schedule="single")
    legend = reports.figure(tmp_path).axes[0].get_legend()
    looks = {
        (line.get_marker(), line.get_fillstyle(), line.get_markerfacecolor() == "white")
        for line in legend.get_lines()
    }
    assert len(looks) == 8
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[0] == "a: fair, 1 epoch, 1 seed"


def looks_of(root):
    """The lines of the legend by their labels."""
    legend = reports.figure(root).axes[0].get_legend()
    labels = [text.get_text() for text in legend.get_texts()]
    return dict(zip(labels, legend.get_lines()))


def test_schedules_of_ones_own_look_different(tmp_path):
    """Breaks if two schedules of one's own share a look, or one has that of a case of the post."""
    names = [f"random:{n}" for n in range(1, 9)] + ["single", "9;8-9", "9"]
    for name in names:
        write_run(tmp_path / name, "own", [0.1], schedule=name)
    write_run(tmp_path / "augmented", "own", [0.1], schedule="single", augment=True)
    for name in "acef":
        write_run(tmp_path / name, name, [0.1])
    found = looks_of(tmp_path)
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in found.values()}
    assert len(looks) == len(found) == 16
    single, augmented = (found[f"single{x}, 1 epoch, 1 seed"] for x in ("", ", augmented"))
    assert single.get_color() == augmented.get_color()
    assert single.get_linestyle() != augmented.get_linestyle()


def test_a_schedule_has_one_colour_under_each_protocol(tmp_path):
    """Breaks if the post's schedule changes its colour because the protocol has no letter."""
    write_run(tmp_path / "1", "c", [0.1])
    (step,) = looks_of(tmp_path).values()
    write_run(tmp_path / "1", "c", [0.1], protocol="per-batch")
    (batch,) = looks_of(tmp_path).values()
    assert step.get_color() == batch.get_color() and step.get_marker() == batch.get_marker()


def test_names_of_many_schedules_do_not_run_into_each_other(tmp_path):
    """Breaks if the names below the last panel overlap, or are turned though there is room."""
    for n in range(1, 3):
        write_run(tmp_path / str(n), "own", [0.1], schedule=f"random:{n}:90:12345")
    axes = only_panels_of(reports.figure(tmp_path))["last"]
    assert {tick.get_rotation() for tick in axes.get_xticklabels()} == {0}
    for n in range(3, 9):
        write_run(tmp_path / str(n), "own", [0.1], schedule=f"random:{n}:90:12345")
    write_run(tmp_path / "8", "own", [0.1, 0.2], schedule="random:1:90:12345")
    axes = only_panels_of(reports.figure(tmp_path))["last"]
    assert {tick.get_rotation() for tick in axes.get_xticklabels()} == {30}
    assert "\n" not in "".join(tick.get_text() for tick in axes.get_xticklabels())


def test_too_many_settings_for_a_picture():
    """Breaks if a picture beyond Matplotlib's limit ends in a traceback."""
    with pytest.raises(UsageError, match="100 groups of panels are too many"):
        comparison_figure([Part("title", [], {OPERATIONS: []})] * 100, whole=False)


# --- the command


def test_standard_output_is_the_markdown_file(logs, tmp_path, capsys):
    """Breaks if the two differ, or messages get into the report."""
    assert commands.here(report.main, logs) == 0
    printed = capsys.readouterr()
    path = tmp_path / "report.md"
    assert commands.here(report.main, logs, "--markdown", path) == 0
    written = capsys.readouterr()
    assert path.read_bytes().decode() == printed.out == reports.markdown(logs)
    assert written.out == ""
    assert f"wrote {path}" in written.err
    assert re.match(r"warning: not counted: \S*torn\S*metrics\.csv is damaged", printed.err)


def test_all_outputs_at_once(logs, tmp_path, capsys):
    """Breaks if an output is missing, or a temporary file stays behind."""
    out = tmp_path / "out"
    out.mkdir()
    words = [logs, "--png", out / "r.png", "--html", out / "r.html", "--markdown", out / "r.md"]
    assert commands.here(report.main, *words) == 0
    assert sorted(path.name for path in out.iterdir()) == ["r.html", "r.md", "r.png"]
    assert (out / "r.png").read_bytes().startswith(PNG)
    page = Page((out / "r.html").read_text(encoding="utf-8"))
    command = "python -m unfair_bp.report " + " ".join(map(str, words))
    assert command in page.texts["code"]


@pytest.mark.parametrize("option", ["--markdown", "--png", "--html"])
def test_a_file_is_replaced_only_when_asked(logs, tmp_path, capsys, option):
    """Breaks if a report replaces what the user has made, or cannot be made again."""
    path = tmp_path / "file.png"
    path.write_text("mine")
    assert commands.here(report.main, logs, option, path) == 2
    assert "file.png exists; give --overwrite" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert commands.here(report.main, logs, option, path, "--overwrite") == 0
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("option", ["--markdown", "--png", "--html"])
def test_what_cannot_be_written_is_one_line(logs, tmp_path, capsys, option):
    """Breaks if a missing directory ends in a traceback, or half a file is left."""
    assert commands.here(report.main, logs, option, tmp_path / "no" / "r.png") == 2
    assert "cannot write" in capsys.readouterr().err
    (tmp_path / "dir.png").mkdir()
    assert commands.here(report.main, logs, option, tmp_path / "dir.png", "--overwrite") == 2
    assert "dir.png is a directory" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dir.png", "logs"]


@pytest.mark.parametrize("option", ["--markdown", "--png", "--html"])
def test_a_full_disk_leaves_the_old_file(logs, tmp_path, capsys, monkeypatch, option):
    """Breaks if a file is written in its place, or its half stays beside it."""

    def full(*paths):
        raise OSError(28, "No space left on device")

    (tmp_path / "r.png").write_text("mine")
    monkeypatch.setattr(os, "replace", full)
    assert commands.here(report.main, logs, option, tmp_path / "r.png", "--overwrite") == 2
    assert "No space left" in capsys.readouterr().err
    assert (tmp_path / "r.png").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "r.png"]


def test_nothing_is_written_if_a_name_is_wrong(logs, tmp_path, capsys):
    """Breaks if one output is made before another one's name is looked at."""
    page = tmp_path / "r.html"
    for name, message in (("r.doc", "'.doc' is not a picture"), ("no/r.png", "cannot write")):
        assert commands.here(report.main, logs, "--html", page, "--png", tmp_path / name) == 2
        assert message in capsys.readouterr().err
    assert not page.exists()


def test_one_file_cannot_be_two_outputs(logs, tmp_path, capsys):
    """Breaks if one output replaces the other."""
    (tmp_path / "link").symlink_to(tmp_path)
    for same in ("/./x.png", "/link/x.png"):
        words = ("--png", tmp_path / "x.png", "--html", str(tmp_path) + same)
        assert commands.here(report.main, logs, *words) == 2
        assert "named twice" in capsys.readouterr().err
        assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "LOG_ROOT"),
        (["missing"], "missing is not a directory"),
        (["."], "holds no run with a finished epoch"),
        ([".", "--jpeg", "x"], "--jpeg"),
        ([".", "--at", "seconds"], "'seconds'"),
        (["runs", "--baseline", "sideways"], "--baseline 'sideways': there is no schedule"),
        (["runs", "--baseline", "10"], "--baseline '10': '10' is out of range"),
    ],
)
def test_bad_usage_is_one_line(tmp_path, monkeypatch, capsys, words, message):
    """Breaks if bad usage gives a traceback, an empty report or success."""
    monkeypatch.chdir(tmp_path)
    if "runs" in words:
        write_run(tmp_path / "runs" / "a", "a", [0.1])
    assert commands.here(report.main, *words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1


def test_tensorflow_is_not_needed(logs, tmp_path):
    """Breaks if reading logs takes TensorFlow, or asking for help takes Matplotlib."""
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from unfair_bp import report\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"sys.exit(report.main([{logs!r}, '--html', 'page.html']))"
    )
    status, stdout, stderr = commands.run(["-c", code], tmp_path)
    assert (status, stdout[:2]) == (0, "# "), stderr
    assert (tmp_path / "page.html").stat().st_size > 10000


def test_a_path_that_is_no_text_can_be_reported():
    """Breaks if a file name that is not UTF-8 ends in a traceback when the report is written."""
    assert document.as_markdown([document.Paragraph("a\udcff")]) == "a\\udcff\n"
    assert "<p>a\\udcff</p>" in document.as_html([document.Paragraph("a\udcff")], "t")


def test_a_page_is_read_on_a_phone():
    """Breaks if a page is as wide on a phone as on a desk, or a table or picture wider than it."""
    table = document.Table(["a", "b"], [["1", "2"]], [1])
    page = document.as_html([table, document.Picture(b"png", "words")], "t")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert '<div class="table"><table>' in page and "div.table { overflow-x: auto; }" in page
    assert "img { max-width: 100%; height: auto; }" in page
