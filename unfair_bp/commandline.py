"""What all commands share: options generated from the case's fields, and errors in one line."""

import argparse
import difflib
import os
import re
import sys
from dataclasses import fields, replace
from typing import Any, Callable, Dict, Iterable, List, NoReturn, Optional, Sequence

from unfair_bp import __version__, console
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment import ledger, naming
from unfair_bp.experiment.cases import CASES, QUICK, Case, case_named
from unfair_bp.running.directory import CHECKPOINT_MINUTES

DEFAULT_CASE = "a"
USAGE_STATUS = 2
LONGEST_SPAN = 1000  # integers that a span such as 0-4 may stand for
INTERRUPTED_STATUS = 130  # as a shell reports a command that Ctrl-C ended
# Fields that no option sets: two name the case, and networks are given from Python.
WITHOUT_OPTION = ("name", "question", "architecture")
FIELDS = {item.name: item for item in fields(Case) if item.name not in WITHOUT_OPTION}


def option_of(field_name: str) -> str:
    """The option that sets a field of the case, ``--learning-rate`` for ``learning_rate``."""
    special = {"name": "--case", "quirks": "--quirk"}
    return special.get(field_name, "--" + field_name.replace("_", "-"))


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, and which takes no abbreviations."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--version", action="version", version="unfair_bp " + __version__)

    def error(self, message: str) -> NoReturn:
        """Report bad usage like any other mistake of the user's."""
        words = message.partition("unrecognized arguments: ")[2].split()
        options = [option for action in self._actions for option in action.option_strings]
        near = [
            match
            for word in words
            if word.startswith("-")
            for match in difflib.get_close_matches(word.partition("=")[0], options, 1)
        ]
        if near:
            message += f"; did you mean {', '.join(near)}?"
        raise UsageError(f"{message} ({self.prog} --help lists the options)")


def run(main: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run a command; returns its exit status.

    A mistake of the user's is one line on standard error and status 2. Output that cannot be
    written does not stop the command: a reader that has left (as with ``| head``) is not an error,
    and a full disk is reported at the end.
    """
    with console.lasting_output() as lost:
        try:
            _check_working_directory()
            status = main(arguments)
        except UsageError as error:
            print(f"error: {printable(_as_option(error))}", file=sys.stderr)
            status = USAGE_STATUS
        except MemoryError as error:
            reason = printable(str(error)) or "out of memory"
            print(f"error: {reason}; free some memory, or ask for less", file=sys.stderr)
            status = USAGE_STATUS
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            status = INTERRUPTED_STATUS
        except SystemExit as end:  # --help and --version
            status = end.code or 0
        error = lost()
        if error is not None and not isinstance(error, BrokenPipeError):
            reason = error.strerror or str(error)
            print(
                f"error: cannot write the output: {reason}; make room, or send it elsewhere",
                file=sys.stderr,
            )
            status = status or USAGE_STATUS
        return status


def _check_working_directory() -> None:
    """Refuse to work where no relative path has a meaning.

    Raises:
        UsageError: If the directory that the process works in has been deleted.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise UsageError(
            f"the working directory cannot be used: {error.strerror}; change to another one"
        ) from error


def _as_option(error: UsageError) -> str:
    """The line of an error, in which a field of the case is the option that sets it."""
    if isinstance(error, FieldError) and error.field in (*FIELDS, "name"):
        return f"{option_of(error.field)} {error.problem}"
    return str(error)


def printable(text: str) -> str:
    """Return a text as one line without invisible characters or a terminal's commands."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def path(text: str) -> str:
    """The type of options that name a file or a directory.

    Raises:
        argparse.ArgumentTypeError: If a file cannot have this name.
    """
    try:
        if not text or b"\0" in os.fsencode(text):
            raise ValueError
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a file name") from error
    return text


def minutes(text: str) -> float:
    """The type of options that give a time in minutes.

    Raises:
        argparse.ArgumentTypeError: If it is not a number above 0.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is out of range; give a number above 0")
    return value


def integers(text: str) -> List[int]:
    """The type of options that take several integers: ``3``, or ``0-4`` for 0, 1, 2, 3, 4.

    Raises:
        argparse.ArgumentTypeError: If it is neither.
    """
    span = re.fullmatch(r"(\d{1,9})-(\d{1,9})", text, re.ASCII)
    first, last = map(int, span.groups()) if span else (0, 0)
    if span and 0 <= last - first < LONGEST_SPAN:
        return list(range(first, last + 1))
    try:
        return [int(text)]
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an integer, nor two with a hyphen between, such as 0-4, for at most "
            f"{LONGEST_SPAN} of them"
        ) from error


