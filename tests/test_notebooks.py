"""The notebooks: made by their builder, stored with their outputs, and they run."""

import base64
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import venv

import commands
import nbformat
import pytest
import run_directories
from commands import ROOT, here
from nbclient.exceptions import CellExecutionError
from nbformat import v4

from notebooks import conclusions
from unfair_bp.experiment import published as published_log
from unfair_bp.experiment.cases import CASES
from unfair_bp.results.differences import Difference
from unfair_bp.results.statistics import Statistic

NOTEBOOKS = ROOT / "notebooks"
STUDY = ROOT / "logs" / "study"
ANSWER = STUDY / "answer"
NAMES = [*("case_" + name for name in CASES), "overview"]
SMALL = {"WIDTH": 0.05}
SMALL_RUN = dict(SMALL, DATA="shapes", TRAIN_SIZE=20, TEST_SIZE=10, EPOCHS=2)
SMALL_COLLAPSE = dict(SMALL, ITERATIONS=2, REPEATS=1)


def load_builder():
    """The module notebooks/build.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("build", str(NOTEBOOKS / "build.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_builder()


def stored(name):
    """A committed notebook."""
    return nbformat.read(str(NOTEBOOKS / (name + ".ipynb")), as_version=4)


def set_parameters(notebook, values):
    """Give other values to names that the parameters cell assigns."""
    (cell,) = [cell for cell in notebook.cells if cell.metadata.get("tags") == ["parameters"]]
    for name, value in values.items():
        cell.source, count = re.subn(
            f"^{name} = .*$", f"{name} = {value!r}", cell.source, flags=re.MULTILINE
        )
        assert count == 1, name


def check_pictures(notebook):
    """Make sure that each cell that ends in a picture has one as its output, and others none."""
    for cell in build.code_cells(notebook):
        last = cell.source.splitlines()[-1]
        data = [kind for output in cell.outputs for kind in output.get("data", {})]
        pictures = {kind for kind in data if kind.startswith("image/")}
        wanted = {"image/png"}
        if not last.startswith(("Image(", "schedule_heatmap(")):
            wanted = set()
        assert pictures == wanted, cell.source
        if ".gif" in last:
            (content,) = [output.data["image/png"] for output in cell.outputs if "data" in output]
            assert base64.b64decode(content).startswith(b"GIF89a")


def notebook_of(*sources):
    """A notebook of these cells of code."""
    return v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])


@pytest.fixture(scope="module")
def built():
    """All notebooks, as the builder makes them."""
    return build.all_notebooks()


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_what_the_builder_makes(built, name):
    """Breaks if one notebook was edited by hand, or not built again after the builder was."""
    made, found = built[name], stored(name)
    nbformat.validate(found)
    for notebook in (made, found):
        for cell in build.code_cells(notebook):
            cell.update(outputs=[], execution_count=None)
    assert found == made


def test_there_are_seven(built):
    """Breaks if a notebook is left over, or has no committed version."""
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == sorted(NAMES)
    assert list(built) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_stored_outputs(name):
    """Breaks if a notebook is committed without a run from top to bottom, or tells of a machine."""
    notebook = stored(name)
    cells = build.code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {
        "stream",
        "execute_result",
        "display_data",
    }
    assert "stderr" not in {output.get("name") for output in outputs}
    assert build.absolute_paths(notebook) == []
    check_pictures(notebook)


@pytest.mark.parametrize(
    "text, found",
    [
        ("wrote /srv/x/logs/case_a.", ["/srv/x/logs/case_a."]),
        ("'/home/me/a'", ["/home/me/a"]),
        (r"in C:\Users\me now", [r"C:\Users\me"]),
        ("2500 / 2500, epoch 1/3, logs/a/b, ~ https://host/a/b </td>", []),
    ],
)
def test_absolute_paths(text, found):
    """Breaks if a path of the machine passes, or a fraction or an address does not."""
    stream = notebook_of("")
    stream.cells[0].outputs = [v4.new_output("stream", text=text)]
    result = notebook_of("")
    result.cells[0].outputs = [v4.new_output("execute_result", {"text/plain": text})]
    assert build.absolute_paths(stream) == build.absolute_paths(result) == found


@pytest.mark.parametrize("letter", CASES)
def test_links_and_settings_of_a_case(built, letter):
    """Breaks if a notebook links another case's log, or runs another case or schedule."""
    notebook = built["case_" + letter]
    title = notebook.cells[0].source
    log = re.search(rf"{letter}   (\S+_case\(.*?\)/\S+\.txt)", published_log.__doc__).group(1)
    address = log.replace(" ", "%20").replace("(", "%28").replace(")", "%29")
    assert f"/NeuralNetwork/Unfair/{address})" in title
    assert CASES[letter].question in title
    code = "\n".join(cell.source for cell in build.code_cells(notebook))
    assert re.findall(r'"--case", "(.)", "--run', code) == [letter, build.beside(letter)]
    assert re.findall(r'published.main\(\["--case", "(.)"', code) == [letter]
    assert f'schedules.parse("{CASES[letter].schedule}")' in code


