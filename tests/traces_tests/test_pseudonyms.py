import re
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.traces import Pseudonyms
from gateway.traces.pseudonyms import KEY_NAME

KEY = bytes(range(32))


def test_a_number_has_a_name_that_does_not_show_it() -> None:
    # printf +14155551212 | openssl dgst -sha256 -mac HMAC -macopt hexkey:0001…1f -binary | base32 | cut -c1-10
    assert Pseudonyms(KEY).name("+14155551212") == "tel:rls4tbqpau"


@given(st.text(st.characters(codec=None), min_size=1))
def test_every_number_has_a_name_of_one_form(number: str) -> None:
    assert re.fullmatch("tel:[a-z2-7]{10}", Pseudonyms(KEY).name(number))


def test_the_same_number_has_the_same_name_and_another_has_another() -> None:
    names = Pseudonyms(KEY)

    assert names.name("+14155551212") == Pseudonyms(KEY).name("+14155551212")
    assert names.name("+14155551212") != names.name("+14155551213")


def test_another_key_gives_another_name() -> None:
    assert Pseudonyms(KEY).name("+14155551212") != Pseudonyms(bytes(32)).name("+14155551212")


def test_a_withheld_number_stays_empty() -> None:
    assert Pseudonyms(KEY).name("") == ""


def test_numbers_can_be_kept() -> None:
    assert Pseudonyms(KEY, keep_numbers=True).name("+14155551212") == "+14155551212"


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    first = Pseudonyms.load(tmp_path).name("+14155551212")

    assert Pseudonyms.load(tmp_path).name("+14155551212") == first
    assert [path.name for path in tmp_path.iterdir()] == [KEY_NAME]
    assert stat.S_IMODE((tmp_path / KEY_NAME).stat().st_mode) == 0o600


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    Pseudonyms.load(tmp_path / "calls")

    assert stat.S_IMODE((tmp_path / "calls").stat().st_mode) == 0o700


def test_many_that_start_together_get_one_key(tmp_path: Path) -> None:
    names: list[str] = []
    together = threading.Barrier(8)

    def load() -> None:
        together.wait()
        names.append(Pseudonyms.load(tmp_path).name("+14155551212"))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(names) == 8
    assert len(set(names)) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_NAME]


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33)])
def test_a_file_that_is_no_key_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_NAME).write_bytes(content)

    with pytest.raises(ValueError, match="does not hold a key of 32 bytes"):
        Pseudonyms.load(tmp_path)


def test_a_link_in_place_of_the_key_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(KEY)
    (tmp_path / KEY_NAME).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="symbolic links"):
        Pseudonyms.load(tmp_path)
