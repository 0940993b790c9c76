"""Variables and owners from an older system; on both databases."""

from integration.api.house import ApiHouse
from integration.api.importing import POINTS, counts, imported, refusals

VARIABLES = (
    "punto,codigo,tipo,minimo,maximo,pulsos_por_litro\n"
    "pozo-1,total,totalizador,,,0.1\n"
    "pozo-1,level,nivel,0,80.5,\n"
    "rio-2,flow,caudal,,,\n"
)


class TestVariables:
    async def test_variables_go_into_their_points_once(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        report = await imported(acme.admin, VARIABLES, "variables")
        assert counts(report) == (3, 0, 0, 0)
        assert counts(await imported(acme.admin, VARIABLES, "variables")) == (0, 0, 3, 0)
        level = (await acme.admin.get("/api/variables/pozo-1/level")).json()
        assert (level["type"], level["limits"]["max"]) == ("level", 80.5)
        total = (await acme.admin.get("/api/variables/pozo-1/total")).json()
        assert total["counter"]["meter"]["pulses_per_liter"] == 0.1

    async def test_refusals_name_the_field_of_the_variable(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        rows = "point,code,type,min,max\nnone,a,flow,,\npozo-1,b,speed,,\npozo-1,c,flow,5,1\npozo-1,d,,,\n"
        report = await imported(acme.admin, rows, "variables")
        assert [(row, field) for row, field, _ in refusals(report)] == [
            (2, "point"),
            (3, "type"),
            (4, "limits.min"),
            (5, "type"),
        ]


class TestOwners:
    async def test_owners_are_named_by_their_address(self, acme: ApiHouse) -> None:
        await imported(acme.admin, POINTS)
        user = await acme.add_user(email="ana@acme.test", role="client_user", client="acme")
        await acme.add_user(email="eva@other.test", role="client_user", client="other")
        rows = (
            "correo;punto;tipo;permisos\n"
            "Ana@acme.test;pozo-1;Primario;points:read, telemetry:read\n"
            "eva@other.test;pozo-1;PRIMARY;\n"
            "nobody@acme.test;pozo-1;PRIMARY;\n"
            "ana@acme.test;nothing;PRIMARY;\n"
            "ana@acme.test;rio-2;BOSS;\n"
            "ana@acme.test;rio-2;SECONDARY;users:write\n"
        )
        report = await imported(acme.admin, rows, "owners")
        assert [(row, field) for row, field, _ in refusals(report)] == [
            (3, "user"),
            (4, "user"),
            (5, "point"),
            (6, "kind"),
            (7, "permissions"),
        ]
        assert counts(await imported(acme.admin, rows, "owners")) == (0, 0, 1, 5)
        changed = "email,point,kind,permissions\nana@acme.test,pozo-1,PRIMARY,points:read\n"
        report = await imported(acme.admin, changed, "owners")
        assert report["steps"][0]["changes"] == {"permissions": [["points:read", "telemetry:read"], ["points:read"]]}
        [owner] = (await acme.admin.get("/api/users/owners/")).json()["items"]
        assert (owner["user"], owner["point"], owner["permissions"]) == (user, "pozo-1", ["points:read"])
