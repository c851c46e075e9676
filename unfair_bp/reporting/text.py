"""What the report says: its text and tables, made from groups of runs."""

from typing import Container, List, Mapping, NamedTuple, Optional, Sequence

from unfair_bp import __version__
from unfair_bp.console import shell_line
from unfair_bp.reporting.document import Block, Bullets, Heading, Paragraph, Picture, Table
from unfair_bp.results import statistics
from unfair_bp.results.collection import Collection, Group
from unfair_bp.results.run import Setting, Variant
from unfair_bp.results.selection import Choice
from unfair_bp.results.statistics import Difference, Pair, Statistic

TITLE = "Unfair back propagation: runs compared"
NONE = "-"

NOTES = (
    "Numbers are means over seeds. Brackets hold the 95 % interval of the mean by Student's t "
    "distribution; one run, or one pair of runs, has none. An interval covers the choice of "
    "seeds, not the size of the test set.",
    "Differences are taken seed by seed. p is that of the two-sided paired t test, after Holm's "
    "correction for the number of tests in its table; the intervals are not corrected.",
    "Test: after the last epoch; validation the same, on the last training images, which are held "
    "out of training. Train: mean over the last epoch's images, augmented ones "
    "included, each before its batch's update. Train - test is the generalisation gap.",
    "Protocol `either`: a cycle of one row is the same per step and per batch.",
    "Published: the log of the post's single run, at full width on the original CIFAR-10; in "
    "parentheses its number of epochs. The scripts of c to f trained fairly on every TensorFlow "
    "tried, see `python -m unfair_bp.collapse`.",
)


class Comparison(NamedTuple):
    """One table of differences."""

    cost: str  # what is equal: a field of statistics.Curve
    heading: str
    column: str  # heading of the column that holds the cost
    form: str  # how the cost is written
    note: str


COMPARISONS = (
    Comparison(
        cost="tflop",
        heading="Paired differences of test accuracy at equal operations",
        column="at TFLOP",
        form=".4g",
        note="Both runs of a pair at the operations of the whole cheaper run. Between two epochs "
        "of the other run, its test accuracy is interpolated linearly.",
    ),
    Comparison(
        cost="updates",
        heading="Paired differences of test accuracy at equal layer updates",
        column="at updates",
        form=".0f",
        note="The same at the layer updates, mean over the layers, of the run that made fewer.",
    ),
    Comparison(
        cost="epochs",
        heading="Paired differences of test accuracy at equal epochs",
        column="at epoch",
        form=".0f",
        note="Both runs after the last epoch of the shorter run.",
    ),
)


def report_blocks(
    collection: Collection, command: Sequence[str], pictures: Mapping[Setting, Picture]
) -> List[Block]:
    """The whole report."""
    runs = count_text(collection.run_count, "run")
    settings = count_text(len(collection.settings), "setting")
    made = f"Made by `{shell_line(command)}` (unfair_bp {__version__}) from {runs} in {settings}."
    blocks: List[Block] = [Heading(1, TITLE), Paragraph(made), Bullets(NOTES)]
    blocks += _selection_blocks(collection.choices)
    for setting, groups in collection.settings.items():
        blocks += _setting_blocks(setting, groups, pictures.get(setting))
    for heading, lines in (
        ("Runs that have not ended", collection.unfinished),
        ("Not counted", collection.left_out),
    ):
        if lines:
            blocks += [Heading(2, heading), Bullets(lines)]
    return blocks


def _selection_blocks(choices: Sequence[Choice]) -> List[Block]:
    """The values that were picked for each schedule, and on what grounds."""
    if not choices:
        return []
    field = choices[0].setting.selected.replace("_", " ")
    edge = any(choice.at_edge for choice in choices)
    text = (
        f"For each schedule the {field} with the best validation accuracy was picked, on runs that "
        "hold images out of training (mean over seeds, after the epoch that is named). Those runs "
        "are not reported, nor are others at a value that was not picked."
    )
    text += " * No value was tried on one side of this one; try one more." if edge else ""
    settings = {choice.setting for choice in choices}
    header = ["schedule", "protocol", field, "validation accuracy of each value tried"]
    header += ["epoch", "tuning seeds", "other runs at it", *(["setting"] * (len(settings) > 1))]
    rows = []
    for choice in choices:
        variant = choice.variant.shortened()
        tried = ", ".join(f"{value:g}: {accuracy:.4f}" for value, accuracy in choice.tried)
        row = [variant.training, variant.mode, f"{choice.value:g}{' *' if choice.at_edge else ''}"]
        row += [tried, f"{choice.epoch}", f"{choice.seeds}", f"{choice.others}"]
        rows.append(row + [setting_text(choice.setting)] * (len(settings) > 1))
    return [Heading(2, f"Picked: {field}"), Paragraph(text), Table(header, rows, range(4, 7))]


def _setting_blocks(
    setting: Setting, groups: Sequence[Group], picture: Optional[Picture]
) -> List[Block]:
    """The tables of one setting."""
    summaries = {group.variant: statistics.summary(group) for group in groups}
    return [
        Heading(2, setting_text(setting)),
        Paragraph(_details(setting)),
        *([picture] if picture else []),
        *_difference_blocks(groups),
        Heading(3, "Accuracy"),
        _accuracy_table(groups, summaries),
        Heading(3, "Cost"),
        _cost_table(len(setting.case.layers), summaries),
    ]


def setting_text(setting: Setting) -> str:
    """A setting in a line."""
    case = setting.case
    parts = [
        f"Width {case.width:g}",
        setting.data,
        _image_counts(setting),
        f"batches of {_value(setting, 'batch_size')}",
        f"learning rate {_value(setting, 'learning_rate')}",
    ]
    if not setting.posted_network:
        parts.append(f"{len(case.layers)} layers for {_images(setting)} images")
    if case.optimizer != "adam":
        parts.append(case.optimizer)
    if case.initial_weights != "numpy":
        parts.append(f"initial weights of {case.initial_weights}")
    return ", ".join(parts)


