#!/usr/bin/env python3
"""A time-stamp authority of the tests (RFC 3161 over HTTP), built on `openssl ts`.

usage: tsa.py FOLDER PORT        prints `ready http://127.0.0.1:PORT/` once it answers

FOLDER gets the authority's root (ca.pem) and the certificate of its signer (tsa.pem), unless they are there. What stands in
FOLDER/mood, if it is there, says how it answers: fit, garbage, refuses, slow. Each question makes FOLDER/asked a line longer:
the mood in which it was asked.
"""
import http.server
import os
import subprocess
import sys
import threading
import time

folder, port = os.path.abspath(sys.argv[1]), int(sys.argv[2])
CONFIG = f"""
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {os.path.basename(folder)} of the tests
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[signer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = authority
[authority]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
clock_precision_digits = 3
ess_cert_id_alg = sha256
"""


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True)
    if done.returncode:
        sys.exit(done.stderr.decode())
    return done.stdout


def make():
    with open(os.path.join(folder, "tsa.cnf"), "w", encoding="utf-8") as file:
        file.write(CONFIG)
    for name in ("ca", "tsa"):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name + ".key")
    openssl("req", "-new", "-x509", "-key", "ca.key", "-days", "3650", "-config", "tsa.cnf", "-extensions", "ca", "-out", "ca.pem")
    openssl("req", "-new", "-key", "tsa.key", "-config", "tsa.cnf", "-subj", "/CN=signer", "-out", "tsa.csr")
    openssl("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "2", "-days", "3650",
            "-extfile", "tsa.cnf", "-extensions", "signer", "-out", "tsa.pem")


def mood():
    try:
        with open(os.path.join(folder, "mood"), encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return "fit"


class Authority(http.server.BaseHTTPRequestHandler):
    # OpenSSL counts serial numbers in a file.
    one_at_a_time = threading.Lock()

    def do_POST(self):
        query = self.rfile.read(int(self.headers["content-length"]))
        how = mood()
        with self.one_at_a_time, open(os.path.join(folder, "asked"), "a", encoding="utf-8") as file:
            file.write(how + "\n")
        if how == "slow":
            time.sleep(60)
        if how == "garbage":
            return self.answer(b"<html>Please sign in.</html>")
        with self.one_at_a_time:
            with open(os.path.join(folder, "query.tsq"), "wb") as file:
                # One that it cannot read is refused in the form that the specification has for that.
                file.write(b"0" if how == "refuses" else query)
            openssl("ts", "-reply", "-queryfile", "query.tsq", "-config", "tsa.cnf", "-out", "reply.tsr")
            with open(os.path.join(folder, "reply.tsr"), "rb") as file:
                reply = file.read()
        self.answer(reply)

    def answer(self, reply):
        self.send_response(200)
        self.send_header("content-type", "application/timestamp-reply")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)


os.makedirs(folder, exist_ok=True)
if not os.path.exists(os.path.join(folder, "tsa.pem")):
    make()
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Authority)
print(f"ready http://127.0.0.1:{port}/", flush=True)
server.serve_forever()
