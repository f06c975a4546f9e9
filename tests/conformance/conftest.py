"""The two versions of CCF's public package that everything here is compared with."""

import pytest

from tests.conformance.ccf_package import VERSIONS, CcfPackage


@pytest.fixture(scope="session", params=VERSIONS)
def ccf(request: pytest.FixtureRequest) -> CcfPackage:
    """The package in one of its versions; skips where that is not installed."""
    package = CcfPackage(request.param)
    if not package.python.is_file():
        pytest.skip(f"no ccf {package.version} at {package.python}: scripts/oracle installs it")
    return package
