"""Write the notebooks from templates: the six cases' differ in letter, links and a sentence or two.

For example, from the root of the repository:

    python -m notebooks.build
    python -m notebooks.build --execute case_a overview
    python -m notebooks.build --repository https://github.com/somebody/unfair_bp

The templates are case.md and overview.md; a block of Python in them becomes a cell. Without
--execute, outputs stay as they are unless a notebook's code has changed. With it, the notebooks are
run and stored with their outputs, but without what tells about the machine: standard error, timing,
the kernel's version. Notebooks are always stored here, in the repository's directory notebooks;
--directory only says from where the paths in them count.

--repository says where this repository is published: in repository.txt, in every notebook and in
the README, whose links then open in Google Colab. Outputs stay.
"""

import contextlib
import os
import re
import sys
from pathlib import Path
from string import Template
from typing import Dict, List, NamedTuple, Optional, Sequence

import nbformat
from nbformat import NotebookNode, v4

from notebooks.conclusions import beside, conclusion
from unfair_bp import commandline, files
from unfair_bp.errors import UsageError
from unfair_bp.experiment import ledger
from unfair_bp.experiment.cases import CASES, Case

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
POST = (
    "https://towardsdatascience.com/"
    "unfair-back-propagation-with-tensorflow-manual-back-propagation-with-tf-c166115988fd"
)
COLAB = "https://colab.research.google.com/"
BADGE = f"[![Open in Colab]({COLAB}assets/colab-badge.svg)]"
GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?")
COLAB_2018 = COLAB + "drive/"
LOGS_2018 = (
    "https://github.com/JaeDukSeo/Daily-Neural-Network-Practice-2/blob/master/NeuralNetwork/Unfair/"
)
NAMES = [*("case_" + name for name in CASES), "overview"]
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CODE_BLOCK = re.compile(r"^```python ?(\w*)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
# In the README: what the command writes between these marks.
README_LINKS = re.compile("(<!-- notebooks -->\n).*?(\n<!-- /notebooks -->)", re.DOTALL)
# In outputs: /some/where, but not the / of a fraction, an address or a tag.
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/<])/[\w.+-]+/[\w.+/-]*|\b[A-Z]:\\\S*")


class Original(NamedTuple):
    """A case in the post."""

    colab: str  # its notebook, below COLAB_2018
    log: str  # its training log, below LOGS_2018
    claim: str  # what the post says of the result


ORIGINALS = {
    "a": Original(
        "16F_6dXCNCmO-e5IfGIGq2mneE7amihb_",
        "a_case(no%20data)/casea.txt",
        "83 % test and 98 % train accuracy after 50 epochs, over 80 % only after 13; it overfits.",
    ),
    "b": Original(
        "1SVbAtyignjfUyTlCH9u8sdjIY8or-ShH",
        "a_case(aug)/a_case(aug).txt",
        "79 % test and 49 % train accuracy after 10 epochs; it does not overfit.",
    ),
    "c": Original(
        "1Nrbal3TDr6NxUcyq7YJh_KZxpDhB1coU",
        "d_case(no%20data)/cased.txt",
        "82 to 83 % test and 89 % train accuracy after 10 epochs; it overfits less than a.",
    ),
    "d": Original(
        "1_9pVlKNUFmmBx-Y1g91TKRtaH4JTMIYw",
        "d_case(aug)/d_case(aug).txt",
        "81 % test and 50 % train accuracy after 10 epochs; on test images better than b.",
    ),
    "e": Original(
        "1Glk8SerYf-qfBUMQHJMEDLcOqj-6UxLy",
        "e_case(no%20data)/casee.txt",
        "79 % test and 89 % train accuracy after 10 epochs; on test images worse than c.",
    ),
    "f": Original(
        "1QB51lGy22STowW_AeamzKnaXeW-E-xmG",
        "e_case(aug)/e_case(aug).txt",
        "79 % test and 49 % train accuracy after 10 epochs; augmentation does not help.",
    ),
}


def case_notebook(case: Case) -> NotebookNode:
    """The notebook of a case: question, code, training beside fair, figures, conclusion."""
    original = ORIGINALS[case.name]
    return from_template(
        "case.md",
        **vars(case),
        augmented="with" if case.augment else "without",
        claim=original.claim,
        colab=colab_link("case_" + case.name),
        colab_2018=COLAB_2018 + original.colab,
        # Round brackets would end a link.
        log_2018=LOGS_2018 + original.log.replace("(", "%28").replace(")", "%29"),
        as_run=as_run_text(case.name),
        beside=beside(case.name),
        beside_words=CASES[beside(case.name)].schedule,
        conclusion=conclusion(case.name),
    )


