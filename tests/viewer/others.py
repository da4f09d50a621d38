"""Every kind of result in viewers other than OHIF: `make other-viewers`.

dwv and a page of Cornerstone3D get the files themselves, Orthanc's Web Viewer asks its
archive. What is seen is compared with what was sent, and with the same turned left to
right, which must fail.
"""

from __future__ import annotations

import functools
import json
import mimetypes
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from analysis.contract.plugin import Writing
from dicom_node.encode.result_context import ROLES
from dicom_node.plugins.analyse_series import Analysed, analyse_series
from dicom_node.plugins.registry import Registry, installed
from dicom_node.work.encode import encode_series
from tests.support.browser import Browser, BrowserError
from tests.support.encoded import REQUEST
from tests.support.orthanc import DICOM_WEB_PLUGIN, Orthanc
from tests.support.peers import free_port, run_dcmtk

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "deploy/demo/series"
SITE = ROOT / "build/other-viewers"
PICTURES = ROOT / "build/artefacts/other-viewers"
PLUGIN = "/usr/share/orthanc/plugins/libOrthancWebViewer.so"
BEGIN = "<!-- made by make other-viewers -->"
END = "<!-- end of other viewers -->"
SIZE = 1000
OBJECTS = ("mr", "sc_01", "seg", "seg-labelmap", "sr", "pdf", "gsps_01", "no frame")
SLICE = 4
"""Which the viewers are shown, of nine: the middle one."""
DARK = 40
COLOURED = 10
"""Range of the channels of a pixel that is not grey, below a thin colour, too."""
SAME = 0.85
SETTLE_S = 3.0

Picture = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one viewer made of one object."""

    viewer: str
    what: str
    text: str
    fooled: bool = False


class Served(SimpleHTTPRequestHandler):
    """A folder, with what browsers want for shared memory."""

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def end_headers(self) -> None:
        """Add what isolates the page."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder, and yield its address."""
    mimetypes.add_type("text/javascript", ".js")
    handler = functools.partial(Served, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def encoded(folder: Path) -> Analysed:
    """Write the bundled series and its results, as files with short names."""
    paths = sorted(DEMO.rglob("*.dcm"))
    plugin = Registry(installed()).get("lumbar-mri")
    analysed = analyse_series(paths, plugin, threads=2, writing=Writing(language="en"))
    files = {
        str(dcmread(one, stop_before_pixels=True).SOPInstanceUID): one for one in paths
    }
    for number, source in enumerate(analysed.decoded.sources):
        image = files[str(source.SOPInstanceUID)]
        shutil.copyfile(image, folder / f"mr_{number:02d}.dcm")
    for kind, roles in (("binary", ROLES), ("labelmap", ("seg",))):
        request = replace(REQUEST, objects=roles, segmentation=kind)
        for one in encode_series(analysed, request):
            name = one.name if kind == "binary" else f"{one.name}-{kind}"
            one.dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)
    return analysed


def on_canvas(image: NDArray[np.uint8], size: tuple[int, int]) -> Picture:
    """Return an image as a viewer fits it into its canvas, in the middle, grey."""
    width, height = size
    scale = min(width / image.shape[1], height / image.shape[0])
    fitted = (
        Image.fromarray(image)
        .convert("L")
        .resize((round(image.shape[1] * scale), round(image.shape[0] * scale)))
    )
    canvas = Image.new("L", size)
    canvas.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
    return np.asarray(canvas, dtype=np.float64)


def likeness(seen: Picture, sent: Picture) -> float:
    """Return the correlation of two pictures; 0 if one is of one colour."""
    if seen.std() == 0 or sent.std() == 0:
        return 0.0
    return float(np.corrcoef(seen.ravel(), sent.ravel())[0, 1])


def dice(seen: NDArray[np.bool_], sent: NDArray[np.bool_]) -> float:
    """Return how much of two regions is the same."""
    return float(2 * (seen & sent).sum() / max(seen.sum() + sent.sum(), 1))


def judged(
    viewer: str, what: str, path: Path, labels: NDArray[np.uint8], data: Path
) -> Seen:
    """Compare a picture of a viewer with what was sent, of which it is given files."""
    shown = np.asarray(Image.open(path).convert("RGB")).astype(float)
    if not (shown.max(axis=2) > DARK).any():
        return Seen(viewer=viewer, what=what, text="nothing")
    size = (SIZE, SIZE)
    if what == "seg":
        coloured = np.ptp(shown, axis=2) > COLOURED
        region = on_canvas((255 * (labels > 0)).astype(np.uint8), size) > 127
        same, turned = dice(coloured, region), dice(coloured, region[:, ::-1])
        text = f"drawn in its colours, Dice {same:.2f}"
    elif what in ("mr", "sc_01"):
        grey = shown.mean(axis=2)
        sent = on_canvas(picture_of(what, data), size)
        same, turned = likeness(grey, sent), likeness(grey, sent[:, ::-1])
        text = f"shown, correlation {same:.2f}"
    else:
        is_page = viewer == "dwv"
        text = "the images alone" if is_page else "as grey pixels, without the images"
        return Seen(viewer=viewer, what=what, text=text)
    if same < SAME:
        text = f"not as it was sent ({same:.2f})"
    return Seen(viewer=viewer, what=what, text=text, fooled=turned >= SAME)


def picture_of(what: str, data: Path) -> NDArray[np.uint8]:
    """Return the pixels that were sent: a slice, or the first capture."""
    if what == "sc_01":
        return np.asarray(dcmread(data / "sc_01.dcm").pixel_array, dtype=np.uint8)
    source = dcmread(data / f"mr_{SLICE:02d}.dcm")
    voxels = source.pixel_array.astype(np.float64)
    centre, width = (
        float(np.atleast_1d(source.get(key))[0])
        for key in ("WindowCenter", "WindowWidth")
    )
    return (255 * np.clip((voxels - centre) / width + 0.5, 0, 1)).astype(np.uint8)