def test_the_original_notebooks_are_six():
    """Breaks if two cases link the same notebook of the post."""
    assert len({original.colab for original in build.ORIGINALS.values()}) == len(CASES)


ADDRESS = "https://github.com/somebody/elsewhere"


@pytest.fixture
def copied(monkeypatch, tmp_path):
    """A copy of the notebooks and the README, which the builder writes to instead."""
    shutil.copytree(str(NOTEBOOKS), str(tmp_path / "notebooks"))
    shutil.copy(str(ROOT / "README.md"), str(tmp_path))
    monkeypatch.setattr(build, "HERE", tmp_path / "notebooks")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize("typed", [ADDRESS, ADDRESS + "/", ADDRESS + ".git", ADDRESS + ".git/"])
def test_ways_to_write_an_address(copied, typed):
    """Breaks if what a browser or git shows as the address gives links that lead nowhere."""
    build.publish(typed)
    assert build.published_at() == ADDRESS


def test_an_address_is_set_everywhere_and_unset(copied):
    """Breaks if a notebook or the README keeps an earlier address, or outputs are lost."""
    assert here(build.main, "--repository", "") == 0
    before = commands.snapshot(copied)
    assert here(build.main, "--repository", ADDRESS) == 0
    badge = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    place = "(https://colab.research.google.com/github/somebody/elsewhere/blob/main/notebooks/%s)"
    readme = (copied / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        found = nbformat.read(str(copied / "notebooks" / (name + ".ipynb")), as_version=4)
        link = badge + place % (name + ".ipynb")
        assert link in found.cells[0].source and link in readme
        cells, earlier = build.code_cells(found), build.code_cells(stored(name))
        assert f'REPOSITORY = "{ADDRESS}"\n' in cells[0].source
        assert [cell.outputs for cell in cells] == [cell.outputs for cell in earlier]
        assert any(cell.outputs for cell in cells)
    assert here(build.main, "--repository", "") == 0
    assert commands.snapshot(copied) == before
    for name in NAMES:
        found = nbformat.read(str(copied / "notebooks" / (name + ".ipynb")), as_version=4)
        assert "colab.research.google.com/github" not in found.cells[0].source
        assert 'REPOSITORY = ""\n' in build.code_cells(found)[0].source


def test_the_readme_links_every_notebook():
    """Breaks if the README lost the marks between which the builder writes its links."""
    (marks,) = build.README_LINKS.finditer((ROOT / "README.md").read_text(encoding="utf-8"))
    for name in NAMES:
        assert f"[{name}](notebooks/{name}.ipynb)" in marks.group()


def test_as_run():
    """Breaks if a notebook offers quirks that its script did not have, or hides one."""
    assert "changes nothing" in build.as_run_text("a")
    assert re.findall("`([a-z0-9-]+)`", build.as_run_text("b")) == ["imgaug-uint8"]
    assert "collapsed-rounds" not in build.as_run_text("b")
    for letter in "cdef":
        assert f"case {letter} updates all layers equally often" in build.as_run_text(letter)


def test_outputs_are_kept_while_the_code_is_the_same():
    """Breaks if building again loses outputs, or keeps those of other code."""
    ran = notebook_of("print(1)")
    ran.cells[0].update(execution_count=1, outputs=[v4.new_output("stream", text="1")])
    same, changed = notebook_of("print(1)"), notebook_of("print(2)")
    same.cells.insert(0, v4.new_markdown_cell("new words"))
    for notebook in (same, changed):
        build.keep_outputs(notebook, ran)
    assert same.cells[1].outputs == ran.cells[0].outputs
    assert same.cells[1].execution_count == 1
    assert changed.cells[0].outputs == [] and changed.cells[0].execution_count is None


def test_building_changes_nothing_but_what_is_asked_for(copied, capsys):
    """Breaks if building again loses outputs, changes a file, or one that was not named."""
    copy = copied / "notebooks"
    ran = nbformat.read(str(copy / "case_a.ipynb"), as_version=4)
    for count, cell in enumerate(build.code_cells(ran), start=1):
        cell.update(execution_count=count, outputs=[v4.new_output("stream", text="ran")])
    build.write(ran, copy / "case_a.ipynb")
    (copy / "case_b.ipynb").unlink()
    (copy / "case_c.ipynb").unlink()
    before = commands.snapshot(copied)
    assert here(build.main, "case_a", "case_b") == 0
    assert capsys.readouterr().out.split() == [
        *("wrote", "notebooks/case_a.ipynb"),
        *("wrote", "notebooks/case_b.ipynb"),
    ]
    after = commands.snapshot(copied)
    assert after.pop("notebooks/case_b.ipynb")
    assert after == before


@pytest.mark.parametrize(
    "words, message",
    [
        (["case_x"], "notebook 'case_x' is not known; give case_a, "),
        (["--execute", "--directory", "missing"], "--directory missing is not a directory"),
        (["--repository", "git@host:a/b"], "--repository 'git@host:a/b' is not a repository"),
        (["--repository", "https://github.com/a"], "give an address such as https://github.com/"),
        (["--repository", ADDRESS, "case_a"], "--repository concerns every notebook"),
    ],
)
def test_mistakes(copied, words, message, capsys):
    """Breaks if a mistake ends in a traceback, or after something was written."""
    before = commands.snapshot(copied)
    assert here(build.main, *words) == 2
    assert message in capsys.readouterr().err
    assert commands.snapshot(copied) == before


def test_execute_leaves_out_what_tells_of_the_machine(tmp_path):
    """Breaks if warnings or timing are stored, or the notebook runs elsewhere."""
    printing = "import os, sys\nprint('a', flush=True)\nprint('bar', file=sys.stderr, flush=True)\n"
    notebook = notebook_of(printing + "print(sorted(os.listdir()))", "6 * 7")
    (tmp_path / "mark").touch()
    build.execute(notebook, str(tmp_path), timeout=60)
    listing, product = notebook.cells
    assert [output.text for output in listing.outputs] == ["a\n['mark']\n"]
    assert product.outputs[0].data == {"text/plain": "42"}
    assert [cell.execution_count for cell in notebook.cells] == [1, 2]
    assert [cell.metadata for cell in notebook.cells] == [{}, {}]
    assert notebook.metadata == build.METADATA


def test_execute_refuses_a_path_and_a_failing_cell(tmp_path):
    """Breaks if a failed run, or one that prints a path, is stored."""
    with pytest.raises(build.UsageError, match=f"holds the path {re.escape(str(tmp_path))}"):
        build.execute(notebook_of("import os; print(os.getcwd())"), str(tmp_path), timeout=60)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        build.execute(notebook_of("1 / 0"), str(tmp_path), timeout=60)


# --- Colab: the first cell in a new environment, with a stand-in for the module google.colab

SITE = pathlib.Path(nbformat.__file__).parent.parent  # where this environment's packages are
UPLOAD = """
import glob, shutil
def upload():
    print("asked")
    for path in glob.glob("../computer/*"):
        shutil.copy(path, ".")
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A clone of the package, and its wheel, made as the notebooks say."""
    directory = tmp_path_factory.mktemp("package")
    clone = directory / "elsewhere"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(str(ROOT / "unfair_bp"), str(clone / "unfair_bp"), ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(str(ROOT / name), str(clone))
    git = ["git", "-C", str(clone), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"]):
        subprocess.run([*git, *words], check=True)
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
    subprocess.run([*words, "-w", str(directory), str(clone)], check=True)
    return directory


@pytest.fixture
def colab(tmp_path):
    """What Colab offers: its own environment, the directory content, and google.colab.

    The packages that ours needs are there already, as far as they can be without a network.
    """
    venv.create(str(tmp_path / "venv"), with_pip=False)
    (site,) = tmp_path.glob("venv/lib/python*/site-packages")
    (site / "needed.pth").write_text(f"{SITE}\n")
    (site / "google" / "colab").mkdir(parents=True)
    (site / "google" / "colab" / "__init__.py").touch()
    (site / "google" / "colab" / "files.py").write_text(UPLOAD)
    (tmp_path / "content").mkdir()
    return tmp_path


def run_on_colab(colab, repository, *more):
    """Run the first cell, and more of them; returns the exit status and what it printed."""
    setup = (NOTEBOOKS / "setup.md").read_text(encoding="utf-8")
    (setup,) = [source for _, source in build.CODE_BLOCK.findall(setup)]
    assert "%cd -q /content\n" in setup
    setup = setup.replace("$repository", repository).replace("/content", str(colab / "content"))
    # Only a notebook knows this magic, and IPython alone runs the cell faster.
    setup = setup.replace("%matplotlib inline", "")
    cells = "\n".join(["import google.colab", setup, *more])
    (colab / "cells.ipy").write_text(cells, encoding="utf-8")
    binaries = colab / "venv" / "bin"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PATH": os.pathsep.join([str(binaries), os.environ["PATH"]]),
        "IPYTHONDIR": str(colab / "ipython"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # the flag's name is the wrong way round: there is none
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    done = subprocess.run(
        [str(binaries / "python"), "-m", "IPython", "--colors=NoColor", str(colab / "cells.ipy")],
        cwd=str(colab),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


WHERE = "import unfair_bp\nprint('in', os.getcwd(), 'from', unfair_bp.__file__)"
SHORT_TRAINING = (
    "!python -m unfair_bp.train --case e --data shapes --width 0.05 --train-size 20 --test-size 10 "
    "--epochs 1 --run-dir run && echo trained"
)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["repository", "wheel", "upload"])
def test_on_colab(way, package, colab):
    """Breaks if one of the three ways to install does not, or a second time fails.

    Or if afterwards a command cannot be run from a cell.
    """
    content, repository = colab / "content", ""
    if way == "repository":
        repository = (package / "elsewhere").as_uri()
    else:
        (wheel,) = package.glob("*.whl")
        place = content if way == "wheel" else colab / "computer"
        place.mkdir(exist_ok=True)
        shutil.copy(str(wheel), str(place))
    more = [WHERE, *([SHORT_TRAINING] if way == "upload" else [])]
    status, output = run_on_colab(colab, repository, *more)
    assert status == 0, output
    directory = content / "elsewhere" if way == "repository" else content
    (installed,) = colab.glob("venv/lib/python*/site-packages/unfair_bp/__init__.py")
    imported = directory / "unfair_bp" / "__init__.py" if way == "repository" else installed
    assert f"in {directory} from {imported}\n" in output
    assert ("asked" in output) == ("pip wheel --no-deps ." in output) == (way == "upload")
    assert ("trained" in output.split()) == (way == "upload")
    status, output = run_on_colab(colab, repository, WHERE)
    assert status == 0 and f"in {directory} from" in output, output
    assert "asked" not in output


@pytest.mark.slow
@pytest.mark.parametrize("repository", ["", "file:///nowhere/at/all"])
def test_on_colab_without_the_package(repository, colab):
    """Breaks if the cell goes on after a cancelled upload, or a clone that failed."""
    _, output = run_on_colab(colab, repository, "print('went on')")
    assert "went on" not in output
    assert "unfair_bp is not installed: see above why" in output


def test_started_in_its_own_directory(tmp_path):
    """Breaks if paths of a notebook that is opened in notebooks/ do not count from the root."""
    (tmp_path / "notebooks").mkdir()
    setup = build.code_cells(build.from_template("setup.md"))[0].source
    notebook = notebook_of(setup, "print(os.listdir())")
    build.execute(notebook, str(tmp_path / "notebooks"), timeout=60)
    assert notebook.cells[1].outputs[0].text == "['notebooks']\n"


@pytest.mark.slow
@pytest.mark.parametrize("letter", CASES)
def test_a_case_runs(letter, tmp_path):
    """Breaks if a notebook does not run top to bottom, over an earlier run, or leaves no run."""
    run = tmp_path / "logs" / "notebooks" / ("case_" + letter) / letter
    shutil.copytree(str(ANSWER / "schedule_fair" / "seed0"), str(run))
    notebook = build.all_notebooks()["case_" + letter]
    set_parameters(notebook, SMALL_RUN)
    build.execute(notebook, str(tmp_path), timeout=600)
    check_pictures(notebook)
    assert len((run / "metrics.csv").read_text().splitlines()) == 1 + SMALL_RUN["EPOCHS"]
    assert f'"name": "{letter}"' in (run / "config.json").read_text()
    assert (run / "weights_after.npz").exists()


@pytest.mark.slow
def test_the_overview_runs(tmp_path):
    """Breaks if the overview does not run top to bottom, over files of an earlier run."""
    shutil.copytree(str(STUDY), str(tmp_path / "logs" / "study"))
    figures = tmp_path / "logs" / "notebooks" / "overview"
    figures.mkdir(parents=True)
    names = ["back.gif", "collapse.png", "report.md", "report.png"]
    for name in names:
        (figures / name).touch()
    notebook = build.overview_notebook()
    set_parameters(notebook, SMALL_COLLAPSE)
    build.execute(notebook, str(tmp_path), timeout=600)
    check_pictures(notebook)
    assert sorted(path.name for path in figures.iterdir()) == names
    assert "## Picked: learning rate" in (figures / "report.md").read_text()


# --- the conclusions


@pytest.mark.parametrize(
    ("mean", "p", "said"),
    [
        (0.01, 0.04, "c is better than a (p = 0.04)"),
        (-0.01, 0.04, "c is worse than a (p = 0.04)"),
        (0.01, 0.05, "no clear difference (p = 0.05)"),
        (0.01, None, "unknown: there is no p"),
    ],
)
def test_a_verdict_is_that_of_the_corrected_p(mean, p, said):
    """Breaks if better and worse are swapped, or an uncorrected interval decides."""
    statistic = Statistic(mean, mean - 0.001, mean + 0.001, 3)
    found = Difference(None, None, None, "c - a", 1.0, statistic, p)
    assert conclusions.verdict(found) == said


def test_conclusions_are_the_reports(tmp_path, monkeypatch):
    """Breaks if a notebook ends with another pair's difference, or other runs than the tuned."""
    monkeypatch.setattr(conclusions, "STUDY", tmp_path)
    for name, validation in (("a", 0.5), ("b", 0.5), ("c", 0.6)):
        for rate in (0.1, 0.2):
            path = tmp_path / f"tuning/{name}/{rate}"
            run = run_directories.write_run(path, name, [0.3], learning_rate=rate)
            metrics = run_directories.epochs_of([0.3])
            accuracy = validation if rate == 0.2 else 0.1
            run.write_metrics(
                [x._replace(validation_cost=1.0, validation_accuracy=accuracy) for x in metrics]
            )
            config = json.loads((path / "config.json").read_text())
            config["case"]["validation_size"] = 10
            (path / "config.json").write_text(json.dumps(config))
        for seed in (1, 2):
            test = [0.1, {"a": 0.5, "b": 0.5, "c": 0.6 + seed / 1000}[name] + seed / 10]
            path = tmp_path / f"answer/{name}{seed}"
            run_directories.write_run(path, name, test, seed=seed, learning_rate=0.2)
    text = conclusions.conclusion("c")
    assert "Learning rate 0.2, picked for this schedule" in text
    assert "Test accuracy after the last epoch: 0.7515 [" in text
    assert (
        "| epochs | c - a | 2 | +0.1015 [+0.0951, +0.1079] | c is better than a (p < 0.01) |"
        in text
    )
    run_directories.write_run(tmp_path / "new", "c", [0.1], seed=3, learning_rate=0.2, epochs=2)
    assert conclusions.conclusion("c").splitlines()[1:3] == text.splitlines()[1:3]
    assert "b - a" not in text
    assert "after the last epoch: 0.6500 [" in conclusions.conclusion("b")
    assert "| epochs | b - a | 2 | +0.0000 [" in conclusions.conclusion("b")
    assert "There are no runs of case d" in conclusions.conclusion("d")