def add_case(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add the choice of the case, or of several cases."""
    more: Dict[str, Any] = {"nargs": "+", "default": [DEFAULT_CASE]} if several else {}
    default = f" (default: {DEFAULT_CASE})"
    parser.add_argument("--case", metavar="X", help=_case_help() + default, **more)


def add_fields(
    parser: argparse.ArgumentParser,
    names: Iterable[str] = tuple(FIELDS),
    several: bool = False,
) -> None:
    """Add an option for each field of the case; one that is not given keeps the case's value.

    Args:
        parser: Where to add them.
        names: Which fields.
        several: Let options that take a value take several, of integers also a span like 0-4.
    """
    for name in names:
        item = FIELDS[name]
        option = option_of(name)
        meaning = item.metadata["meaning"]
        if name == "quirks":
            group = parser.add_mutually_exclusive_group()
            group.add_argument(
                option,
                action="append",
                dest=name,
                metavar="NAME",
                help=meaning + " (repeatable)",
            )
            group.add_argument(
                "--as-run",
                action="store_true",
                default=None,
                help="all quirks of the case's script, and for c to f also its initial weights",
            )
        elif item.type is bool:
            group = parser.add_mutually_exclusive_group()
            group.add_argument(option, action="store_true", default=None, help=meaning)
            group.add_argument(
                "--no-" + option[2:],
                action="store_false",
                dest=name,
                default=None,
                help=f"switch {option} off",
            )
        else:
            kind = int if item.type == Optional[int] else item.type
            more: Dict[str, Any] = {"nargs": "+"} if several else {}
            more["type"] = integers if several and kind is int else kind
            meaning += _default_text(parser, name)
            parser.add_argument(option, metavar=kind.__name__.upper(), help=meaning, **more)


def _default_text(parser: argparse.ArgumentParser, name: str) -> str:
    """What a field is if its option is not given, as the end of the option's help."""
    only = parser.get_default("case")  # of a command that lets nobody choose
    cases = [CASES[only]] if isinstance(only, str) else CASES.values()
    values = list(dict.fromkeys(getattr(case, name) for case in cases))
    own = parser.get_default(name)
    if own is not None:
        values = own if isinstance(own, list) else [own]
    if values == [None]:
        return ""
    shown = " or ".join(value if isinstance(value, str) else f"{value:g}" for value in values)
    return f" (default: {shown}{', by the case' if len(values) > 1 else ''})"


def add_quick(parser: argparse.ArgumentParser) -> None:
    """Add the preset for a training run of about a minute, without a download."""
    preset = ", ".join(f"{name} {value}" for name, value in QUICK.items())
    parser.add_argument("--quick", action="store_true", help="a small run: " + preset)


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add how a run is saved and shown, on which its result does not depend."""
    parser.add_argument(
        "--checkpoint-minutes",
        type=minutes,
        default=CHECKPOINT_MINUTES,
        metavar="FLOAT",
        help="also save within an epoch, this often (%(default)g); a kill loses no more than that",
    )
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="also write scalars, histograms and the graph for TensorBoard",
    )
    parser.add_argument(
        "--no-plots", action="store_true", help="do not draw the run's pictures at its end"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the run directory to read."""
    parser.add_argument(
        "run_dir", type=path, metavar="RUN_DIR", help="directory that unfair_bp.train wrote"
    )


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add the place of the data set's files."""
    parser.add_argument(
        "--data-dir",
        type=path,
        metavar="DIR",
        help="directory or tar.gz with CIFAR-10 or CIFAR-100 in either official format (default: "
        "$UNFAIR_BP_DATA, the package's cache, Keras' cache, and then a download)",
    )


def resolve_case(options: argparse.Namespace) -> Case:
    """The case that the options describe: the named one, ``--quick``, then each given field.

    Its name is the letter only if the schedule, the protocol and the augmentation still are.

    Raises:
        UsageError: If there is no such case, or a field has a value that cannot be run.
    """
    base = case_named(DEFAULT_CASE if options.case is None else options.case)
    case = naming.named(replace(base, **_given_fields(options, base.name)))
    ledger.check_runnable(case.quirks)
    return case


def resumed_case(options: argparse.Namespace, stored: Case, run_dir: str) -> Case:
    """The case of a run that goes on: as it was started, but for the fields that options give.

    Args:
        options: The options; those that are not given are the run's.
        stored: What the run was started with.
        run_dir: Where it is, for the error.

    Raises:
        UsageError: If a field has a value that cannot be run, or the case that the options name
            is another one.
    """
    given = _given_fields(options, options.case or stored.name)
    if options.epochs is None:
        given.pop("epochs", None)  # of --quick: a longer quick run goes on as it is
    if options.case is not None:
        asked = resolve_case(options).name
        if asked != stored.name and {asked, stored.name} & set(CASES):
            raise FieldError(
                "name",
                f"{asked} is not what {run_dir} was started with, {stored.name}; leave it out, or "
                "give another --run-dir",
            )
    return replace(stored, **given)


def _given_fields(options: argparse.Namespace, letter: str) -> Dict[str, Any]:
    """The fields that options give: those of ``--quick``, ``--as-run``, and each by its own."""
    given = dict(QUICK) if getattr(options, "quick", False) else {}
    values = {name: getattr(options, name, None) for name in FIELDS}
    given.update({name: value for name, value in values.items() if value is not None})
    if getattr(options, "as_run", False):
        given["quirks"] = ledger.as_run(letter)
        if "update-first" in given["quirks"]:  # the scripts of c to f; a and b have no record
            given.setdefault("initial_weights", "2018")
    return given


def _case_help() -> str:
    return "; ".join(
        f"{name}: {case.schedule}{', augmented' if case.augment else ''}"
        for name, case in CASES.items()
    )
