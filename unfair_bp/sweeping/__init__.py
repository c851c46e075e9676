"""Many runs at once: what a sweep runs, one attempt at a run, where attempts run, and the loop."""
