"""For all tests."""

import signal


def pytest_configure() -> None:
    """Let Ctrl-C interrupt, which tests send to themselves and to programs that they start.

    A script's `make test &` would have all of them ignore it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
