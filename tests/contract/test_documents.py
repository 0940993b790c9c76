"""Documents name what is there: links lead to files, commands and targets exist."""

import re
from pathlib import Path

import pytest
import typer

from caudal.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/*.md"), *ROOT.glob("cli/*.md")}
)
PAIRS = [
    ("README.md", "README.es.md"),
    ("docs/guides/local-mode.md", "docs/guides/modo-local.md"),
    ("docs/guides/containers.md", "docs/guides/contenedores.md"),
    ("docs/guides/providers.md", "docs/guides/proveedores.md"),
    ("docs/guides/grpc.md", "docs/guides/grpc.es.md"),
    ("docs/guides/access.md", "docs/guides/acceso.md"),
    ("docs/guides/points.md", "docs/guides/puntos.md"),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist(document: Path) -> None:
    text = document.read_text()
    group = typer.main.get_command(app)
    commands = set(group.commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"(?:`|bin/)caudal ([a-z][a-z-]*)", text)) <= commands
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE)) <= targets


@pytest.mark.parametrize(("english", "spanish"), PAIRS, ids=lambda name: Path(name).stem)
def test_both_languages_say_the_same_in_code_and_headings(english: str, spanish: str) -> None:
    def skeleton(name: str) -> tuple[int, int, list[str]]:
        text = (ROOT / name).read_text()
        code = re.findall(r"^(?:docker|curl|mosquitto_pub|make|cp|TOKEN).*$", text, re.MULTILINE)
        kept = [re.sub(r"\s+#.*|\"label\": \"\w+\"|readings.csv|lecturas.csv", "", line) for line in code]
        return len(re.findall(r"^#+ ", text, re.MULTILINE)), text.count("\n| "), kept

    assert skeleton(english) == skeleton(spanish)
