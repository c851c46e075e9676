"""What the report says: its text and tables, made from groups of runs."""

from typing import List, Mapping, Optional, Sequence

from unfair_bp import __version__
from unfair_bp.console import shell_line
from unfair_bp.experiment.cases import CASES
from unfair_bp.experiment.naming import count_text
from unfair_bp.reporting.diagnosis import overfitting_blocks, published_blocks, weight_blocks
from unfair_bp.reporting.differences import (
    NONE,
    Wanted,
    baseline_of,
    difference_blocks,
    with_interval,
)
from unfair_bp.reporting.document import Block, Bullets, Heading, Paragraph, Picture, Table
from unfair_bp.results import differences, statistics
from unfair_bp.results.collection import Collection, Group
from unfair_bp.results.run import EITHER, Setting, Variant
from unfair_bp.results.selection import Choice
from unfair_bp.results.statistics import Statistic

TITLE = "Unfair back propagation: runs compared"


def report_blocks(
    collection: Collection,
    command: Sequence[str],
    pictures: Mapping[Optional[Setting], Picture],
    wanted: Wanted,
) -> List[Block]:
    """The whole report.

    Args:
        collection: The runs.
        command: What made it.
        pictures: That of each setting, and under None that of what was picked; may be empty.
        wanted: Which differences to show.
    """
    runs = count_text(collection.run_count, "run")
    settings = count_text(len(collection.settings), "setting")
    made = f"Made by `{shell_line(command)}` (unfair_bp {__version__}) from {runs} in {settings}."
    blocks: List[Block] = [Heading(1, TITLE), Paragraph(made)]
    if collection.settings:
        blocks.append(Bullets(_notes(list(collection.settings.values()), wanted)))
    else:
        blocks.append(Paragraph("No run uses a picked value yet; only the tuning is shown."))
    blocks += _selection_blocks(collection.choices, pictures.get(None))
    for setting, groups in collection.settings.items():
        blocks += _setting_blocks(setting, groups, pictures.get(setting), wanted)
    if collection.unfinished:
        text = "Still running, stopped or diverged; not in the rows of runs that have ended."
        blocks += [Heading(2, "Runs that have not ended"), Paragraph(text)]
        blocks.append(Bullets(collection.unfinished))
    if collection.left_out:
        blocks += [Heading(2, "Not counted"), Bullets(collection.left_out)]
    return blocks


def _notes(settings: Sequence[Sequence[Group]], wanted: Wanted) -> List[str]:
    """Notes on how to read the parts that this report has."""
    groups = [group for alike in settings for group in alike]
    variants = [group.variant for group in groups]
    augmented = any(variant.augment for variant in variants)
    notes = [
        "Numbers are means over seeds. Brackets hold the 95 % interval of the mean by Student's t "
        "distribution; one run, or one pair of runs, has none. An interval covers the choice of "
        "seeds, not the size of the test set."
    ]
    if any(differences.matches(alike, baseline_of(alike, wanted)) for alike in settings):
        notes.append(
            "Differences are taken seed by seed. p is that of the two-sided paired t test, after "
            "Holm's correction for the number of tests in its table; the intervals are not "
            "corrected. There is no p for one pair, or for differences that are all the same."
        )
    if any(group.runs[0].running.spans_run for group in groups):
        notes.append(
            "A schedule that spans its run is compared at the end of the run only, and its curves "
            "are not those of shorter runs."
        )
    notes.append(
        "Test: after the last epoch"
        + (
            "; validation the same, on the last training images, which are held out of training"
            if any(group.runs[0].case.validation_size for group in groups)
            else ""
        )
        + ". Train: mean over the last epoch's images, "
        + ("augmented ones included, " if augmented else "")
        + "each before its batch's update. Train - test understates the generalisation gap, the "
        "more so the faster training accuracy still rises."
    )
    if augmented:
        notes.append(
            "An epoch with augmentation has twice as many batches, as half of each is new copies."
        )
    if any(variant.protocol == EITHER for variant in variants):
        notes.append("Protocol `either`: a cycle of one row is the same per step and per batch.")
    published = [group.variant.name for group in groups if group.as_posted]
    if published:
        unfair = set(published) - {"a", "b"}
        notes.append(
            "Published: the log of the post's single run, at full width on the original CIFAR-10; "
            "in parentheses its number of epochs."
            + (
                " The scripts of c to f, as rebuilt, train fairly on every TensorFlow tried, see "
                "`python -m unfair_bp.collapse`."
                if unfair
                else ""
            )
        )
    return notes


