"""The catalogue of protocol checks, each put to this kernel and to ipykernel.

pytest tests/conformance/test_protocol_checks.py -k "pxkernel and silent"
"""

from pathlib import Path

import pytest
from protocol_checks import page
from protocol_checks.catalogue import CHECKS, Differs, OnlyHere
from protocol_checks.subject import Subject, is_there
from support import Watch

PROGRAMS = ("pxkernel", "ipykernel")


@pytest.fixture(scope="module")
def common():
    """The kernel of each program that most checks share; a new one after a check that failed."""
    kernels = {}
    watch = Watch()

    def get(program):
        if program not in kernels or kernels[program].process.poll() is not None:
            discard(program)
            kernels[program] = Subject(program, watch.environment())
        return kernels[program]

    def discard(program):
        if program in kernels:
            kernels.pop(program).shut_down()

    get.discard = discard
    yield get
    for program in PROGRAMS:
        discard(program)
    assert not watch.leaks()


@pytest.fixture
def subject(watch):
    """A function that starts a kernel for one check."""
    kernels = []

    def start(program, **options):
        kernels.append(Subject(program, watch.environment(), **options))
        return kernels[-1]

    yield start
    for kernel in kernels:
        kernel.shut_down()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("program", PROGRAMS)
def test_check(program, check, common, subject):
    if program == "ipykernel" and isinstance(check.ipykernel, OnlyHere):
        pytest.skip(check.ipykernel.why)
    if not is_there(program):
        pytest.skip(f"{program} is not installed: `make test` sets it up")
    if check.own:
        assert check.observe(subject(program, **(check.start or {}))) == check.expected_of(program)
        return
    kernel = common(program)
    try:
        kernel.settle()
        assert check.observe(kernel) == check.expected_of(program), check.sentence
    except BaseException:
        common.discard(program)
        raise


def test_differences_are_differences():
    for check in CHECKS:
        if isinstance(check.ipykernel, Differs):
            assert check.ipykernel.value != check.expected, check.name
            assert check.ipykernel.why, check.name


def test_there_are_many():
    assert len(CHECKS) >= 150


def test_the_page_is_up_to_date():
    path = Path(__file__).parents[2] / "docs" / "protocol-checks.md"
    assert path.read_text() == page.text(), "run: make protocol-checks"
