#!/usr/bin/env python3
"""A server of mail for stories: mail.py CERTIFICATES FOLDER STARTTLS-PORT TLS-PORT USER PASSWORD

STARTTLS is required on the first port, TLS is there from the first byte on the second; on both the client must log in. Each message
that it takes is a line of FOLDER/messages.jsonl, as Python's own library reads it. A line in FOLDER/answer is what it answers to every
message instead of taking it. There is no mailbox for addresses that begin with `gone`.
"""

import asyncio
import json
import pathlib
import ssl
import sys
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult

certificates, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
user, password = sys.argv[5].encode(), sys.argv[6].encode()


class Keeper:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone"):
            return "550 5.1.1 there is no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 good"

    async def handle_DATA(self, server, session, envelope):
        answer = folder / "answer"
        if answer.exists():
            return answer.read_text().strip()
        message = message_from_bytes(envelope.content, policy=policy.default)
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "user": session.auth_data.login.decode() if session.auth_data else None,
            "tls": (session.ssl or {}).get("cipher") is not None or server.transport.get_extra_info("cipher") is not None,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "defects": [str(defect) for defect in message.defects],
            "text": message.get_content(),
        }
        with (folder / "messages.jsonl").open("a") as file:
            file.write(json.dumps(kept) + "\n")
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    good = mechanism in ("PLAIN", "LOGIN") and data.login == user and data.password == password
    return AuthResult(success=good, auth_data=data if good else None)


async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    loop = asyncio.get_running_loop()
    common = {"authenticator": authenticate, "auth_required": True, "hostname": "localhost"}
    starttls = lambda: SMTP(Keeper(), tls_context=tls, require_starttls=True, **common)
    # TLS is below it here, of which it does not know.
    implicit = lambda: SMTP(Keeper(), auth_require_tls=False, **common)
    await loop.create_server(starttls, "127.0.0.1", int(sys.argv[3]))
    await loop.create_server(implicit, "127.0.0.1", int(sys.argv[4]), ssl=tls)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
