"""One training run: its directory, its loop, and everything it goes on from."""
