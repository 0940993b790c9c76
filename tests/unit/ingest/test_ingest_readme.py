"""The README of ingest names every setting and every option."""

from pathlib import Path

from caudal.common.domain.payloads.refusals import Refusal
from caudal.ingest.domain.options import MISSING, Options
from caudal.ingest.settings import IngestSettings

README = (Path(__file__).parents[3] / "services" / "ingest" / "README.md").read_text(encoding="utf-8")


def test_readme_names_every_setting_with_its_default() -> None:
    for name, field in IngestSettings.model_fields.items():
        row = next(line for line in README.splitlines() if f"`CAUDAL_{name.upper()}`" in line)
        default = row.rsplit("|", 2)[1].strip().strip("`")
        assert default == "" if field.default is None else type(field.default)(default) == field.default, name


def test_readme_names_every_option_and_every_class_of_reasons() -> None:
    for name in Options.__struct_fields__:
        assert f"`{name}`" in README, name
    for text in MISSING:
        assert text in README.lower()
    for refusal in Refusal:
        assert refusal.value in README
