"""What the benchmark times, and what becomes of the graphs of 2018."""
