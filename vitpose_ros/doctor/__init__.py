"""What a user needs to know about this machine before the node runs, with a remedy for each
problem.
"""
