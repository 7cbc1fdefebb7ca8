"""questdb: its ILP over HTTP, which is line protocol with times among the fields."""

import sys

from questdb import QuestDBError, Sender, TimestampMicros, TimestampNanos

from rows import again, batches, row

# It tries again by itself for a while; what is not through then is tried again here.
address, token = sys.argv[1].removeprefix("http://"), sys.argv[2]
config = f"http::addr={address};token={token};retry_timeout=1000;auto_flush=off;"


def send(batch):
    with Sender.from_conf(config) as sender:
        for n in batch:
            host, second, float_value, integer, text, boolean = row(n)
            columns = {"f": float_value, "n": integer, "s": text, "b": boolean}
            columns["seen"] = TimestampMicros(second * 10**6)
            sender.row("m", symbols={"host": host}, columns=columns, at=TimestampNanos(second * 10**9))
        sender.flush()


for batch in batches():
    again(lambda: send(batch), QuestDBError)
