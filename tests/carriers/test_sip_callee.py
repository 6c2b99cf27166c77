"""Whom a call of ours is for, as people write it."""

import pytest

from gateway.carriers.sip.callee import trunk_named_by

TRUNKS = ("acme", "my_carrier")


@pytest.mark.parametrize(
    ("callee", "trunk"),
    [
        ("sip:+15551230001@acme", "acme"),
        ("sip:anna%20b@my_carrier", "my_carrier"),
        ("SIP:100@ACME", "acme"),
        ("sip:*72@acme", "acme"),
    ],
)
def test_the_host_is_the_name_of_a_trunk(callee: str, trunk: str):
    assert trunk_named_by(callee, TRUNKS) == trunk


@pytest.mark.parametrize(
    "callee",
    [
        "",
        "+15551230001",
        "+15551230001@acme",
        "tel:+15551230001",
        "sip:acme",
        "sips:+15551230001@acme",
        "sip:+15551230001@acme:5060",
        "sip:+15551230001@acme;transport=tcp",
        "sip:+15551230001@acme?Subject=x",
        "sip:+15551230001:secret@acme",
        "sip:+1 555@acme",
    ],
)
def test_anything_else_is_refused_without_its_number(callee: str):
    with pytest.raises(ValueError, match="expected sip:NUMBER@TRUNK") as refused:
        trunk_named_by(callee, TRUNKS)

    assert "555123" not in str(refused.value).replace("+15551230001@acme", "")


def test_a_name_that_is_no_trunks_is_told_with_those_that_are():
    with pytest.raises(ValueError, match='no such trunk; did you mean "acme"\\? known: acme, my_carrier'):
        trunk_named_by("sip:1@acne", TRUNKS)
