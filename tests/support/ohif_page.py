"""What a reader does in OHIF, and what he sees there, for a test."""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.browser import WITHIN_S, Browser
from tests.support.peers import wait_until

_VIEWPORT = "cornerstone.getRenderingEngines()[0].getViewports()[0]"
_SERIES = "[data-series]"
_SHOWN = """(number) =>
  [...services.viewportGridService.getState().viewports.values()]
    .flatMap((viewport) => viewport.displaySetInstanceUIDs)
    .some((uid) => services.displaySetService.getDisplaySetByUID(uid)?.SeriesNumber
      == number)"""
_NOTIFICATION = "[data-cy=viewport-notification]"
_SEGMENTATIONS = "cornerstoneTools.segmentation.state.getSegmentations()"


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """One series, as the study browser shows it."""

    number: int
    modality: str
    description: str
    images: int


@dataclass(frozen=True, kw_only=True)
class Label:
    """A block of text beside an outline, and where it begins and ends (px)."""

    lines: tuple[str, ...]
    top: float
    bottom: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Places in the patient: `rows` times `columns` of them, in one plane.

    Parameters
    ----------
    sop_uid
        Of the image in which they lie.
    origin, row_step, column_step : ndarray, shape (3,)
        The first place, the way to the next row and to the next column (mm, LPS).
    """

    sop_uid: str
    origin: NDArray[np.float64]
    row_step: NDArray[np.float64]
    column_step: NDArray[np.float64]
    rows: int
    columns: int

    def asked(self) -> dict[str, Any]:
        """Return it in the words of the page."""
        return {
            "origin": self.origin.tolist(),
            "rowStep": self.row_step.tolist(),
            "columnStep": self.column_step.tolist(),
        }


_COLOURS = f"""
(grid) => {{
  const viewport = {_VIEWPORT};
  const {{ canvas }} = viewport;
  const {{ data }} = canvas.getContext("2d")
    .getImageData(0, 0, canvas.width, canvas.height);
  const scale = window.devicePixelRatio;
  const onCanvas = (row, column) => {{
    const place = grid.origin.map(
      (x, i) => x + row * grid.rowStep[i] + column * grid.columnStep[i]
    );
    return viewport.worldToCanvas(
      grid.inImage
        ? cornerstone.utilities.imageToWorldCoords(
            viewport.getCurrentImageId(), [place[0], place[1]])
        : place
    );
  }};
  // All of it is affine: three places give the others.
  const first = onCanvas(0, 0);
  const below = onCanvas(grid.rows, 0);
  const beside = onCanvas(0, grid.columns);
  const between = (row, column) => first.map(
    (x, i) => x + (row / grid.rows) * (below[i] - x)
      + (column / grid.columns) * (beside[i] - x)
  );
  let seen = "";
  for (let row = 0; row < grid.rows; row++) {{
    for (let column = 0; column < grid.columns; column++) {{
      const [x, y] = between(row, column);
      const inside =
        x >= 0 && y >= 0 && x * scale < canvas.width && y * scale < canvas.height;
      const at =
        4 * (Math.floor(y * scale) * canvas.width + Math.floor(x * scale));
      for (let i = 0; i < 3; i++)
        seen += String.fromCharCode(inside ? data[at + i] : 0);
    }}
  }}
  return btoa(seen);
}}
"""


class OhifPage:
    """OHIF in a browser, at one study.

    Parameters
    ----------
    origin
        Where OHIF is served.
    """

    def __init__(self, browser: Browser, origin: str) -> None:
        self._browser = browser
        self._origin = origin
        self._study_uid = ""
        self._opened: set[int] = set()
        # The tour for newcomers lies over everything.
        browser.ask("remember", "shownTours", '["basicViewerTour"]')

    def list_studies(self, patient_id: str) -> str:
        """Open the list of studies, and return its text once it names a patient."""
        self._study_uid = ""
        self._browser.ask("open", f"{self._origin}/")
        self._wait("(name) => document.body.innerText.includes(name)", patient_id)
        text: str = self._look("() => document.body.innerText")
        return text

    def open_study(
        self, study_uid: str, series: int, *, after: Collection[int] = ()
    ) -> None:
        """Open a study, and return once its series are listed and an image is shown.

        A page is kept that is at the study already.

        Parameters
        ----------
        series
            How many there are.
        after
            Series that may have been opened since in a page that is kept.
        """
        if self._study_uid == study_uid and self._opened <= set(after):
            return
        self._opened.clear()
        url = f"{self._origin}/viewer?StudyInstanceUIDs={study_uid}"
        self._browser.ask("open", url)
        self._wait(
            f"(count) => document.querySelectorAll('{_SERIES}').length >= count", series
        )
        self._wait(
            "() => window.cornerstone?.getRenderingEngines()?.[0]?.getViewports()?.[0]"
            "?.getImageData?.() != null"
        )
        self._study_uid = study_uid

    def thumbnails(self) -> list[Thumbnail]:
        """Return the series of the study, by number."""
        shown = self._look(
            f"""() => [...document.querySelectorAll('{_SERIES}')].map((one) => ({{
                number: Number(one.dataset.series),
                lines: one.innerText.split("\\n").map((line) => line.trim())
                          .filter((line) => line),
            }}))"""
        )
        found = [
            Thumbnail(
                number=one["number"],
                modality=one["lines"][0],
                description=one["lines"][1],
                images=int(one["lines"][-1]),
            )
            for one in shown
        ]
        return sorted(found, key=lambda one: one.number)

    def open_series(self, number: int) -> None:
        """Open a series in the viewport, as by hand."""
        self._opened.add(number)
        thumbnail = f'[data-series="{number}"]'
        self._browser.ask("doubleClickUntil", thumbnail, _SHOWN, number)

    def open_segmentation(self, number: int) -> None:
        """Open a SEG on its images."""
        self.open_series(number)
        self._browser.ask(
            "clickUntil",
            f"{_NOTIFICATION} >> text=Yes",
            f"() => {_SEGMENTATIONS}.length > 0 && !({_SHOWN})({number})"
            f" && document.querySelector('{_NOTIFICATION}') === null",
        )

    def open_segment_list(self) -> None:
        """Open the list of segments.

        It makes the viewport smaller, in steps: cheap before a SEG is drawn there.
        """
        self._browser.ask(
            "clickUntil",
            "[data-cy=panelSegmentation-btn]",
            "() => document.querySelector('[data-cy=segmentation-config-toggle]')"
            " !== null",
        )

    def segments(self) -> list[tuple[str, tuple[int, ...]]]:
        """Return name and colour (red, green, blue) of each segment in the list."""
        self._wait("() => document.querySelector('[data-cy=data-row]') !== null")
        rows = self._look(
            """() => [...document.querySelectorAll('[data-cy=data-row]')].map((row) => {
                const dot = row.querySelector('[data-cy=data-row-colorhex]');
                const all = [dot, ...dot.querySelectorAll('*')];
                const colours = all.map((one) => one.style.backgroundColor);
                return [row.querySelector('[data-cy=data-row-title]').innerText.trim(),
                    colours.find((colour) => colour).match(/\\d+/g).map(Number)];
            })"""
        )
        return [(name, tuple(colour[:3])) for name, colour in rows]

    def show(self, sop_uid: str) -> None:
        """Show one image of the series in the viewport."""
        self._look(
            f"""async (uid) => {{
                const viewport = {_VIEWPORT};
                const place = viewport.getImageIds().findIndex(
                    (id) => id.includes(`/instances/${{uid}}/`));
                if (viewport.getCurrentImageIdIndex() === place) viewport.render();
                else await viewport.setImageIdIndex(place);
            }}""",
            sop_uid,
        )

    def colours(self, grid: Grid) -> NDArray[np.uint8]:
        """Return the colours that are seen at places in the patient.

        Returns
        -------
        ndarray, shape (rows, columns, 3), uint8
            Black outside the viewport.
        """
        return self._colours(grid.asked(), grid.rows, grid.columns)

    def colours_of_image(self, rows: int, columns: int, step: int) -> NDArray[np.uint8]:
        """Return the colours that are seen at every `step`-th pixel of the image."""
        asked = {
            "inImage": True,
            "origin": [0, 0],
            "rowStep": [0, step],
            "columnStep": [step, 0],
        }
        counts = len(range(0, rows, step)), len(range(0, columns, step))
        return self._colours(asked, *counts)

    def _colours(
        self, asked: dict[str, Any], rows: int, columns: int
    ) -> NDArray[np.uint8]:
        asked = {**asked, "rows": rows, "columns": columns}
        seen = base64.b64decode(self._look(_COLOURS, asked))
        return np.frombuffer(seen, np.uint8).reshape(rows, columns, 3)

    def place_of(self, points: Sequence[Sequence[float]]) -> NDArray[np.float64]:
        """Return where points of the patient (mm) are on the page (px)."""
        places = self._look(
            f"""(points) => {{
                const viewport = {_VIEWPORT};
                const box = viewport.canvas.getBoundingClientRect();
                return points.map((point) => {{
                    const [x, y] = viewport.worldToCanvas(point);
                    return [x + box.left, y + box.top];
                }});
            }}""",
            [list(map(float, point)) for point in points],
        )
        return np.array(places)

    def shown_image(self) -> str:
        """Return the address of the image in the viewport."""
        address: str = self._look(f"() => {_VIEWPORT}.getCurrentImageId()")
        return address

    def labels(self) -> list[Label]:
        """Return the blocks of text in the viewport, once there are any.

        OHIF learns which outlines belong to a report after it has asked for the image,
        and does not draw again: on a slow machine they stay away until the reader
        scrolls or zooms. Here the viewport is asked to draw.
        """
        self._browser.ask(
            "evaluateUntil",
            "() => cornerstone.getRenderingEngines()[0]?.getViewports()[0]?.render()",
            "() => document.querySelector('svg text tspan') !== null",
        )
        blocks = self._look(
            """() => [...document.querySelectorAll('svg text')].map((text) => {
                const { top, bottom } = text.getBoundingClientRect();
                const lines = [...text.children].map((line) => line.textContent);
                return { lines, top, bottom };
            }).filter((block) => block.lines.length)"""
        )
        return [Label(**{**one, "lines": tuple(one["lines"])}) for one in blocks]

    def outlines(self) -> list[NDArray[np.float64]]:
        """Return the lines that are drawn in the viewport: (x, y) on the page (px)."""
        lines = self._look(
            """() => [...document.querySelectorAll('svg polyline')].map((line) => {
                const box = line.ownerSVGElement.getBoundingClientRect();
                return [...line.points].map(({x, y}) => [x + box.left, y + box.top]);
            })"""
        )
        return [np.array(line) for line in lines if line]

    def document(self) -> bytes:
        """Return the PDF in the viewport, once there is one."""
        found = "document.querySelector('object[type=\"application/pdf\"]')"
        self._wait(f"() => {found}?.data.startsWith('blob:')")
        text: str = self._look(
            f"""async () => {{
                const answer = await fetch({found}.data);
                const bytes = new Uint8Array(await answer.arrayBuffer());
                return btoa(bytes.reduce((s, one) => s + String.fromCharCode(one), ""));
            }}"""
        )
        return base64.b64decode(text)

    def picture(self, path: Path) -> None:
        """Keep what the page looks like."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._browser.ask("picture", str(path))

    def until(self, condition: Callable[[], bool], *, what: str) -> None:
        """Look again and again until the condition holds.

        Raises
        ------
        TimeoutError
            If it does not within the time; names a picture of the page.
        """
        try:
            wait_until(condition, within_s=WITHIN_S, every_s=0.5, what=what)
        except TimeoutError as error:
            message = f"{error}\n{self._browser.seen()}"
            raise TimeoutError(message) from error

    def complaints(self) -> list[str]:
        """Return the errors that the page did not catch."""
        found: list[str] = self._browser.ask("complaints")
        return found

    def hosts(self) -> set[str]:
        """Return the hosts that the page asked for anything."""
        return set(self._browser.ask("hosts"))

    def _wait(self, code: str, given: Any = None) -> None:
        self._browser.ask("wait", code, given)

    def _look(self, code: str, given: Any = None) -> Any:
        return self._browser.ask("evaluate", code, given)
