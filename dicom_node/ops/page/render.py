"""Templates and texts to an answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dicom_node import __version__
from dicom_node.language import LANGUAGES
from dicom_node.node_report import OpsPlan, PagePlan
from dicom_node.ops.page import show
from dicom_node.ops.page.tokens import Tokens
from dicom_node.ops.page.users import User
from dicom_node.ops.page.words import Words, all_words, preferred

LANGUAGE_COOKIE = "lumbar-language"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is asking, and in which language.

    Parameters
    ----------
    user
        None if nobody we know.
    """

    user: User | None
    words: Words

    @property
    def bound_to(self) -> str:
        """What the tokens of forms are bound to."""
        return "" if self.user is None else self.user.session


class Renderer:
    """Makes pages."""

    def __init__(self, plan: OpsPlan, page: PagePlan, tokens: Tokens) -> None:
        self.style = (_FOLDER / "style.css").read_text("utf-8")
        self.words = all_words()
        self._tokens = tokens
        self._page = page
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals.update(
            moment=show.moment,
            span=show.span,
            size=show.size,
            amount=show.amount,
            code=show.code,
            ae_title=plan.ae_title,
            version=__version__,
            languages=LANGUAGES,
        )

    def words_for(self, request: Request) -> Words:
        """Return the texts in the language that was chosen, or that is preferred."""
        chosen = request.cookies.get(LANGUAGE_COOKIE, "")
        if chosen not in self.words:
            chosen = preferred(request.headers.get("accept-language", ""))
        return self.words[chosen]

    def page(
        self,
        name: str,
        request: Request,
        asker: Asker,
        values: Mapping[str, Any] | None = None,
        status: int = 200,
    ) -> HTMLResponse:
        """Return one page.

        Parameters
        ----------
        name
            Of its template.
        values
            What the template needs.
        """

        def query_with(language: str) -> str:
            kept = [
                (k, v) for k, v in request.query_params.multi_items() if k != "lang"
            ]
            return urlencode([*kept, ("lang", language)])

        knows = asker.user is not None or not self._page.asks_who
        context = {
            "t": asker.words,
            "user": asker.user,
            "token": lambda path: self._tokens.make(asker.bound_to, path),
            "here": name,
            "now_s": time.time(),
            "query_with": query_with,
            "shows_nav": knows,
            "may_act": asker.user is not None and self._page.actions,
            **(values or {}),
        }
        text = self._templates.get_template(f"{name}.html").render(context)
        language = {"content-language": asker.words.language}
        return HTMLResponse(text, status, headers=language)

    def problem(
        self, kind: str, request: Request, asker: Asker, status: int, detail: str = ""
    ) -> HTMLResponse:
        """Return a page that says why there is no other."""
        values = {"problem": kind, "detail": detail}
        return self.page("problem", request, asker, values, status)
