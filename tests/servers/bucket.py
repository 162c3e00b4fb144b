"""An S3 service for the stories: moto, and before it what moto leaves out of what AWS does: signatures are checked (by botocore, which
shares no code with the broker's signer), so are the checksums of what is put, and a deleted object says that it was deleted.

    bucket.py serve          prints `ready PORT`
    bucket.py ask PORT …     what an auditor sees and an attacker tries, by way of boto3
"""

import base64
import hashlib
import io
import json
import sys
import threading
from urllib.parse import parse_qsl, unquote

BUCKET = "acme-evidence"
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
# What AWS lets stand unsigned; anything else that says something about the object must be signed.
UNSIGNED = {"user-agent", "accept", "accept-encoding", "content-length", "connection"}


SAYING = threading.Lock()


def say(*words):
    """One whole line at a time: requests are answered by several threads."""
    with SAYING:
        print(*words, flush=True)


def refusal(environ):
    """Why AWS would refuse this request, or nothing."""
    from botocore.auth import S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    raw = environ["REQUEST_URI"] if "REQUEST_URI" in environ else environ["RAW_URI"]
    path, _, query = raw.partition("?")
    said = dict(parse_qsl(query, keep_blank_values=True))
    if "X-Amz-Signature" not in said:
        return "it is not signed"
    signed = said["X-Amz-SignedHeaders"].split(";")
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_TYPE"):
        headers["content-type"] = environ["CONTENT_TYPE"]
    loose = set(headers) - set(signed) - UNSIGNED
    if loose:
        return f"headers are not signed: {sorted(loose)}"
    if said["X-Amz-Credential"].split("/")[0] != KEY:
        return "the access key is another one"
    kept = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
    request = AWSRequest(
        method=environ["REQUEST_METHOD"],
        url=f"http://{headers['host']}{path}?{kept}",
        headers={name: headers[name] for name in signed},
    )
    request.context["timestamp"] = said["X-Amz-Date"]
    region = said["X-Amz-Credential"].split("/")[2]
    auth = S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", region, expires=int(said["X-Amz-Expires"]))
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return None if expected == said["X-Amz-Signature"] else "the signature is another one"


def changed(environ):
    """Whether what is put is something else than its checksum says; what is to be locked must have one."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    said = environ.get("HTTP_X_AMZ_CHECKSUM_SHA256")
    if said is None:
        return "HTTP_X_AMZ_OBJECT_LOCK_MODE" in environ
    return said != base64.b64encode(hashlib.sha256(body).digest()).decode()


def deleted(environ):
    from moto.s3.models import FakeDeleteMarker, s3_backends

    _, bucket, key = environ["PATH_INFO"].split("/", 2)
    found = [accounts["aws"].buckets[bucket] for accounts in s3_backends.values() if bucket in accounts["aws"].buckets]
    versions = found[0].keys.getlist(key) if found else []
    return bool(versions) and isinstance(versions[-1], FakeDeleteMarker)


def serve():
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)

    def checked(environ, start_response):
        # The stories' own questions come from boto3, which signs in a header.
        own = environ.get("HTTP_USER_AGENT", "").startswith("Boto3/") or environ["PATH_INFO"].startswith("/moto-api")
        if own:
            return moto(environ, start_response)
        why = refusal(environ)
        if why is None and environ["REQUEST_METHOD"] == "PUT" and changed(environ):
            why = "its checksum is another one"
        if why is None:
            say("asked:", environ["REQUEST_METHOD"], unquote(environ["PATH_INFO"]))

            def answer(status, headers, *more):
                gone = status.startswith("404") and deleted(environ)
                return start_response(status, headers + ([("x-amz-delete-marker", "true")] if gone else []), *more)

            return moto(environ, answer)
        say("refused:", environ["REQUEST_METHOD"], unquote(environ["PATH_INFO"]), why)
        start_response("403 Forbidden", [("Content-Type", "application/xml")])
        return [b"<Error><Code>SignatureDoesNotMatch</Code></Error>"]

    server = make_server("127.0.0.1", 0, checked, threaded=True)
    print("ready", server.port, flush=True)
    server.serve_forever()


def ask(port, verb, *arguments):
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    s3 = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="eu-central-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}),
    )
    if verb == "create":
        place = {"LocationConstraint": "eu-central-1"}
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place, ObjectLockEnabledForBucket=True)
        return None
    if verb == "list":
        found = {}
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
            for version in page.get("Versions", []):
                found.setdefault(version["Key"], []).append(version["VersionId"])
        return found
    if verb == "download":
        folder, prefix = arguments
        import pathlib

        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            for found in page.get("Contents", []):
                place = pathlib.Path(folder, found["Key"].removeprefix(prefix))
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read())
        return None
    if verb == "retention":
        (key,) = arguments
        kept = s3.head_object(Bucket=BUCKET, Key=key)
        return {"mode": kept.get("ObjectLockMode"), "until": kept.get("ObjectLockRetainUntilDate", kept["LastModified"]).timestamp()}
    if verb == "delete-version":
        key, version = arguments
        try:
            s3.delete_object(Bucket=BUCKET, Key=key, VersionId=version)
        except ClientError as refused:
            return refused.response["Error"]["Code"]
        return "deleted"
    if verb == "delete":
        s3.delete_object(Bucket=BUCKET, Key=arguments[0])
        return None
    if verb == "replace":
        key, file = arguments
        with open(file, "rb") as body:
            s3.put_object(Bucket=BUCKET, Key=key, Body=body.read())
        return None
    raise SystemExit(f"unknown: {verb}")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        print(json.dumps(ask(*sys.argv[2:])))
