"""Servers of other people: SMTP with STARTTLS (aiosmtpd), FTP with TLS (pyftpdlib), WebSockets (websockets) and gRPC with
its health service (grpcio), until standard input ends.

    servers.py SMTP_PORT FTP_PORT WEBSOCKET_PORT GRPC_PORT CERTIFICATE KEY
"""

import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import HealthServicer
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer
from websockets.sync.server import serve

smtp_port, ftp_port, websocket_port, grpc_port = map(int, sys.argv[1:5])
certificate, key = sys.argv[5:7]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
Controller(Sink(), hostname="127.0.0.1", port=smtp_port, tls_context=context, ident="post ready").start()


class Handler(TLS_FTPHandler):
    certfile, keyfile, authorizer, banner = certificate, key, DummyAuthorizer(), "files ready"


threading.Thread(target=FTPServer(("127.0.0.1", ftp_port), Handler).serve_forever, daemon=True).start()
websockets = serve(lambda connection: None, "127.0.0.1", websocket_port)
threading.Thread(target=websockets.serve_forever, daemon=True).start()

health = HealthServicer()
health.set("", health_pb2.HealthCheckResponse.SERVING)
health.set("orders", health_pb2.HealthCheckResponse.SERVING)
health.set("stock", health_pb2.HealthCheckResponse.NOT_SERVING)
calls = grpc.server(ThreadPoolExecutor(2))
health_pb2_grpc.add_HealthServicer_to_server(health, calls)
calls.add_insecure_port(f"127.0.0.1:{grpc_port}")
calls.start()
sys.stdin.read()
