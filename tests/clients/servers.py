"""Servers of mail and files: SMTP with STARTTLS (aiosmtpd) and FTP with TLS (pyftpdlib), until standard input ends.

    servers.py SMTP_PORT FTP_PORT CERTIFICATE KEY
"""

import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer

smtp_port, ftp_port, certificate, key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
Controller(Sink(), hostname="127.0.0.1", port=smtp_port, tls_context=context, ident="post ready").start()


class Handler(TLS_FTPHandler):
    certfile, keyfile, authorizer, banner = certificate, key, DummyAuthorizer(), "files ready"


threading.Thread(target=FTPServer(("127.0.0.1", ftp_port), Handler).serve_forever, daemon=True).start()
sys.stdin.read()
