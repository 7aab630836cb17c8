"""Rendered hands with exact ground truth, for the demo, tests and benchmarks."""