def in_page(
    viewer: str, what: str, origin: str, labels: NDArray[np.uint8], data: Path
) -> Seen:
    """Show one object in a page, over the images where it belongs to them."""
    images = [f"{origin}/data/mr_{number:02d}.dcm" for number in range(9)]
    # dwv looks for all images of a SEG, and goes to its middle slice.
    one = images if what.startswith("seg") else [images[SLICE]]
    path = PICTURES / f"{viewer}-{what.replace(' ', '-')}.png"
    if what == "mr":
        sets = [one]
    elif what == "no frame":
        sets = [[f"{origin}/data/sc_01.dcm?frame=99"]]
    else:
        alone = what in ("sc_01", "pdf")
        sets = [*([] if alone else [one]), [f"{origin}/data/{what}.dcm"]]
    with Browser(
        modules=ROOT / "build/npm/node_modules", failures=PICTURES, size=(SIZE, SIZE)
    ) as browser:
        browser.ask("open", f"{origin}/{viewer}.html")
        browser.ask("wait", "() => window.show", None)
        said: list[str] = []
        with suppress(BrowserError):
            said = browser.ask("evaluate", "(sets) => window.show(sets)", sets)
        time.sleep(SETTLE_S)
        said += browser.ask("complaints")
        browser.ask("picture", str(path))
    seen = judged(viewer, what, path, labels, data)
    if said and seen.text in ("nothing", "the images alone"):
        return replace(seen, text=f"{seen.text}: {short(said[0])}")
    return seen


def short(text: str) -> str:
    """Return a complaint without addresses."""
    return text.removeprefix("Error: ").split(" for imageId")[0].replace("|", "/")


def in_orthanc(folder: Path) -> Iterator[Seen]:
    """Show each object in Orthanc's Web Viewer, alone, as it opens a series."""
    orthanc = _WithViewer(
        folder=folder / "orthanc", node_port=free_port(), routes_nothing=True
    )
    with orthanc:
        for path in sorted((folder / "data").glob("*.dcm")):
            run_dcmtk(
                "dcmsend", "-aec", "TESTPACS", "127.0.0.1", str(orthanc.dicom_port),
                str(path),
            )  # fmt: skip
        # The label map has the UID of the SEG in whose place it would go.
        held = {
            (str(tags["SOPInstanceUID"]), str(tags["SOPClassUID"])): one
            for one in orthanc.get("/instances")
            for tags in (orthanc.get(f"/instances/{one}/simplified-tags"),)
        }
        for what in OBJECTS[:-1]:
            name = f"mr_{SLICE:02d}" if what == "mr" else what
            sent = dcmread(folder / f"data/{name}.dcm")
            uid = str(sent.SOPInstanceUID), str(sent.SOPClassUID)
            if uid not in held:
                text = "the archive refuses it"
                yield Seen(viewer="orthanc", what=what, text=text)
                continue
            series = orthanc.get(f"/instances/{held[uid]}/series")["ID"]
            path = PICTURES / f"orthanc-{what}.png"
            with Browser(
                modules=ROOT / "build/npm/node_modules",
                failures=PICTURES,
                size=(SIZE, SIZE),
            ) as browser:
                place = f"http://127.0.0.1:{orthanc.http_port}/web-viewer/app"
                browser.ask("open", f"{place}/viewer.html?series={series}")
                time.sleep(2 * SETTLE_S)
                browser.ask("picture", str(path))
            yield _by_eye(what, path)


def _by_eye(what: str, path: Path) -> Seen:
    """Say whether anything is drawn: the viewer writes its texts over every picture."""
    middle = np.asarray(Image.open(path).convert("L"))[120:880, 150:850]
    is_drawn = bool((middle > DARK).mean() > 0.002)
    texts = {"seg": "frame by frame, white on black, without names and images"}
    text = texts.get(what, "shown") if is_drawn else "nothing"
    return Seen(viewer="orthanc", what=what, text=text)


@dataclass
class _WithViewer(Orthanc):
    def configure(self) -> Path:
        path = super().configure()
        settings = json.loads(path.read_text())
        settings["Plugins"] = [DICOM_WEB_PLUGIN, PLUGIN]
        path.write_text(json.dumps(settings, indent=1))
        return path


def main() -> int:
    """Look at every object in every viewer, and write the table into a document."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    found: list[Seen] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for one in SITE.iterdir():
            (folder / one.name).symlink_to(one.resolve())
        (folder / "data").mkdir()
        analysed = encoded(folder / "data")
        labels = analysed.result.segmentation.labels[SLICE]
        with served(folder) as origin:
            for viewer in ("dwv", "cornerstone"):
                for what in OBJECTS[:-1] if viewer == "dwv" else OBJECTS:
                    found.append(in_page(viewer, what, origin, labels, folder / "data"))
                    sys.stdout.write(f"{found[-1]}\n")
        for seen in in_orthanc(folder):
            found.append(seen)
            sys.stdout.write(f"{seen}\n")
    viewers = ("dwv", "cornerstone", "orthanc")
    texts = {(one.viewer, one.what): one.text for one in found}
    rows = "\n".join(
        f"| {what} | {' | '.join(texts.get((each, what), '-') for each in viewers)} |"
        for what in OBJECTS
    )
    heads = ("object", "dwv 0.36.4", "Cornerstone3D 5.14.0", "Orthanc Web Viewer 2.8")
    head = f"| {' | '.join(heads)} |"
    table = f"{head}\n|---|---|---|---|\n{rows}"
    document = Path(sys.argv[1])
    before, _, rest = document.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", "utf-8")
    return 1 if any(one.fooled for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
