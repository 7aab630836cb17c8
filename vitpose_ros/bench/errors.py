"""What can go wrong with a benchmark. Every text is a whole sentence for the person who has to
act.
"""

from __future__ import annotations


class BenchError(RuntimeError):
    """A benchmark cannot be run; the text says what was given and what helps."""
