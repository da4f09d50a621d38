"""All of the page, as routes."""

from __future__ import annotations

from starlette.routing import Route

from dicom_node.node_report import PagePlan
from dicom_node.ops.page.deeds import Deeds
from dicom_node.ops.page.desk import Desk
from dicom_node.ops.page.pages import Pages
from dicom_node.ops.page.render import Renderer
from dicom_node.ops.page.tokens import Tokens
from dicom_node.ops.page.users import Gate
from dicom_node.ops.watch import Watch


def page_routes(watch: Watch, page: PagePlan) -> list[Route]:
    """Return the routes of the page."""
    desk, gate, tokens = Desk(watch.plan, page), Gate(page), Tokens()
    renderer = Renderer(watch.plan, page, tokens)
    pages = Pages(watch, page, desk, gate, renderer)
    deeds = Deeds(watch.plan.hosts, pages, desk, gate, tokens)
    return [*pages.routes(), *deeds.routes()]
