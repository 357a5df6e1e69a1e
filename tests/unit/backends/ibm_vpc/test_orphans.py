"""What may go of what is left in the cloud."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lithops.backends.ibm_vpc import names
from lithops.backends.ibm_vpc.names import Name, Scope
from lithops.backends.ibm_vpc.orphans import GRACE, ORDER, RESULTS_KEPT, Known, Rules, Thing, orphans

NOW = 1_000_000.0
ONE, TWO = (Scope.of_executor("0123abcd", f"{n}-0") for n in (1, 2))
CAREFUL, ALL = Rules(everything=False), Rules(everything=True)
STATES = ["pending", "starting", "running", "restarting", "stopping", "stopped", "deleting", "failed"]
WORKING = Known(heard=True, ends_at=NOW + 100)


def thing(role: str, scope: Scope = ONE, number: int | None = None, status: str = "") -> Thing:
    name = scope.name(role, number)
    return Thing(name=Name(scope, role, number), text=name, kind=role, id=f"id-of-{name}", status=status)


def network(scope: Scope = ONE) -> list[Thing]:
    return [thing(role, scope) for role in ORDER if role not in (names.VM, names.DISK)]


@pytest.mark.parametrize(
    ("status", "known", "goes"),
    [
        ("running", WORKING, False),
        ("running", Known(heard=True, ends_at=None), False),
        ("running", Known(heard=True, ends_at=NOW - GRACE), False),
        ("running", Known(heard=True, ends_at=NOW - GRACE - 1), True),
        ("running", Known(), True),
        ("pending", Known(), True),
        ("stopping", Known(), False),
        ("stopped", Known(), True),
        ("stopped", Known(ends_at=NOW - 10, has_results=True), False),
        ("stopped", Known(ends_at=NOW - RESULTS_KEPT, has_results=True), True),
        ("stopped", Known(ends_at=NOW - 10), True),
        ("failed", WORKING, True),
        ("deleting", WORKING, True),
    ],
)
def test_a_machine_of_a_program_that_has_ended(status: str, known: Known, goes: bool) -> None:
    machine = thing(names.VM, number=0, status=status)
    found = orphans([*network(), machine], {ONE: False}, {machine.text: known}, CAREFUL, NOW)
    assert [each for each, _ in found] == ([machine, *network()] if goes else [])


@pytest.mark.parametrize("status", STATES)
def test_nothing_goes_of_a_program_that_runs(status: str) -> None:
    machine = thing(names.VM, number=0, status=status)
    assert orphans([*network(), machine], {ONE: True}, {}, CAREFUL, NOW) == []
    assert orphans(network(), {ONE: True}, {}, CAREFUL, NOW) == []


def test_machines_that_are_to_stay_when_off_do() -> None:
    off = thing(names.VM, number=0, status="stopped")
    rules = Rules(everything=False, keep_stopped=frozenset([ONE]))
    assert orphans([*network(), off], {}, {}, rules, NOW) == []
    assert [each for each, _ in orphans([*network(), off], {}, {}, ALL, NOW)] == [off, *network()]


things = st.lists(
    st.one_of(
        st.builds(
            thing,
            st.just(names.VM),
            st.sampled_from([ONE, TWO]),
            st.integers(0, 3),
            st.sampled_from(STATES),
        ),
        st.builds(thing, st.sampled_from(ORDER[1:]), st.sampled_from([ONE, TWO])),
    ),
    unique_by=lambda each: each.text,
)
knowledge = st.builds(
    Known,
    heard=st.booleans(),
    ends_at=st.none() | st.floats(NOW - 2 * RESULTS_KEPT, NOW + 1000),
    has_results=st.booleans(),
)


@given(things, st.dictionaries(st.sampled_from([ONE, TWO]), st.booleans()), st.data())
def test_a_machine_that_stays_keeps_its_network(
    there: list[Thing], living: dict[Scope, bool], data: st.DataObject
) -> None:
    known = {each.text: data.draw(knowledge) for each in there if each.name.role == names.VM}
    gone = [each for each, why in orphans(there, living, known, CAREFUL, NOW) if why]
    places = [ORDER.index(each.name.role) for each in gone]
    assert places == sorted(places)
    for each in gone:
        assert not living.get(each.name.scope, False)
        if each.name.role != names.VM:
            mates = [m for m in there if m.name.role == names.VM and m.name.scope == each.name.scope]
            assert all(mate in gone for mate in mates)
    assert {each for each, _ in orphans(there, living, known, ALL, NOW)} == set(there)
