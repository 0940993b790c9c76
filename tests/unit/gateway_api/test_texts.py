"""What people may write as a name."""

import pytest

from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.texts import MAX_TEXT, check_text


@pytest.mark.parametrize("text", ["", "Pozo 7", " Pozo 7 ", "井戸", "x" * MAX_TEXT])
def test_what_can_be_read_or_is_left_out_may_stand(text: str) -> None:
    check_text(text, "name")


@pytest.mark.parametrize("text", [" ", "\u00a0\u2003", "x" * (MAX_TEXT + 1), "a\x00b", "\ud800"])
def test_what_nobody_can_read_is_refused_by_field(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        check_text(text, "name")
    assert refusal.value.field == "name"
