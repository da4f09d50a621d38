"""Slices in, class probabilities out, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.inference.card import MODELS, ModelCard, read_card, read_verified
from analysis.inference.normalise import normalise_slices, with_neighbours

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["ModelCard", "Segmenter", "load_segmenter"]

_INPUT = "slices"


class Segmenter:
    """A network ready to run.

    One slice is run at a time, so memory is bounded by the size of a slice and not
    by their number; the same input gives the same output, bit by bit, with the same
    number of threads.

    Parameters
    ----------
    card
        What the network is.
    session
        Its verified graph and weights.
    """

    card: ModelCard

    def __init__(self, card: ModelCard, session: InferenceSession) -> None:
        self.card = card
        self._session = session

    def probabilities(
        self, slices: NDArray[np.float32], part: slice = slice(None)
    ) -> NDArray[np.float32]:
        """Return the probability of each class in each pixel.

        Parameters
        ----------
        slices : ndarray, shape (K, R, C)
            Raw grey values on any linear scale, on the network's grid
            (`card.spacing_mm`); rows run from head to foot, columns from front to
            back. Values that are not finite count as 0.
        part
            Slices to label; the others are looked at only as neighbours.

        Returns
        -------
        ndarray, shape (slices in `part`, classes, R, C), float32
            Softmax probabilities, always finite. A slice without contrast is
            background.

        Raises
        ------
        ValueError
            If `slices` has not three axes or its slices are empty.
        """
        if slices.ndim != 3 or 0 in slices.shape[1:]:  # noqa: PLR2004 - (K, R, C)
            message = f"slices: expected shape (K, R, C), got {slices.shape}"
            raise ValueError(message)
        count, rows, columns = slices.shape
        chosen = range(count)[part]
        result = np.zeros(
            (len(chosen), len(self.card.classes), rows, columns), np.float32
        )
        result[:, 0] = 1.0
        padding = [(0, -n % self.card.stride) for n in (rows, columns)]
        grey = normalise_slices(slices, self.card.normalisation)
        for place, index in enumerate(chosen):
            if not grey[index].any():
                continue
            seen = with_neighbours(grey, index, self.card.context)
            padded = np.pad(seen, [(0, 0), *padding], mode="edge")[None]
            (shares,) = self._session.run(None, {_INPUT: padded})
            result[place] = shares[0, :, :rows, :columns]
        return result


def load_segmenter(
    name: str = "lumbar", *, threads: int = 2, folder: Path | None = None
) -> Segmenter:
    """Load a network after checking its graph and its weights against its card.

    Parameters
    ----------
    name
        Which network; the stem of its files.
    threads
        CPU threads within one operation. They sleep while they wait: spinning
        threads would starve other processes on the same cores.
    folder
        Where the files lie; by default, in this package.

    Raises
    ------
    AnalysisFailed
        If a file is missing or has not the digest that the card promises.
    """
    folder = folder or MODELS
    card = read_card(name, folder)
    graph = read_verified(folder / f"{name}.onnx", card.graph_sha256)
    weights_path = folder / f"{name}.safetensors"
    weights = read_verified(weights_path, card.weights_sha256)

    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    # The graph names the weights file; the bytes just verified stand in for it.
    options.add_external_initializers_from_files_in_memory(
        [weights_path.name], [weights], [len(weights)]
    )
    session = onnxruntime.InferenceSession(
        graph, options, providers=["CPUExecutionProvider"]
    )
    return Segmenter(card, session)
