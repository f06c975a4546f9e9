"""Scripts for the interpreter of CCF's public package: what it says of receipts.

Each reads JSON from standard input, and prints a list with "" for each receipt that verifies and
what failed for the others.
"""

JSON_RECEIPTS = """
import json, sys
from hashlib import sha256
from cryptography.x509 import load_pem_x509_certificate as load
import ccf.receipt

def check(receipt, service):
    leaf = receipt.get("leaf")
    if leaf is None:
        parts = receipt["leaf_components"]
        leaf = sha256(
            bytes.fromhex(parts["write_set_digest"])
            + sha256(parts["commit_evidence"].encode()).digest()
            + bytes.fromhex(parts["claims_digest"])
        ).hexdigest()
    node = load(receipt["cert"].encode())
    service = load(service.encode())
    between = [load(pem.encode()) for pem in receipt.get("service_endorsements", [])]
    ccf.receipt.verify(ccf.receipt.root(leaf, receipt["proof"]), receipt["signature"], node)
    ccf.receipt.check_endorsements(node, service, between)
    ccf.receipt.check_cert_chain(node, service, between)

results = []
for receipt, service in json.load(sys.stdin):
    try:
        check(receipt, service)
        results.append("")
    except Exception as error:
        results.append(type(error).__name__ + ": " + str(error))
json.dump(results, sys.stdout)
"""
"""Takes pairs of a receipt and the service's certificate."""

COSE_RECEIPTS = """
import base64, json, sys
from cryptography.x509 import load_pem_x509_certificate as load
try:
    from ccf.receipt import verify_cose as verify
except ImportError:
    from ccf.cose import verify_receipt as verify

results = []
for receipt, service, claims in json.load(sys.stdin):
    try:
        key = load(service.encode()).public_key()
        verify(base64.b64decode(receipt), key, bytes.fromhex(claims))
        results.append("")
    except Exception as error:
        results.append(type(error).__name__ + ": " + str(error))
json.dump(results, sys.stdout)
"""
"""Takes triples of a receipt as base64, the service's certificate, and the claims digest as hex."""
