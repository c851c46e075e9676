"""Where a result comes from: command, versions, commit, processor, device, data set."""

import os
import platform
import subprocess
import time
from typing import Dict, Optional, Sequence

import numpy as np

import unfair_bp
from unfair_bp.backprop.fast import choice
from unfair_bp.backprop.graph_mode import tf
from unfair_bp.data.dataset import Dataset


def commit() -> Optional[str]:
    """Return the commit of the package's source tree, marked if files differ; None without git."""
    here = os.path.dirname(os.path.abspath(unfair_bp.__file__))

    def git(*words: str) -> str:
        # Without locks, because a commit may be under way while a run starts.
        return subprocess.check_output(
            ["git", "--no-optional-locks", "-C", here, *words],
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
        ).strip()

    try:
        tracked = git("ls-files", "--", "__init__.py")  # empty if only a parent is a repository
        if not tracked:
            return None
        changed = git("status", "--porcelain", "--untracked-files=no", "--", here)
        return git("rev-parse", "HEAD") + (" with local changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    """Return the processor's name and the number of cores."""
    facts = choice.processor_facts()
    name = facts.get("model name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count() or 1} cores"


def software() -> Dict[str, str]:
    """Return the versions that a result depends on."""
    return {
        "unfair_bp": unfair_bp.__version__,
        "commit": commit() or "unknown",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "system": platform.system(),
    }


def record(command: str, dataset: Dataset, devices: Sequence[str]) -> str:
    """Return the text of command.txt.

    Args:
        command: The command as it would be typed into a shell.
        dataset: The data set of the run.
        devices: TensorFlow's devices other than the processor.
    """
    facts: Dict[str, str] = {
        "command": command,
        "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        **software(),
        "processor": processor(),
        "kernels": choice.library(),
        "devices": ", ".join(["CPU", *devices]),
        "data set": f"{dataset.name}, {len(dataset.train_images)} training and "
        f"{len(dataset.test_images)} test images",
    }
    return "".join(f"{name + ':':11} {value}\n" for name, value in facts.items())
