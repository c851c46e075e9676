"""Which files in a run's subdirectories are the package's own: only these are ever deleted.

Links are deleted, never followed, and directories are left alone: the package makes none there.
"""

import os
import re
from typing import List, Pattern

CHECKPOINTS = "checkpoints"
FIGURES = "figures"
TENSORBOARD = "tensorboard"
MODEL = "model"  # checkpoints are called model-STEP
# The names that TensorFlow gives to a checkpoint's files, and to the same until they are written.
SAVED = re.compile(
    rf"{MODEL}-[0-9]+\.(index|data-[0-9]+-of-[0-9]+)(\.tempstate[0-9]*)?"
    r"|checkpoint(\.tmp[0-9a-f]*)?"
)
PICTURES = ("curves", "images", "layers", "updates", "weights")  # what reporting.pictures draws
OWN = {
    CHECKPOINTS: SAVED,
    FIGURES: re.compile(rf"({'|'.join(PICTURES)})\.(png|svg|pdf)((\.[0-9a-f]+)?\.part)?"),
    TENSORBOARD: re.compile(r"events\.out\.tfevents\.[0-9]+\.[0-9]+"),
}


def matching(directory: str, names: Pattern) -> List[str]:
    """Return the paths of a directory's files and links with such names; none if it is missing."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return []
    return [
        entry.path
        for entry in entries
        if names.fullmatch(entry.name) and not entry.is_dir(follow_symlinks=False)
    ]


def finished_steps(directory: str) -> List[int]:
    """Return the iterations of a directory's finished checkpoints, the newest first.

    A finished checkpoint has an index, which TensorFlow writes last.
    """
    index = re.compile(rf"{MODEL}-([0-9]{{1,18}})\.index")
    names = map(os.path.basename, matching(directory, index))
    return sorted((int(index.fullmatch(name).group(1)) for name in names), reverse=True)


def unfinished(directory: str) -> List[str]:
    """Return the paths of the files of checkpoints that were never finished."""
    steps = "|".join(map(str, finished_steps(directory)))
    finished = re.compile(rf"{MODEL}-({steps})\.(index|data-[0-9]+-of-[0-9]+)|checkpoint")
    paths = matching(directory, SAVED)
    return [path for path in paths if not finished.fullmatch(os.path.basename(path))]


def delete(paths: List[str]) -> List[OSError]:
    """Delete files and links; returns the errors of those that cannot be deleted."""
    errors = []
    for path in paths:
        try:
            os.remove(path)
        except FileNotFoundError:
            pass  # another process has deleted it
        except OSError as error:
            errors.append(error)
    return errors
