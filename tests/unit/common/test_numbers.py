"""Numbers as text, and switches as numbers."""

import pytest

from caudal.common.domain.payloads.numbers import MAX_TEXT, number_reader, switch_reader


@pytest.mark.parametrize("word", ["true", "on", "open", "yes", "ON", " Open "])
def test_a_switch_that_is_on_is_1(word: str) -> None:
    assert switch_reader(number_reader())(word) == 1


@pytest.mark.parametrize("word", ["false", "off", "closed", "no", "OFF", " Closed "])
def test_a_switch_that_is_off_is_0(word: str) -> None:
    assert switch_reader(number_reader())(word) == 0


def test_switches_are_read_where_the_mapping_says_so_alone_and_numbers_stay_numbers() -> None:
    assert switch_reader(number_reader())(True) == 1
    assert switch_reader(number_reader())("2.5") == 2.5
    assert switch_reader(number_reader())("perhaps") == "'perhaps' is no number"
    assert number_reader()("on") == "'on' is no number"
    assert number_reader()(True) == "true is no number"


def test_a_number_as_text_has_a_bounded_length() -> None:
    longest = "1." + "0" * (MAX_TEXT - 2)
    assert number_reader()(longest) == 1.0
    assert isinstance(number_reader()(longest + "0"), str)


@pytest.mark.parametrize(
    "text", ["1.234", "1,234.5", "12.34,5", "1.2345", "1_000", "１２", "0x10", "1e", "--1", "1 000"]
)
def test_what_fits_the_declared_separators_not_quite_is_no_number(text: str) -> None:
    assert isinstance(number_reader(decimal=",")(text), str)


def test_thousands_stand_in_groups_of_three_or_not_at_all() -> None:
    read = number_reader(decimal=",", thousands=".")
    assert [read(text) for text in ("1.234,5", "1234,5", "12.345.678", "999")] == [1234.5, 1234.5, 12_345_678, 999]
    assert [type(read(text)) for text in ("1.23,4", "1234.567", ".234", "1..234")] == [str] * 4
