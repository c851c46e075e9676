"""What a sweep runs: the cross product of its options' values, a directory for each run."""

import argparse
import hashlib
import itertools
import os
import re
from dataclasses import dataclass, fields
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from unfair_bp import commandline
from unfair_bp.data import sources
from unfair_bp.errors import FieldError, UsageError
from unfair_bp.experiment import naming
from unfair_bp.experiment.cases import Case
from unfair_bp.running import configuration
from unfair_bp.running.directory import CHECKPOINT_MINUTES, CONFIG, WEIGHTS_AFTER, RunDirectory

CASE, SEED = "case", "seed"
LONGEST_NAME = 40  # characters of a value in the name of a directory


class Progress(NamedTuple):
    """How far a run has come, as its directory says."""

    epochs: int  # finished
    step: int  # of the newest checkpoint
    finished: bool


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        path: The run directory.
        case: What is run.
        words: The options of ``unfair_bp.train`` that say so.
        data_dir: Where its data set is, if that was said; the words say it, too.
    """

    path: str
    case: Case
    words: Tuple[str, ...]
    data_dir: Optional[str]

    @property
    def directory(self) -> RunDirectory:
        """The run directory, which need not exist."""
        return RunDirectory(self.path)

    @property
    def log(self) -> str:
        """The file for what the training process prints, beside the run directory."""
        return self.path + ".log"

    def check(self) -> None:
        """Make sure that the run can be started, or gone on with; writes nothing.

        Raises:
            UsageError: If it cannot, because another run is there, for example.
        """
        run = self.directory
        if run.exists and self.progress().finished:
            run.check_same(configuration.case_configuration(self.case))
        else:
            run.check_start(self.case, resume=run.exists, overwrite=False)

    def progress(self) -> Progress:
        """How far the run has come.

        Raises:
            UsageError: If its metrics are damaged.
        """
        run = self.directory
        epochs, steps = len(run.read_metrics()), run.saved_steps()
        # The weights are written last.
        ended = epochs >= self.case.epochs and os.path.exists(run.file(WEIGHTS_AFTER))
        return Progress(epochs, max(steps, default=0), ended)


def plan(options: argparse.Namespace, root: str) -> List[PlannedRun]:
    """Return every combination of the options' values, all runs of one seed before the next.

    Args:
        options: As a parser with ``several`` values for the case and its fields gives them.
        root: The directory below which the runs are. A run that is there already keeps its place,
            so that values can be added to a sweep.

    Raises:
        UsageError: If a value is given twice, a combination cannot be run, or its directory holds
            something else.
    """
    axes = _axes(options)
    names = sorted(axes, key=lambda name: name != SEED)  # the seed varies last
    there = _runs_below(root)
    runs, planned = [], {}
    for values in itertools.product(*(axes[name] for name in names)):
        chosen = argparse.Namespace(**{**vars(options), **dict(zip(names, values))})
        case = commandline.resolve_case(chosen)
        parts = [
            _part(name, getattr(chosen, name))
            for name in axes
            if name != SEED and len(axes[name]) > 1
        ]
        named = os.path.join(root, *parts, f"seed{case.seed}")
        twin = planned.setdefault(_identity(case), named)
        if twin != named:
            raise UsageError(f"{twin} and {named} would be the same run; leave one of them out")
        places = there.get(_identity(case), [named])
        path = named if named in places else places[0]
        run = PlannedRun(path, case, _train_words(chosen, axes), options.data_dir)
        _check(run)
        sources.check(case, options.data_dir)
        runs.append(run)
    return runs


def _check(run: PlannedRun) -> None:
    """Refuse a run that cannot be trained; the advice is what a sweep's options can do.

    Raises:
        UsageError: If it cannot.
    """

    def advised(problem: str) -> str:
        return f"{problem.rpartition('; ')[0] or problem}; move it away, or give another --root"

    try:
        run.check()
    except FieldError as error:
        raise FieldError(error.field, advised(error.problem)) from error
    except UsageError as error:
        raise UsageError(advised(str(error))) from error


def _axes(options: argparse.Namespace) -> Dict[str, List[Any]]:
    """The values of each option that was given and takes several, the case first."""
    axes: Dict[str, List[Any]] = {}
    for name in (CASE, *commandline.FIELDS):
        given = getattr(options, name)
        if not isinstance(given, list) or name == "quirks":
            continue
        values: List[Any] = []
        for value in given:
            values.extend(value if isinstance(value, list) else [value])  # a span of integers
        for value in values:
            if values.count(value) > 1:
                raise UsageError(
                    f"{commandline.option_of(name)} gives {value} twice; give each value once"
                )
        axes[name] = values
    return axes


def _part(name: str, value: object) -> str:
    """The part of a path that says which value an option has, as in ``learning-rate_0.001``."""
    text = str(value)
    # Schedules may have any length, and characters that a file system or TensorFlow reads its way.
    word = re.sub(r"[^A-Za-z0-9.+-]", "_", text)
    if len(word) > LONGEST_NAME or word != text.replace(":", "_"):
        word = f"{word[:LONGEST_NAME]}-{hashlib.sha1(text.encode()).hexdigest()[:8]}"
    return f"{name.replace('_', '-')}_{word}"


def _train_words(options: argparse.Namespace, axes: Sequence[str]) -> Tuple[str, ...]:
    """The options of one run as words for ``unfair_bp.train``."""
    words: List[str] = []
    for name in axes:
        words += [
            commandline.option_of("name" if name == CASE else name),
            str(getattr(options, name)),
        ]
    for name in options.quirks or ():
        words += [commandline.option_of("quirks"), name]
    for name, item in commandline.FIELDS.items():
        if item.type is bool and getattr(options, name) is not None:
            flag = commandline.option_of(name)
            words.append(flag if getattr(options, name) else "--no-" + flag[2:])
    for name in ("quick", "as_run", "tensorboard", "no_plots"):
        if getattr(options, name):
            words.append("--" + name.replace("_", "-"))
    if options.data_dir is not None:
        words.append(f"--data-dir={options.data_dir}")
    if options.checkpoint_minutes != CHECKPOINT_MINUTES:
        words += ["--checkpoint-minutes", str(options.checkpoint_minutes)]
    return tuple(words)


def _runs_below(root: str) -> Dict[Tuple[Any, ...], List[str]]:
    """The runs below a directory that can be read: what each is, and all places of it."""
    there: Dict[Tuple[Any, ...], List[str]] = {}
    for directory, _, names in sorted(os.walk(root)):
        if CONFIG in names:
            try:
                case = Case(**RunDirectory(directory).read_config()["case"])
            except UsageError:
                continue  # it is an error only where a run of this sweep is to be
            there.setdefault(_identity(case), []).append(directory)
    return there


def _identity(case: Case) -> Tuple[Any, ...]:
    """All of a case that its result depends on, but what a run may get more of.

    Schedules are told apart by their text.
    """
    aside = set(configuration.DESCRIPTIVE)
    if not naming.spans_run(case):
        aside.update(configuration.GROWS)
    return tuple(getattr(case, item.name) for item in fields(case) if item.name not in aside)
