"""CCF's public readers on our ledgers: sound ones pass, and each defect has the known verdict.

The verdicts show two things: that the ledgers with one defect are consistent otherwise (the
reader accepts them), and which defects only our audit notices.
"""

import json
from pathlib import Path

from ledger.audit.cutting import cut
from tests.conformance.ccf_package import CcfPackage
from tests.unit.audit import ledger_writer as lw
from tests.unit.audit.defects import MISSED, REFUSED

SCRIPT = Path(__file__).with_name("oracle_verdicts.py")


def test_verdicts(tmp_path: Path, ccf: CcfPackage) -> None:
    expected = {str(lw.sound().save(tmp_path / "sound")): True}
    names = {str(tmp_path / "sound"): "sound"}
    for number, defect in enumerate(MISSED + REFUSED):
        directory = str(defect.ledger().save(tmp_path / str(number)))
        expected[directory] = defect.ccf6 if ccf.major == 6 else defect.ccf7
        names[directory] = defect.name
    verdicts = json.loads(ccf.say(str(SCRIPT), *expected))
    wrong = {
        names[directory]: verdicts[directory] or "accepted"
        for directory, accepted in expected.items()
        if (verdicts[directory] is None) is not accepted
    }
    assert wrong == {}


def test_read_ledger_tool(tmp_path: Path, ccf: CcfPackage) -> None:
    lw.sound().save(tmp_path)
    said = ccf.say("-m", "ccf.read_ledger", "-q", "--uncommitted", str(tmp_path))
    assert "until 2.12" in said


def test_cut_is_what_split_ledger_makes(tmp_path: Path, ccf: CcfPackage) -> None:
    directory = lw.sound().save(tmp_path / "ledger")
    whole = directory / "ledger_1-5.committed"
    ours = tmp_path / "ours"
    theirs = tmp_path / "theirs"
    cut(whole, 4, ours)
    call = "import sys, ccf.split_ledger; ccf.split_ledger.run(sys.argv[1:])"
    ccf.say("-c", call, str(whole), "4", "--output-dir", str(theirs))
    made = {path.name: path.read_bytes() for path in ours.iterdir()}
    assert made == {path.name: path.read_bytes() for path in theirs.iterdir()}
    assert len(made) == 2
