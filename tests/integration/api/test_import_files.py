"""Files that an import takes and refuses, whatever they hold."""

from typing import Any

import pytest

from integration.api.house import ApiHouse
from integration.api.importing import POINTS, imported, upload


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "body", "field"),
        [
            ("code\n", {}, "map.delimiter"),
            ('code,device\n"a,b\n', {}, "file"),
            ("[{]", {}, "file"),
            ("code,code\n", {}, "file"),
            ("code,device," + "x" * 200_000 + "\n", {}, "file"),
            ("PAR1 and nothing more", {}, "file"),
            ("code,device\n\\ud800,d\n", {"map": {"encoding": "unicode_escape"}}, "file"),
            ("code,device\n+2AA-,d\n", {"map": {"encoding": "utf-7"}}, "file"),
            ("code,device\n", {"map": {"columns": {"code": "nowhere"}}}, "map.columns.code"),
            ("code,device\n", {"map": {"columns": {"colour": "code"}}}, "map.columns.colour"),
            ("code,device\n", {"map": {"delimiter": "--"}}, "map.delimiter"),
            ("code,device\n", {"map": {"column": {}}}, "map"),
            ('code,lat,lon\na,"1,234","1,234"\n', {}, "map.decimal"),
        ],
    )
    async def test_file_that_cannot_be_used_is_told_why(
        self, api: ApiHouse, content: str, body: dict[str, Any], field: str
    ) -> None:
        await upload(api.admin, content)
        answer = await api.admin.post("/api/import/", json={"kind": "points", **body})
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (422, field), answer.text

    @pytest.mark.parametrize(
        "content",
        [
            "sep=;\r\ncode;device;name\r\na;m-a;Ñuñoa\r\n",
            "\ufeffsep=|\ncode|device|name\na|m-a|Ñuñoa\n",
            "\n\ncode,device,name\na,m-a,Ñuñoa\n",
            "code;device;name;;;\r\na;m-a;Ñuñoa;;;\r\n;;;;;\r\n;;;;;\r\n",
            "code;device;name\r\na;m-a;Ñuñoa;;;\r\n",
            "code,device,,name\na,m-a,,Ñuñoa\n",
            "code,device,name\ra,m-a,Ñuñoa\r",
            'code,device,name\na,m-a,"Ñuñoa"\n\n',
        ],
    )
    async def test_tables_as_spreadsheets_write_them_say_the_same(self, api: ApiHouse, content: str) -> None:
        report = await imported(api.admin, content)
        assert (report["rows"], report["created"], report["refused"]) == (1, 1, 0), report
        assert (await api.admin.get("/api/points/a")).json()["name"] == "Ñuñoa"

    async def test_windows_characters_are_read_as_they_were_written(self, api: ApiHouse) -> None:
        await imported(api.admin, "code;device;name\r\na;m-a;“Ñuble” – 5 €\r\n".encode("cp1252"))
        assert (await api.admin.get("/api/points/a")).json()["name"] == "“Ñuble” – 5 €"

    async def test_file_that_was_cut_in_the_middle_refuses_its_last_row_alone(self, api: ApiHouse) -> None:
        report = await imported(api.admin, "code,device,name\na,m-a,A\nb,m-")
        assert (report["created"], report["refused"], report["steps"][-1]["row"]) == (1, 1, 3)

    async def test_spreadsheet_itself_is_refused_with_a_word_on_what_to_do(self, api: ApiHouse) -> None:
        answer = await api.admin.post("/api/import/upload", files={"file": ("old.xlsx", b"PK\x03\x04\x14\x00\x06")})
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (422, "file")
        assert "save the sheet as CSV" in answer.text

    async def test_same_key_imports_once(self, acme: ApiHouse) -> None:
        await upload(acme.admin, POINTS)
        admin = acme.admin
        admin.headers["Idempotency-Key"] = "take-over-1"
        first, second = [await admin.post("/api/import/", json={"kind": "points"}) for _ in range(2)]
        assert first.json()["created"] == 2
        assert second.content == first.content
