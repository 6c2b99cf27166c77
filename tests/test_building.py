from typing import Any, cast

import pytest

from gateway.building import CallBuilder
from gateway.incoming import NewCall
from gateway.settings import Settings, Traces

NUMBER = "+15551234567"


@pytest.mark.parametrize("keep_numbers", [False, True])
def test_the_record_has_the_numbers_in_headers_only_where_numbers_are_kept(keep_numbers: bool):
    nothing = cast("Any", None)
    settings = Settings(traces=Traces(keep_numbers=keep_numbers))
    builder = CallBuilder(settings, nothing, nothing, folder=None, pseudonyms=None)
    headers = {"Diversion": f"<sip:{NUMBER}@carrier.example>;reason=busy"}

    kept = builder._headers(NewCall(carrier="sip", carrier_call="1", caller="", called="", headers=headers))

    assert (NUMBER in kept["Diversion"]) is keep_numbers
    assert kept["Diversion"].endswith("reason=busy")
