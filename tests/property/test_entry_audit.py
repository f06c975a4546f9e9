"""The audit ends in a report whatever the values of the tables it reads are, hashed as they are."""

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit.walk import audit
from ledger.codec import canonical
from ledger.codec.tables import SINGLETON_KEY
from tests.unit.audit import ledger_writer as lw

EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "60"))
FIELDS = (
    "cert",
    "status",
    "node",
    "root",
    "sig",
    "seqno",
    "view",
    "hash",
    "version",
    "next_version",
    "previous_ledger_secret",
    "retired_committed",
)
TABLES = (
    lw.SERVICE_INFO,
    lw.NODES_INFO,
    lw.NODES_ENDORSED,
    lw.SIGNATURES,
    lw.COSE_SIGNATURES,
    lw.TREE,
    "public:ccf.internal.snapshot_evidence",
    "public:ccf.internal.historical_encrypted_ledger_secret",
    "public:ccf.gov.service.previous_service_identity",
)
KEYS = (SINGLETON_KEY, lw.NODE.id.encode(), lw.OTHER_NODE.id.encode(), b"\xff", b"")
MEMBERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(
        [
            lw.SERVICE.certificate.pem,
            lw.OTHER_SERVICE.certificate.pem,
            lw.NODE.certificate.pem,
            lw.NODE.id,
            lw.OTHER_NODE.id,
            "Opening",
            "Open",
            "Recovering",
            "Trusted",
            "0" * 64,
            {"version": 1},
            [],
        ]
    ),
)
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), MEMBERS, max_size=6).map(canonical.dumps)
MESSAGES = st.binary(max_size=60).map(
    lambda data: canonical.dumps(canonical.b64encode(b"\xd2\x84" + data))
)
PEMS = st.sampled_from(
    [lw.NODE.certificate.pem.encode(), lw.OTHER_NODE.certificate.pem.encode(), b"-----BEGIN"]
)
VALUES = st.one_of(st.none(), st.binary(max_size=80), OBJECTS, MESSAGES, PEMS)
WRITES = st.dictionaries(
    st.sampled_from(TABLES), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=2), max_size=3
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(WRITES, st.sampled_from([0, 0, 1, 2])), max_size=4))
def test_any_values_end_in_a_report(batch: list[tuple[dict[str, Any], int]]) -> None:
    writer = lw.LedgerWriter()
    writer.genesis()
    for changes, flags in batch:
        writer.write(changes, flags=flags)
    writer.sign()
    with tempfile.TemporaryDirectory() as directory:
        report = audit([writer.save(Path(directory))], secrets={1: lw.SECRET})
    assert report.entries == 5 + len(batch)
    canonical.dumps(report.to_json())
