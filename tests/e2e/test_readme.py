"""The README's tour, run as printed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120

pytestmark = pytest.mark.e2e


def _blocks(language: str) -> list[str]:
    text = (ROOT / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def _checkout(folder: Path) -> None:
    """Lay the project out as a clone has it, with the environment that runs this test."""
    for name in ("scripts", "pyproject.toml", "ledger", "governance", "app_samples", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(sys.prefix)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_tour_runs_as_printed(tmp_path: Path, free_port: int) -> None:
    _checkout(tmp_path)
    trap = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"
    script = "\n".join(["set -e -m", trap, *_blocks("sh")])
    script = script.replace("8000", str(free_port))
    script = script.replace("scripts/sandbox", f"{Path(sys.prefix) / 'bin' / 'quorate'} sandbox")
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    for expected in (
        "preference-applied: wait-for-commit",
        '{"msg":"hello"}',
        '"status":"Committed"',
        "InvalidAuthenticationInfo",
        "VerifiedReceipt(",
        "Accepted",
        "sound",
    ):
        assert expected in output, f"{expected!r} is missing in:\n{output}"


def test_the_application_of_the_readme_works() -> None:
    (source,) = _blocks("python")
    namespace: dict[str, object] = {}
    exec(compile(source, "banking.py", "exec"), namespace)

    from ledger.app import App  # noqa: PLC0415
    from ledger.testing.app_client import AppClient  # noqa: PLC0415

    app = namespace["app"]
    assert isinstance(app, App)
    client = AppClient(app)
    user = client.user()
    assert user.post("/accounts/alice", json={"amount": 5}).json() == 5
    assert user.post("/accounts/alice", json={"amount": 7}).json() == 12
    assert user.post("/accounts/alice", json={"amount": 0}).status == 400


@pytest.fixture(name="free_port")
def _free_port() -> int:
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
