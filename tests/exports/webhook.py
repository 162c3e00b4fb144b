#!/usr/bin/env python3
"""Checks signatures of Standard Webhooks with Python's own library: webhook.py FILE SECRET...

FILE has one JSON object a line: id, timestamp, signature and body, as a receiver got them. Each must be signed under every secret.
"""

import base64
import hashlib
import hmac
import json
import sys

good = 0
for line in open(sys.argv[1], encoding="utf-8"):
    got = json.loads(line)
    signatures = got["signature"].split(" ")
    content = f"{got['id']}.{got['timestamp']}.{got['body']}".encode()
    assert "." not in got["id"] and got["timestamp"].isdigit(), got
    assert len(signatures) == len(sys.argv) - 2, got
    for secret in sys.argv[2:]:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        assert any(hmac.compare_digest(expected, signature) for signature in signatures), got
    good += 1
print(f"{good} signed")
