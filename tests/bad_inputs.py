"""Give every bad input that the tests know to the real commands, and print the line each one gets.

    python tests/bad_inputs.py

Every input gets a directory of its own. The command must end with status 2 and one line on standard
error, and every file of the directory must be there afterwards as it was before, and no other. The
output is a table in Markdown; its last line counts what went wrong, and the status is 1 if anything
did.
"""

import collections
import contextlib
import hashlib
import io
import os
import pathlib
import sys
import tempfile
import traceback

import bad_input_data  # noqa: F401 - registers its groups
import bad_input_runs
import cifar_files
import commands
import pytest
from bad_input_groups import GROUPS, At


def listing(place):
    """Every path below a directory with its kind, target and content, where it has an end."""
    found = {}
    for path in sorted(place.rglob("*")):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if _is_plain(path) else ""
        target = os.readlink(str(path)) if path.is_symlink() else ""
        found[str(path.relative_to(place))] = (status.st_mode, target, content)
    return found


def _is_plain(path):
    return path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 30


def outcome(prepare, place):
    """The line that an input got, and what went wrong with it."""
    errors, wrong = io.StringIO(), []
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        alone(patch, place)
        main, words = prepare(At(place, patch, stack))
        before = listing(place)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            try:
                status = commands.here(main, *words)
            except BaseException:
                status = 1
                traceback.print_exc()
        after = listing(place)
    lines = errors.getvalue().splitlines() or [""]
    if "Traceback (most recent call last):" in lines:
        wrong.append("tracebacks")
    elif status != 2 or len(lines) != 1 or not lines[0].startswith("error: "):
        wrong.append("other answers than one line and status 2")
    wrong += ["files left behind"] if set(after) - set(before) else []
    wrong += ["files lost"] if any(after.get(name) != before[name] for name in before) else []
    return lines[-1].replace(str(place) + os.sep, ""), wrong


def alone(patch, place):
    """In that directory, with small batches, and no data set of this machine in reach."""
    patch.chdir(place)
    cifar_files.be_small(patch)
    patch.delenv("UNFAIR_BP_DATA", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        patch.delenv(name, raising=False)
    patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    patch.setenv("KERAS_HOME", str(place / "keras"))


def cell(text, most=400):
    """A text for a table, cut in its middle if it is long."""
    shown = text if len(text) <= most else text[: most // 2] + " ... " + text[-most // 2 :]
    return shown.replace("|", "\\|")


def main():
    """Try everything and print the table; returns the exit status."""
    counts, inputs = collections.Counter(), 0
    print("| | input | line |\n| --- | --- | --- |")
    for group_name, inputs_of in GROUPS.items():
        for name, prepare in inputs_of():
            with tempfile.TemporaryDirectory() as directory:
                line, wrong = outcome(prepare, pathlib.Path(directory).resolve())
            marks = "".join(f" **{what}**" for what in wrong)
            print(f"| {group_name} | {cell(name)} | {cell(line)}{marks} |", flush=True)
            counts.update(wrong)
            inputs += 1
    bad_input_runs.tidy_up()
    kinds = ("tracebacks", "other answers than one line and status 2")
    kinds += ("files left behind", "files lost")
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in kinds)
    print(f"\n{inputs} bad inputs: {summary}")
    return 1 if counts else 0


if __name__ == "__main__":
    sys.exit(main())
