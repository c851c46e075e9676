"""What the report says: its text and tables, made from groups of runs."""

from typing import Dict, List, Mapping, Optional, Sequence

from unfair_bp import __version__
from unfair_bp.console import shell_line
from unfair_bp.experiment import published as published_log
from unfair_bp.reporting.document import Block, Bullets, Heading, Paragraph, Picture, Table
from unfair_bp.results import statistics
from unfair_bp.results.collection import Collection, Group, Setting, Variant
from unfair_bp.results.statistics import Difference, Statistic

TITLE = "Unfair back propagation: runs compared"
NONE = "-"
ADAM = ("beta1", "beta2", "epsilon")

NOTES = (
    "Numbers are means over seeds; in brackets the 95 %% bootstrap interval of the mean (%d "
    "resamples of the seeds). It does not contain the error that comes from the size of the test "
    "set." % statistics.RESAMPLES,
    "Best test: the highest test accuracy after any epoch. The epoch is picked on the test set, "
    "so this number is optimistic.",
    "Train: mean over the last epoch's images, augmented ones included, each before its batch's "
    "update. Train - test is the generalisation gap after the last epoch.",
    "Published: the log of the post's single run, at full width on the original CIFAR-10; in "
    "parentheses its number of epochs. The scripts of c to f trained fairly on every TensorFlow "
    "tried, see `python -m unfair_bp.collapse`.",
    "Equal epochs are not equal effort: schedules differ in layer updates and in operations.",
)


def report_blocks(
    collection: Collection, command: Sequence[str], pictures: Mapping[Setting, Picture]
) -> List[Block]:
    """The whole report."""
    blocks: List[Block] = [
        Heading(1, TITLE),
        Paragraph(
            "Made by `%s` (unfair_bp %s) from %s in %s."
            % (
                shell_line(command),
                __version__,
                count_text(collection.run_count, "run"),
                count_text(len(collection.settings), "setting"),
            )
        ),
        Bullets(NOTES),
    ]
    for setting, groups in collection.settings.items():
        blocks += _setting_blocks(setting, groups, pictures.get(setting))
    for heading, lines in (
        ("Runs that have not ended", collection.unfinished),
        ("Not counted", collection.left_out),
    ):
        if lines:
            blocks += [Heading(2, heading), Bullets(lines)]
    return blocks


def _setting_blocks(
    setting: Setting, groups: Sequence[Group], picture: Optional[Picture]
) -> List[Block]:
    """The tables of one setting."""
    adam = ", ".join("%s %g" % (name, getattr(setting.case, name)) for name in ADAM)
    summaries = {group.variant: statistics.summary(group) for group in groups}
    return [
        Heading(2, setting_text(setting)),
        Paragraph("Adam with %s. Data: sha256 `%s`." % (adam, setting.sha256[:16])),
        *_few_seeds(groups),
        *([picture] if picture else []),
        Heading(3, "Accuracy"),
        _accuracy_table(groups, summaries),
        Heading(3, "Cost"),
        _cost_table(summaries),
        Heading(3, "Paired differences of the final test accuracy"),
        *_difference_blocks(statistics.differences(groups)),
    ]


def setting_text(setting: Setting) -> str:
    """A setting in a line."""
    return "Width %g, %s, %d training and %d test images, batches of %d, learning rate %g" % (
        setting.case.width,
        setting.data,
        setting.training_images,
        setting.test_images,
        setting.case.batch_size,
        setting.case.learning_rate,
    )


def _accuracy_table(
    groups: Sequence[Group], summaries: Mapping[Variant, Mapping[str, Statistic]]
) -> Table:
    """Accuracies, the published ones beside them."""
    quantities = (("test_final", "test"), ("test_best", "best test"), ("train_final", "train"))
    header = ["case", "schedule", "protocol", "epochs", "seeds"]
    for _, label in quantities:
        header += [label, "published " + label]
    posted = published_log.load()
    rows = []
    for group in groups:
        variant, values = group.variant, summaries[group.variant]
        row = [variant.name, variant.training, variant.mode]
        row += ["%d" % variant.epochs, "%d" % len(group.seeds)]
        for name, _ in quantities:
            log = posted[variant.name] if group.as_posted else []
            row.append(_with_interval("%.4f", values[name]))
            row.append("%.4f (%d)" % (statistics.QUANTITIES[name](log), len(log)) if log else NONE)
        rows.append([*row, _with_interval("%+.4f", values["gap"])])
    return Table([*header, "train - test"], rows, range(3, 12))


def _cost_table(summaries: Mapping[Variant, Mapping[str, Statistic]]) -> Table:
    """What the runs took; updates and operations do not depend on the seed."""
    header = ["case", "schedule", "protocol", "epochs", "updates of layer 1", "updates of layer 9"]
    rows = [
        [
            *(variant.name, variant.training, variant.mode, "%d" % variant.epochs),
            "%.0f" % values["updates_first"].mean,
            "%.0f" % values["updates_last"].mean,
            "%.4g" % values["tflop"].mean,
            _with_interval("%.0f", values["seconds"]),
        ]
        for variant, values in summaries.items()
    ]
    return Table([*header, "TFLOP", "seconds of training"], rows, range(3, 8))


def _difference_blocks(found: Sequence[Difference]) -> List[Block]:
    """Differences seed by seed, and which ones there are no runs for."""
    blocks: List[Block] = []
    if found:
        header = ["cases", "question", "protocol", "epochs", "seeds", "difference", "note"]
        rows = [
            [
                "%s - %s" % (item.first.name, item.second.name),
                *(item.question, item.first.mode, "%d" % item.first.epochs),
                "%d" % len(item.seeds),
                _with_interval("%+.4f", item.statistic),
                statistics.trust(len(item.seeds)),
            ]
            for item in found
        ]
        blocks.append(Table(header, rows, range(3, 6)))
    there = {(item.first.name, item.second.name) for item in found}
    missing = ["%s - %s" % (a, b) for a, b, _ in statistics.PAIRS if (a, b) not in there]
    if missing:
        blocks.append(
            Paragraph(
                "No two runs with the same seed, protocol, quirks and number of epochs for: %s."
                % ", ".join(missing)
            )
        )
    return blocks


def _few_seeds(groups: Sequence[Group]) -> List[Block]:
    """A sentence about the groups whose seeds are too few, if there are any."""
    letters = [group.variant.name for group in groups]
    named: Dict[int, List[str]] = {}  # by the number of seeds
    for group in groups:
        if statistics.trust(len(group.seeds)):
            alone = letters.count(group.variant.name) == 1
            name = group.variant.name if alone else _named(group.variant)
            named.setdefault(len(group.seeds), []).append(name)
    if not named:
        return []
    counts = [
        "%s %s %d" % (", ".join(names), "has" if len(names) == 1 else "have", seeds)
        for seeds, names in sorted(named.items())
    ]
    return [
        Paragraph(
            "Too few seeds for an interval to be trusted, %d would do: %s."
            % (statistics.ENOUGH_SEEDS, "; ".join(counts))
        )
    ]


def _named(variant: Variant) -> str:
    """A group, told from others of the same letter."""
    words = (variant.name, variant.training, variant.mode, count_text(variant.epochs, "epoch"))
    return "%s (%s, %s, %s)" % words


def _with_interval(form: str, value: Statistic) -> str:
    """A mean and, if there is one, its interval."""
    text = form % value.mean
    if value.low is not None:
        text += " [%s, %s]" % (form % value.low, form % value.high)
    return text


def count_text(number: int, noun: str) -> str:
    """A number of things in words."""
    return "%d %s%s" % (number, noun, "" if number == 1 else "s")