def overview_notebook() -> NotebookNode:
    """The notebook about all cases: idea, schedules, the collapse, comparison."""
    return from_template(
        "overview.md",
        idea=readme_section("The idea"),
        cases=cases_table(),
        colab=colab_link("overview"),
    )


def all_notebooks() -> Dict[str, NotebookNode]:
    """The seven notebooks by name, without outputs."""
    made = [*map(case_notebook, CASES.values()), overview_notebook()]
    return dict(zip(NAMES, made))


def from_template(file_name: str, **values: object) -> NotebookNode:
    """A notebook from a file in Markdown with $values; a block of Python becomes a cell of code.

    A word after ``python`` is the cell's tag.
    """
    setup, text = ((HERE / name).read_text(encoding="utf-8") for name in ("setup.md", file_name))
    text = Template(text.replace("$setup", setup.strip())).substitute(
        values, post=POST, repository=published_at()
    )
    cells: List[NotebookNode] = []
    # Split gives text, tag, code, text, tag, code, ..., text.
    parts = CODE_BLOCK.split(text)
    for prose, tag, source in zip(parts[0::3], [*parts[1::3], ""], [*parts[2::3], ""]):
        # The id would be random otherwise, another one each time.
        if prose.strip():
            cells.append(v4.new_markdown_cell(prose.strip(), id=f"cell-{len(cells)}"))
        if source:
            metadata = {"tags": [tag]} if tag else {}
            cells.append(v4.new_code_cell(source, id=f"cell-{len(cells)}", metadata=metadata))
    notebook = v4.new_notebook(cells=cells, metadata=METADATA)
    notebook.nbformat_minor = 5  # the first with ids, whatever the library's newest is
    return notebook


def as_run_text(letter: str) -> str:
    """How to run a case with its script's quirks."""
    names = ledger.as_run(letter)
    if not names:
        return (
            f"The script of case {letter} used TensorFlow's own gradients and Adam and had no "
            "quirk of the ledger (`python -m unfair_bp.quirks`): `--as-run` changes nothing."
        )
    listed = ", ".join(f"`{name}`" for name in names)
    text = (
        'Add `"--as-run"` to the options above to compute what the script did where it departs '
        f"from the post: {listed}. `python -m unfair_bp.quirks` explains each; "
        '`"--quirk", "NAME"` switches on a single one.'
    )
    if "collapsed-rounds" in names:
        text += (
            " The last: the script's nine rounds, rebuilt, become one in TensorFlow 1.15.5 and "
            f"2.21, and so case {letter} updates all layers equally often; the version of 2018 was "
            "not tried. [The overview](overview.ipynb) shows it happen."
        )
    return text


