"""What to run, as plain values: networks, cases, schedules, the ledger. No TensorFlow."""
