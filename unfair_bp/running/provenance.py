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
from unfair_bp.console import shell_line
from unfair_bp.data.dataset import Dataset


def commit() -> Optional[str]:
    """The commit of the package's source tree, marked if the tree differs from it; else None."""
    here = os.path.dirname(os.path.abspath(unfair_bp.__file__))

    def git(*words: str) -> str:
        # Reading must not take locks: somebody may be committing while a run starts.
        return subprocess.check_output(
            ["git", "--no-optional-locks", "-C", here, *words],
            stderr=subprocess.DEVNULL,
            universal_newlines=True,
        ).strip()

    try:
        tracked = git("ls-files", "--", "__init__.py")  # empty where only a parent is a checkout
        if not tracked:
            return None
        changed = git("status", "--porcelain", "--untracked-files=no", "--", here)
        return git("rev-parse", "HEAD") + (" with local changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    """The processor's name and the number of cores."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model n")]
        name = models[0] if models else name
    except OSError:
        pass  # not Linux
    return "%s, %d cores" % (name, os.cpu_count() or 1)


def software() -> Dict[str, str]:
    """The versions that a result depends on."""
    return {
        "unfair_bp": unfair_bp.__version__,
        "commit": commit() or "unknown",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "system": platform.system(),
    }


def record(command: Sequence[str], dataset: Dataset, devices: Sequence[str]) -> str:
    """The text of command.txt.

    Args:
        command: The command's words.
        dataset: What it trains on.
        devices: TensorFlow's devices other than the processor.
    """
    facts: Dict[str, str] = {
        "command": shell_line(command),
        "started": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        **software(),
        "processor": processor(),
        "kernels": choice.library(),
        "devices": ", ".join(["CPU", *devices]),
        "data set": "%s, %d training and %d test images"
        % (dataset.name, len(dataset.train_images), len(dataset.test_images)),
    }
    return "".join("%-11s %s\n" % (name + ":", value) for name, value in facts.items())
