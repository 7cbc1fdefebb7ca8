"""A server of mail of other people (aiosmtpd), with STARTTLS and a password, until standard input ends.

    mails.py PORT CERTIFICATE KEY

The first mail is put off (451), behind the second one the connection ends without an answer, a recipient whose name begins with `nobody` is refused for
good. Prints each mail that it has, a line of JSON.
"""

import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

port, certificate, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]


class Handler:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 there is nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        Handler.count += 1
        if Handler.count == 1:
            return "451 come back later"
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {kind: mail.get_body((kind,)).get_content() for kind in ("plain", "html")}
        names = ("Subject", "From", "To", "Message-ID", "References")
        print(json.dumps({"recipients": envelope.rcpt_tos, "user": session.auth_data.decode(), **{name: mail[name] for name in names}, **parts}), flush=True)
        if Handler.count == 2:
            server.transport.close()
        return "250 taken"


def login(server, session, envelope, mechanism, data):
    is_right = (data.login, data.password) == (b"watch", b"se cret")
    return AuthResult(success=is_right, auth_data=data.login)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
options = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": login}
Controller(Handler(), hostname="127.0.0.1", port=port, **options).start()
sys.stdin.read()
