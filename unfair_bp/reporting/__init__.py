"""Pictures and words of a run, and of a comparison of runs."""
