"""What stands beside the rooms: figures, and the documentation with its own assets, for sites without internet."""

from importlib.resources import files

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from caudal.gateway_api.entrypoints.answers import answer, room
from caudal.gateway_api.entrypoints.door import TheDoor
from caudal.gateway_api.entrypoints.schemas.windows import Figures

system = room("system")

ASSETS = "/docs/assets"


@system.get("/metrics", response_model=Figures)
async def figures(door: TheDoor) -> Response:
    """The platform in three numbers; `/metrics/prometheus` has all of them."""
    return answer(await door.figures())


def add_documentation(app: FastAPI) -> None:
    """Serve `/docs` with Swagger UI from this machine."""
    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="docs assets")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=app.openapi_url or "/openapi.json",
            title=app.title,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
            swagger_ui_parameters={"persistAuthorization": True, "tryItOutEnabled": True},
        )
