"""A person at the prompt: completes names, makes mistakes, gives up a statement, finds what was typed before."""

import os
import pty
import re
import select
import subprocess
import sys
import time

BIN, URL, HOME = sys.argv[1:]


class Terminal:
    def __init__(self):
        self.own, other = pty.openpty()
        environment = {**os.environ, "HOME": HOME, "TERM": "xterm", "FOURNINES_URL": URL}
        self.process = subprocess.Popen([BIN, "sql"], stdin=other, stdout=other, stderr=other, env=environment, start_new_session=True, preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0))
        os.close(other)
        self.text = ""

    def wait(self, expected, seconds=15):
        end = time.time() + seconds
        while not re.search(expected, self.text):
            assert time.time() < end, f"waited in vain for {expected!r} in {self.text!r}"
            if select.select([self.own], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.own, 65536).decode(errors="replace")
                except OSError:
                    break
        self.text = ""

    def type(self, text):
        os.write(self.own, text.encode())


terminal = Terminal()
terminal.wait("fournines> ")
terminal.type("SELECT count(*) AS co FROM hous\t;\r")
terminal.wait(r"\| 2 +\|[^>]* ms\r\n.*fournines> ")
terminal.type("SELECT rooms\r")
terminal.wait("-> ")
terminal.type("FROM houses ORDER BY roo\t\r")
terminal.wait(r"rooms\r[\s\S]*-> ")
terminal.type(";\r")
terminal.wait(r"\| 3 [\s\S]*\| 4 [\s\S]*fournines> ")
terminal.type("\\d houses\r")
terminal.wait(r"column_name[\s\S]*street[\s\S]*fournines> ")
terminal.type("\\d\r")
terminal.wait(r"houses[\s\S]*fournines> ")
terminal.type("SELECT * FROM hoses;\r")
terminal.wait(r"hoses' not found[\s\S]*fournines> ")
terminal.type("\\format csv\r")
terminal.wait("fournines> ")
terminal.type("\\timing\r")
terminal.wait("not shown[\\s\\S]*fournines> ")
terminal.type("SELECT rooms, street FROM houses ORDER BY rooms LIMIT 1;\r")
terminal.wait("rooms,street\r\n3,north\r\n[^m]*fournines> ")
terminal.type("SELECT count(*) FROM generate_series(1, 1000000000000) WHERE value % 7 = 8;\r")
time.sleep(1.5)
terminal.type("\x03")
terminal.wait(r"given up[\s\S]*fournines> ")
terminal.type("\\promql\r")
terminal.wait("promql> ")
terminal.type("count(houses_rooms @ 0)\r")
terminal.wait(r"time,value\r\n[^,]*,2\r\n[\s\S]*promql> ")
terminal.type("sum(\r")
terminal.wait(r"parse error: unclosed left parenthesis[\s\S]*promql> ")
terminal.type("\\range 1m 30s\r")
terminal.wait("promql> ")
terminal.type("vector(7)\r")
terminal.wait(r"Z,7\r\n[^,]*Z,7\r\n[^,]*Z,7\r\n[\s\S]*promql> ")
terminal.type("\\range no\r")
terminal.wait(r"expected a span and a step[\s\S]*promql> ")
terminal.type("\\sql\r")
terminal.wait("fournines> ")
terminal.type("\\nothing\r")
terminal.wait(r"is not known[\s\S]*fournines> ")
terminal.type("\x04")
assert terminal.process.wait(10) == 0

terminal = Terminal()
terminal.wait("fournines> ")
terminal.type(10 * "\x1b[A" + "\r")
terminal.wait(r"rooms[\s\S]*3[\s\S]*north[\s\S]*fournines> ")
terminal.type("\\q\r")
assert terminal.process.wait(10) == 0