def cases_table() -> str:
    """The six cases as Markdown."""
    lines = [
        "| case | question | schedule | augmented | epochs | the post says |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        augmented = "yes" if case.augment else "no"
        lines.append(
            f"| [{name}](case_{name}.ipynb) | {case.question} | {case.schedule} | {augmented} | "
            f"{case.epochs} | {ORIGINALS[name].claim} |"
        )
    return "\n".join(lines)


def readme_section(heading: str) -> str:
    """The text below a heading of the README."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return readme.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0].strip()


def published_at() -> str:
    """The address that --repository has set; empty if this repository is not published."""
    path = HERE / "repository.txt"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def publish(address: str) -> None:
    """Write down where this repository is published.

    Args:
        address: Such as ``https://github.com/somebody/unfair_bp``; empty if nowhere any more.

    Raises:
        UsageError: If Colab cannot open notebooks from there.
    """
    match = GITHUB.fullmatch(address)
    if match:
        files.write(str(HERE / "repository.txt"), f"https://github.com/{match.group(1)}\n".encode())
    elif not address:
        with contextlib.suppress(FileNotFoundError):
            (HERE / "repository.txt").unlink()
    else:
        raise UsageError(
            f"--repository {address!r} is not a repository that Colab opens; give an address such "
            "as https://github.com/somebody/unfair_bp"
        )


def colab_link(name: str) -> str:
    """What opens one of these notebooks in Google Colab: a badge, or advice without an address."""
    match = GITHUB.fullmatch(published_at())
    if not match:
        return f"To open it in [Google Colab]({COLAB}), upload this file there (*File*, *Upload*)"
    return f"{BADGE}({COLAB}github/{match.group(1)}/blob/main/notebooks/{name}.ipynb)"


def readme_links() -> str:
    """The notebooks in the README, each with a badge once there is an address."""
    badges = {name: " " + colab_link(name) if published_at() else "" for name in NAMES}
    return " ·\n".join(f"[{name}](notebooks/{name}.ipynb){badges[name]}" for name in NAMES)


def code_cells(notebook: NotebookNode) -> List[NotebookNode]:
    """The cells of code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def keep_outputs(notebook: NotebookNode, earlier: NotebookNode) -> None:
    """Give a notebook the outputs of an earlier version of it, if their code is the same.

    The cell that sets up may differ: another address changes nothing but where Colab looks.
    """
    cells, before = code_cells(notebook), code_cells(earlier)
    sources, earlier_sources = (
        ["" if "setup" in cell.metadata.get("tags", []) else cell.source for cell in chosen]
        for chosen in (cells, before)
    )
    if sources == earlier_sources:
        for cell, done in zip(cells, before):
            cell.outputs, cell.execution_count = done.outputs, done.execution_count


def execute(notebook: NotebookNode, directory: str, timeout: Optional[int] = None) -> None:
    """Run a notebook and store its outputs in it, without what tells about the machine.

    Args:
        notebook: What to run; the outputs it has are replaced.
        directory: Where to run it.
        timeout: Seconds that a cell may take.

    Raises:
        UsageError: If an absolute path stands in an output.
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    from nbclient import NotebookClient  # noqa: PLC0415 - writing needs no kernel

    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": directory}},
    )
    # The package of this tree, installed or not.
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    client.execute(env=dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths))))
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in code_cells(notebook):
        cell.outputs = without_stderr(cell.outputs)
    found = absolute_paths(notebook)
    if found:
        raise UsageError(f"an output holds the path {found[0]}; print a relative one")


def without_stderr(outputs: Sequence[NotebookNode]) -> List[NotebookNode]:
    """The outputs without progress bars and what libraries say of the machine."""
    kept: List[NotebookNode] = []
    for output in outputs:
        if output.get("name") == "stderr":
            continue
        # Text comes in pieces, others each time.
        if kept and output.get("name") == kept[-1].get("name") == "stdout":
            kept[-1].text += output.text
        else:
            kept.append(output)
    return kept


def absolute_paths(notebook: NotebookNode) -> List[str]:
    """The absolute paths in the text of a notebook's outputs."""
    texts = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            texts.append(output.get("text", ""))
            data = output.get("data", {})
            texts += [data[kind] for kind in data if kind.startswith("text/")]
    return ABSOLUTE_PATH.findall("\n".join(texts))


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook, all of it or nothing."""
    files.write(str(path), (nbformat.writes(notebook) + "\n").encode())


def main(arguments: Sequence[str]) -> int:
    """Write the notebooks; returns the exit status."""
    parser = commandline.Parser(prog="python -m notebooks.build", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which notebooks (default: all)")
    parser.add_argument("--execute", action="store_true", help="run them and store their outputs")
    parser.add_argument(
        "--directory",
        metavar="DIR",
        default=str(ROOT),
        help="where to run them (default: repository's root)",
    )
    parser.add_argument(
        "--repository",
        metavar="URL",
        help="where this repository is published from now on; '' for nowhere",
    )
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in NAMES:
            raise UsageError(f"notebook {name!r} is not known; give {', '.join(NAMES)}")
    if not os.path.isdir(options.directory):
        raise UsageError(f"--directory {options.directory} is not a directory; give another")
    if options.repository is not None:
        if options.names:
            raise UsageError("--repository concerns every notebook; leave out the names")
        publish(options.repository)
    notebooks = all_notebooks()
    for name in options.names or notebooks:
        path = HERE / (name + ".ipynb")
        if options.execute:
            execute(notebooks[name], options.directory)
        elif path.exists():
            keep_outputs(notebooks[name], nbformat.read(str(path), as_version=4))
        write(notebooks[name], path)
        print(f"wrote {path.relative_to(ROOT)}", flush=True)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = README_LINKS.sub(
        lambda marks: marks.group(1) + readme_links() + marks.group(2), readme
    )
    if linked != readme:
        files.write(str(ROOT / "README.md"), linked.encode())
        print("wrote README.md")
    return 0


if __name__ == "__main__":
    sys.exit(commandline.run(main, sys.argv[1:]))
