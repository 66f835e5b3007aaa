"""What the chart's tests share: each runs with every Helm and, where it asks for `objects`, every ci/*-values.yaml."""

import os
import pathlib
import sys

import pytest

import helm as helms

# It wants a cluster's programs: make chart-cluster.
collect_ignore = [] if os.environ.get("CLUSTER") else ["test_cluster.py"]
sys.path.append(str(helms.ROOT / "tests"))

HELMS = helms.all_helms()
if len(HELMS) < 2:
    raise pytest.UsageError("the Helms are missing: run tests/chart/setup first")


def pytest_addoption(parser):
    parser.addoption("--accept", action="store_true", help="take what is rendered now for golden")


@pytest.fixture(params=HELMS, ids=repr, scope="session")
def helm(request):
    return request.param


@pytest.fixture(params=helms.CI, scope="session")
def case(request):
    """The name of a file of values, without -values.yaml."""
    return request.param


@pytest.fixture(scope="session")
def values(case):
    return helms.CI[case]


@pytest.fixture
def objects(helm, values):
    return helm.objects("-f", values)


@pytest.fixture(scope="session")
def accept(request):
    if request.config.getoption("--accept") and os.environ.get("CI"):
        pytest.exit("nothing is accepted in CI", returncode=2)
    return request.config.getoption("--accept")


@pytest.fixture(scope="session")
def millrace():
    path = pathlib.Path(os.environ.get("MILLRACE", helms.ROOT / "build/millrace")).resolve()
    if not path.exists():
        pytest.fail(f"{path} is not there: run make first, or set MILLRACE")
    return path
