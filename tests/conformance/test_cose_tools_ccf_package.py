"""Messages that the public tools sign parse and verify here; ours verify with the package.

``ccf_cose_sign1`` signs with a key file; ``ccf_cose_sign1_prepare`` gives a digest to be signed
elsewhere and ``ccf_cose_sign1_finish`` takes the signature.
"""

import base64
import datetime
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils

from ledger.base.ids import MemberId
from ledger.crypto.certs import Certificate, self_signed_caller
from ledger.crypto.cose import ALGORITHMS
from ledger.crypto.cose_governance import (
    ABOUT_A_PROPOSAL,
    MessageType,
    parse_request,
    prepare_request,
    sign_request,
    verify_request,
)
from ledger.crypto.keys import Curve, SigningKey, curve_hash
from tests.conformance.ccf_package import CcfPackage

MOMENT = datetime.datetime(2025, 6, 1, 12, 30, 15, tzinfo=datetime.UTC)
PROPOSAL = "ab" * 32
# openssl's command is what members make their keys with.
CURVE_NAMES = {Curve.P256: "prime256v1", Curve.P384: "secp384r1", Curve.P521: "secp521r1"}
BODIES = [b'{"actions": [{"name": "always_accept_noop"}]}', b"", b"\x00\xff"]


class Member:
    """A member's key and certificate as files, and a body to sign."""

    def __init__(self, curve: Curve, directory: Path, ccf: CcfPackage) -> None:
        self.ccf = ccf
        self.key = SigningKey.generate(curve)
        start = int(MOMENT.timestamp())
        self.certificate = self_signed_caller(self.key, "CN=member0", 30, start)
        self.id = MemberId(self.certificate.id)
        self.directory = directory
        (directory / "key.pem").write_text(self.key.to_pem())
        (directory / "cert.pem").write_text(self.certificate.pem)
        (directory / "body").write_bytes(b"")

    def run(self, tool: str, kind: MessageType, *more: str) -> bytes:
        """Run one of the package's commands on this member's files; what it prints."""
        command = [self.ccf.tool(tool), "--content", "body"]
        command += ["--signing-cert", "cert.pem", "--ccf-gov-msg-type", kind.value]
        command += ["--ccf-gov-msg-created_at", MOMENT.isoformat()]
        if kind in ABOUT_A_PROPOSAL:
            command += ["--ccf-gov-msg-proposal_id", PROPOSAL]
        result = subprocess.run(
            [*command, *more], cwd=self.directory, capture_output=True, check=False, timeout=60
        )
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout


@pytest.fixture(params=list(Curve), ids=lambda curve: curve.value)
def member(request: pytest.FixtureRequest, tmp_path: Path, ccf: CcfPackage) -> Member:
    return Member(request.param, tmp_path, ccf)


def _check(data: bytes, member: Member, kind: MessageType, body: bytes) -> None:
    request = parse_request(data)
    verify_request(request, member.certificate.public_key)
    assert request.member == member.id
    assert request.type is kind
    assert request.created_at == int(MOMENT.timestamp())
    assert request.proposal_id == (PROPOSAL if kind in ABOUT_A_PROPOSAL else None)
    assert request.payload == body


@pytest.mark.parametrize("body", BODIES)
def test_signed_with_a_key_file(member: Member, body: bytes) -> None:
    (member.directory / "body").write_bytes(body)
    for kind in (MessageType.PROPOSAL, MessageType.BALLOT):
        data = member.run("ccf_cose_sign1", kind, "--signing-key", "key.pem")
        _check(data, member, kind, body)


@pytest.mark.parametrize("kind", list(MessageType))
def test_every_type(tmp_path: Path, kind: MessageType, ccf: CcfPackage) -> None:
    member = Member(Curve.P384, tmp_path, ccf)
    _check(member.run("ccf_cose_sign1", kind, "--signing-key", "key.pem"), member, kind, b"")


def test_signed_in_two_steps(member: Member) -> None:
    """The digest of ``prepare`` is signed as a vault does, and ``finish`` packs it."""
    kind = MessageType.BALLOT
    prepared = json.loads(member.run("ccf_cose_sign1_prepare", kind))
    ours = prepare_request(
        member.key.curve,
        member.id,
        kind,
        b"",
        created_at=int(MOMENT.timestamp()),
        proposal_id=PROPOSAL,
    )
    # Version 6 of the package says the name, version 7 the number of the algorithm.
    assert prepared["alg"] in (ours.algorithm, ALGORITHMS[member.key.curve])
    digest = base64.b64decode(prepared["value"])
    signature = _sign_digest(member, digest)
    text = base64.urlsafe_b64encode(signature).decode()
    (member.directory / "signature.json").write_text(json.dumps({"value": text}))
    data = member.run("ccf_cose_sign1_finish", kind, "--signature", "signature.json")
    _check(data, member, kind, b"")


def _sign_digest(member: Member, digest: bytes) -> bytes:
    algorithm = ec.ECDSA(utils.Prehashed(curve_hash(member.key.curve)))
    first, second = utils.decode_dss_signature(member.key.library_key.sign(digest, algorithm))
    size = member.key.curve.size
    return first.to_bytes(size, "big") + second.to_bytes(size, "big")


def test_certificates_made_with_openssl(member: Member) -> None:
    """As the package's key generator makes them."""
    command = ["openssl", "ecparam", "-name", CURVE_NAMES[member.key.curve], "-genkey", "-noout"]
    subprocess.run([*command, "-out", "key.pem"], cwd=member.directory, check=True)
    command = ["openssl", "req", "-x509", "-new", "-key", "key.pem", "-subj", "/CN=m", "-sha384"]
    subprocess.run([*command, "-days", "2", "-out", "cert.pem"], cwd=member.directory, check=True)
    certificate = Certificate.parse((member.directory / "cert.pem").read_text())
    data = member.run("ccf_cose_sign1", MessageType.ACK, "--signing-key", "key.pem")
    request = parse_request(data)
    assert request.member == certificate.id
    verify_request(request, certificate.public_key)


# Prints, for each message, "" when the package verifies it, or what failed.
VERIFY_SCRIPT = """
import base64, json, sys
import ccf.cose
from cryptography.x509 import load_pem_x509_certificate as load

def check(message, pem):
    if hasattr(ccf.cose, "validate_cose_sign1"):
        ccf.cose.validate_cose_sign1(load(pem.encode()).public_key(), message)
    else:
        ccf.cose.verify_cose_sign1_with_cert(pem.encode(), message, use_key=False)

results = []
for message, pem in json.load(sys.stdin):
    try:
        check(base64.b64decode(message), pem)
        results.append("")
    except Exception as error:
        results.append(type(error).__name__ + ": " + str(error))
json.dump(results, sys.stdout)
"""


def test_the_package_verifies_our_messages(member: Member) -> None:
    messages = [
        sign_request(
            member.key,
            member.id,
            kind,
            b"{}",
            created_at=int(MOMENT.timestamp()),
            proposal_id=PROPOSAL if kind in ABOUT_A_PROPOSAL else None,
        )
        for kind in MessageType
    ]
    pem = member.certificate.pem
    good = [(base64.b64encode(message).decode(), pem) for message in messages]
    assert member.ccf.run(VERIFY_SCRIPT, good) == [""] * len(messages)
    other = self_signed_caller(
        SigningKey.generate(member.key.curve), "CN=other", 1, int(MOMENT.timestamp())
    )
    bad = [(good[0][0], other.pem)]
    assert all(member.ccf.run(VERIFY_SCRIPT, bad))
