"""Loading the application: what is wrong with it is told in one sentence, with its place."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app_samples.logging.app import app
from ledger.base.errors import MisuseError
from ledger.launch.apps import BrokenApplicationError, load_app


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "loaded_package"
    root.mkdir()
    (root / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "loaded_package"]:
        del sys.modules[name]


def test_an_application_is_loaded() -> None:
    assert load_app("app_samples.logging.app:app") is app


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\n\nundefined\n",
            "which raised NameError at loaded_package/bad.py:3 when it was imported: name 'undef",
        ),
        (
            "app = 1\ndef handler(:\n",
            "which raised SyntaxError at loaded_package/bad.py:2 when it was imported: invalid",
        ),
        (
            "import json\njson.loads('{')\n",
            "which raised JSONDecodeError at loaded_package/bad.py:2 when it was imported: ",
        ),
        (
            "raise SystemExit(3)",
            "which raised SystemExit at loaded_package/bad.py:1 when it was imported: 3",
        ),
    ],
)
def test_what_it_raises_is_told_with_its_place(package: Path, text: str, said: str) -> None:
    (package / "bad.py").write_text(text)
    with pytest.raises(BrokenApplicationError) as caught:
        load_app("loaded_package.bad:app")
    assert str(caught.value).startswith(f"got application 'loaded_package.bad:app', {said}")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "loaded_package.absent:app",
            "cannot be imported: No module named 'loaded_package.absent'",
        ),
        ("loaded_package:app", "whose module has no 'app', want ledger.app.App"),
        ("loaded_package:__name__", "which is str, want ledger.app.App"),
    ],
)
def test_what_is_no_application(package: Path, name: str, said: str) -> None:
    del package
    with pytest.raises(MisuseError) as caught:
        load_app(name)
    assert str(caught.value).startswith(f"got application {name!r}, ")
    assert said in str(caught.value)
