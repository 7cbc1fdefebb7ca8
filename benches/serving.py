"""Programs that a script starts: on free ports of loopback, known to be its own, and ended with it, whatever happens."""

import atexit
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

_started = []


def _end():
    for process in reversed(_started):
        if process.poll() is None:
            process.terminate()
    for process in _started:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


atexit.register(_end)
# A script that is told to stop ends by `atexit`, too.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def free_ports(count):
    """So many ports on which nobody listens now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [own.getsockname()[1] for own in sockets]
    for own in sockets:
        own.close()
    return ports


def start(command, port, path="/", **more):
    """Starts a program and waits until it answers HTTP on a port. A program that ends meanwhile is an error: who answers then is another."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **more)
    _started.append(process)
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"{command[0]} ended with {process.returncode}: {process.stderr.read().decode()[-500:]}")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                drain(process)
                return process
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{command[0]} does not answer on port {port}")


def drain(process):
    """Reads what a program says from now on, so that it does not wait for a reader."""
    threading.Thread(target=lambda: [None for _ in process.stderr], daemon=True).start()


def stop(process):
    process.terminate()
    process.wait()


def serve(program, folder, *more, before=(), port=None):
    """Starts `fournines serve` over a folder; the process and its port."""
    port = port or free_ports(1)[0]
    command = [*before, program, "serve", "--data-dir", folder, "--listen", f"127.0.0.1:{port}", *more]
    return start(command, port, "/health"), port


class Client:
    """Asks a server over one kept connection."""

    def __init__(self, port, db="public"):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.db = db

    def request(self, method, path, body=None):
        try:
            self.connection.request(method, path, body)
            answer = self.connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # It was closed while nobody asked.
            self.connection.close()
            self.connection.request(method, path, body)
            answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status in (200, 204), (answer.status, text[:200])
        return text

    def ask(self, statement, form="json"):
        question = urllib.parse.urlencode({"q": statement, "db": self.db, "format": form})
        return self.request("GET", f"/api/v3/query_sql?{question}")

    def rows(self, statement):
        return json.loads(self.ask(statement))

    def ask_ms(self, statement):
        start = time.perf_counter()
        self.ask(statement)
        return (time.perf_counter() - start) * 1000


def status_kb(process, key):
    """A figure of `/proc/PID/status`, in KiB."""
    return next(int(line.split()[1]) for line in open(f"/proc/{process.pid}/status") if line.startswith(key))


def cpu_s(process):
    """The processor time that a process has taken."""
    fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def nginx(root, ports, before=()):
    """nginx that answers `hello` on each of these ports, with all that it writes in a folder."""
    listen = "".join(f"listen 127.0.0.1:{port}; " for port in ports)
    temporary = "".join(f"{kind}_temp_path {root}/{kind}; " for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    with open(f"{root}/nginx.conf", "w") as file:
        file.write(
            f"daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; worker_rlimit_nofile 60000;"
            f"events {{ worker_connections 20000; }} http {{ access_log off; {temporary}"
            f"server {{ {listen} location / {{ return 200 'hello'; }} }} }}"
        )
    return start([*before, "nginx", "-p", root, "-c", "nginx.conf"], ports[0])
