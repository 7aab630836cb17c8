"""Checks this machine before the node runs, with a remedy for each problem."""
