"""What a start says of itself."""

from pathlib import Path

import pytest

from caudal.cli.local.platform import Admin, LocalPlatform, Options
from caudal.cli.local.terminal import Terminal
from caudal.cli.local.up import introduce


@pytest.mark.parametrize("is_made_up", [True, False])
def test_a_password_is_shown_if_it_was_made_up_and_not_if_somebody_chose_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_made_up: bool
) -> None:
    terminal = Terminal()
    platform = LocalPlatform(Options(tmp_path, 0), terminal)
    platform.admin = Admin(email="ana@example.com", password="correct-horse", is_made_up=is_made_up)
    introduce(platform, terminal)
    said = capsys.readouterr().err
    assert "ana@example.com" in said
    assert ("correct-horse" in said) == is_made_up
