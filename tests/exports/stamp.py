"""What another library (PyPI rfc3161-client) says of a time stamp: stamp.py REPLY DATA ROOT.pem"""
import sys

from cryptography.x509 import load_pem_x509_certificate
from rfc3161_client import VerifierBuilder, decode_timestamp_response

read = lambda name: open(name, "rb").read()
reply = decode_timestamp_response(read(sys.argv[1]))
verifier = VerifierBuilder().add_root_certificate(load_pem_x509_certificate(read(sys.argv[3]))).build()
assert verifier.verify_message(reply, read(sys.argv[2]))
print("verified", reply.tst_info.gen_time.isoformat())