def _selection_blocks(choices: Sequence[Choice], picture: Optional[Picture]) -> List[Block]:
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
    if edge:
        text += " * marks a pick at the end of the range that was tried: try a value beyond it."
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
    blocks: List[Block] = [Heading(2, f"Picked: {field}"), Paragraph(text)]
    blocks.append(Table(header, rows, range(4, 7)))
    return blocks + ([picture] if picture else [])


def _setting_blocks(
    setting: Setting, groups: Sequence[Group], picture: Optional[Picture], wanted: Wanted
) -> List[Block]:
    """The tables of one setting."""
    summaries = {group.variant: statistics.summary(group) for group in groups}
    return [
        Heading(2, setting_text(setting)),
        Paragraph(_details(setting)),
        *([picture] if picture else []),
        *difference_blocks(groups, wanted),
        Heading(3, "Accuracy"),
        _accuracy_table(groups, summaries),
        Heading(3, "Cost"),
        _cost_table(len(setting.case.layers), summaries),
        *overfitting_blocks(groups, wanted),
        *weight_blocks(groups, len(setting.case.layers)),
        *published_blocks(groups),
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
    for name in ("beta1", "beta2", "epsilon", "momentum"):
        if getattr(case, name) != getattr(CASES["a"], name):
            parts.append(f"{name} {_value(setting, name)}")
    if case.nesterov:
        parts.append("Nesterov")
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
    """Accuracies, the published ones beside them if there are any."""
    validated = any("validation" in values for values in summaries.values())
    published = any(group.as_posted for group in groups)
    header = ["case", "schedule", "protocol", "epochs", "seeds"]
    header += ["validation"] if validated else []
    header += ["test", "published test"] if published else ["test"]
    header += ["train", "published train"] if published else ["train"]
    header.append("train - test")
    rows = []
    for group in groups:
        variant, values = group.variant.shortened(), summaries[group.variant]
        log = statistics.published(group)
        row = [group.variant.label, variant.training, variant.mode]
        row += [f"{variant.epochs}", f"{len(group.seeds)}"]
        row += [with_interval(".4f", values["validation"])] if validated else []
        for name in ("test", "train"):
            row.append(with_interval(".4f", values[name]))
            if published:
                shown = f"{statistics.QUANTITIES[name](log):.4f} ({len(log)})" if log else NONE
                row.append(shown)
        rows.append([*row, with_interval("+.4f", values["gap"])])
    return Table(header, rows, range(3, len(header)))


def _cost_table(layers: int, summaries: Mapping[Variant, Mapping[str, Statistic]]) -> Table:
    """What the runs took; updates and operations do not depend on the seed."""
    header = ["case", "schedule", "protocol", "epochs", "updates of layer 1"]
    header += [f"updates of layer {layers}", "updates, mean", "TFLOP", "seconds of training"]
    rows = [
        [
            variant.label,
            variant.shortened().training,
            variant.mode,
            f"{variant.epochs}",
            f"{values['updates_first'].mean:.0f}",
            f"{values['updates_last'].mean:.0f}",
            f"{values['updates'].mean:.0f}",
            f"{values['tflop'].mean:.4g}",
            f"{values['seconds'].mean:.0f}",
        ]
        for variant, values in summaries.items()
    ]
    return Table(header, rows, range(3, 9))
