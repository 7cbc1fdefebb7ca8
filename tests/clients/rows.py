"""The rows that every client sends: row n follows from its number. tests/clients.rs knows the same."""

import time

ROWS = 400
START_S = 1767225600


def row(n):
    """host, seconds since the epoch, a float, an integer, a text, a boolean"""
    return f"h{n % 5}", START_S + n, (n - 200) / 7, n * 1000003, f'note "{n % 3}", a=b', n % 2 == 0


def again(what, *errors):
    """Does something until it works: the server is killed and started again meanwhile."""
    end = time.monotonic() + 60
    while True:
        try:
            return what()
        except errors:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def batches(size=20):
    for first in range(0, ROWS, size):
        yield range(first, min(first + size, ROWS))
        time.sleep(0.12)