def _value(setting: Setting, field: str) -> str:
    """A number that the runs have in common, unless it was picked for each schedule."""
    if setting.selected == field:
        return "picked for each schedule"
    return f"{getattr(setting.case, field):g}"


def _image_counts(setting: Setting) -> str:
    """How many images were used for what."""
    held_out = setting.case.validation_size
    validation = f", {held_out} validation" if held_out else ""
    training = setting.training_images - (held_out or 0)
    return f"{training} training{validation} and {setting.test_images} test images"


def _images(setting: Setting) -> str:
    """The shape of the network's images."""
    return "x".join(map(str, setting.case.architecture.image_shape))


def _details(setting: Setting) -> str:
    """The rest of what the runs have in common."""
    case = setting.case
    names = ("beta1", "beta2", "epsilon")
    optimizer = "Adam with " + ", ".join(f"{name} {_value(setting, name)}" for name in names)
    if case.optimizer != "adam":
        nesterov = ", Nesterov" if case.nesterov else ""
        momentum = _value(setting, "momentum")
        optimizer = f"Optimizer {case.optimizer} with momentum {momentum}{nesterov}"
    text = f"{optimizer}. Data: sha256 `{setting.sha256[:16]}`."
    if not setting.posted_network:
        layers = [
            f"{layer.kernel}x{layer.kernel} to {layer.outputs} channels, stddev {layer.stddev:g}"
            + (", pool" if layer.pool else "")
            for layer in case.architecture.layers
        ]
        text += f" Layers at width 1: {'; '.join(layers)}."
    return text


def _accuracy_table(
    groups: Sequence[Group], summaries: Mapping[Variant, Mapping[str, Statistic]]
) -> Table:
    """Accuracies, the published ones beside them."""
    validated = any("validation" in values for values in summaries.values())
    header = ["case", "schedule", "protocol", "epochs", "seeds"]
    header += ["validation"] if validated else []
    header += ["test", "published test", "train", "published train", "train - test"]
    rows = []
    for group in groups:
        variant, values = group.variant.shortened(), summaries[group.variant]
        log = statistics.published(group)
        row = [variant.name, variant.training, variant.mode]
        row += [f"{variant.epochs}", f"{len(group.seeds)}"]
        row += [_with_interval(".4f", values["validation"])] if validated else []
        for name in ("test", "train"):
            row.append(_with_interval(".4f", values[name]))
            row.append(f"{statistics.QUANTITIES[name](log):.4f} ({len(log)})" if log else NONE)
        rows.append([*row, _with_interval("+.4f", values["gap"])])
    return Table(header, rows, range(3, len(header)))


def _cost_table(layers: int, summaries: Mapping[Variant, Mapping[str, Statistic]]) -> Table:
    """What the runs took; updates and operations do not depend on the seed."""
    header = ["case", "schedule", "protocol", "epochs", "updates of layer 1"]
    header += [f"updates of layer {layers}", "TFLOP", "seconds of training"]
    rows = [
        [
            variant.shortened().name,
            variant.shortened().training,
            variant.mode,
            f"{variant.epochs}",
            f"{values['updates_first'].mean:.0f}",
            f"{values['updates_last'].mean:.0f}",
            f"{values['tflop'].mean:.4g}",
            f"{values['seconds'].mean:.0f}",
        ]
        for variant, values in summaries.items()
    ]
    return Table(header, rows, range(3, 8))


def _difference_blocks(groups: Sequence[Group]) -> List[Block]:
    """A table for each kind of equal cost, and the pairs that there are no runs for."""
    tables = {item: statistics.differences(groups, item.cost) for item in COMPARISONS}
    compared = {difference.pair for found in tables.values() for difference in found}
    blocks: List[Block] = []
    for item, found in tables.items():
        if compared:
            blocks += [Heading(3, item.heading), Paragraph(item.note)]
        if found:
            blocks.append(_difference_table(item, found))
        early = _letters(compared - {difference.pair for difference in found})
        if early:
            why = "one run of the pair ended within the first epoch of the other"
            blocks.append(Paragraph(f"Not compared here, because {why}: {early}."))
    absent = _letters(set(statistics.PAIRS) - compared)
    if absent:
        blocks.append(
            Paragraph(f"No two runs with the same seed, protocol and quirks for: {absent}.")
        )
    return blocks


def _letters(pairs: Container[Pair]) -> str:
    """Pairs by the letters of their cases, in the order of the tables."""
    return ", ".join(f"{p.first} - {p.second}" for p in statistics.PAIRS if p in pairs)


def _difference_table(item: Comparison, found: Sequence[Difference]) -> Table:
    header = ["cases", "question", "protocol", item.column, "pairs", "difference", "p (Holm)"]
    rows = [
        [
            f"{difference.first.shortened().name} - {difference.second.shortened().name}",
            difference.pair.question,
            difference.mode,
            format(difference.at, item.form),
            f"{difference.statistic.count}",
            _with_interval("+.4f", difference.statistic),
            NONE if difference.p is None else f"{difference.p:.4f}",
        ]
        for difference in found
    ]
    return Table(header, rows, range(3, 7))


def _with_interval(form: str, value: Statistic) -> str:
    """A mean and, if there is one, its interval."""
    text = format(value.mean, form)
    if value.low is not None:
        text += f" [{format(value.low, form)}, {format(value.high, form)}]"
    return text


def count_text(number: int, noun: str) -> str:
    """A number of things in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
