"""Best paths and posteriors of the HMM VAD by k2 (optional; docs/vad.md says how to install it).

The topology is an FSA: a chain of states for silence and one for speech, the last of each with a loop. It is
intersected with the utterances' scores: 0 for silence and the ratio for speech, less the larger of the two, or
scores would grow out of what k2 can tell apart.

``intersect_dense`` counts frames in 16 bits, and from 65,535 frames on gives an empty lattice without a word.
A longer utterance goes through it in pieces, exactly: the scores with which paths arrive at the end of a piece
are those with which the next one begins, and on the way back what follows a piece weighs the states at its end.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xvkd.errors import UserError
from xvkd.features.vad_hmm import VadHmmConfig, batches

_PIECE_FRAMES = 30000
# Of a lattice before it is pruned; at 15 million k2 prunes harder than it was told.
_MOST_STATES = 1 << 22
# What arrives at the end of a piece far behind the best may still win: nothing is pruned on the way there.
_NO_BEAM = 1e6
_SILENCE, _SPEECH, _FINAL = 0, 1, -1  # labels; the last is k2's own


def decode(ratios: Sequence[np.ndarray], config: VadHmmConfig) -> list[np.ndarray]:
    """The best path of each utterance; arguments, result and the choice among paths of one score are those of
    :func:`xvkd.features.vad_viterbi.decode`.

    Raises:
        UserError: k2 is not installed, or built for another version of torch.
    """
    return [path == _SPEECH for path in _K2(config, log=False)(ratios)]


def posteriors(ratios: Sequence[np.ndarray], config: VadHmmConfig) -> list[np.ndarray]:
    """The probability of speech in each frame, from the lattice: float64 (frames,) each."""
    return [np.clip(chances, 0, 1) for chances in _K2(config, log=True)(ratios)]


class _K2:
    """Best paths, or in the logarithmic semiring posteriors, with the topology of a configuration.

    States are numbered as paths of one score are to be chosen: k2 prefers the arc from the last of them, and so
    stays in a loop. A segment that may be one frame long needs a state of its own before the loop for that.
    """

    def __init__(self, config: VadHmmConfig, log: bool) -> None:
        self._k2, self._torch = _import()
        self._config, self._log = config, log
        self._transitions: list[tuple[int, int, float]] = []  # from, to, cost
        lengths = [max(frames, 2) for frames in (config.min_silence_frames, config.min_speech_frames)]
        self._last_silence, self._last_speech = lengths[0], sum(lengths)
        self._most_frames = _MOST_STATES // self._last_speech
        self._piece_frames = min(_PIECE_FRAMES, self._most_frames)
        for first, last, frames, other in (
            (1, lengths[0], config.min_silence_frames, lengths[0] + 1),
            (lengths[0] + 1, sum(lengths), config.min_speech_frames, 1),
        ):
            self._transitions += [(state, state + 1, 0.0) for state in range(first, last)] + [(last, last, 0.0)]
            self._transitions += [(state, other, config.grid_cost) for state in range(first + frames - 1, last + 1)]

    def __call__(self, ratios: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Labels or posteriors of each utterance."""
        found = [np.zeros(0)] * len(ratios)
        whole = [ratio if len(ratio) <= self._piece_frames else ratio[:0] for ratio in ratios]
        for batch in batches(whole, self._most_frames):
            batch.reverse()  # k2 wants the longest first
            graph = self._graph(self._beginnings(), self._endings())
            results = self._read(self._lattice(graph, [ratios[index] for index in batch], self._config.k2_beam))
            for index, (values, _) in zip(batch, results, strict=True):
                found[index] = self._checked(values, ratios[index])
        for index, ratio in enumerate(ratios):
            if len(ratio) > self._piece_frames:
                found[index] = self._in_pieces(ratio)
        return found

    def _beginnings(self) -> list[tuple[float, int, int]]:
        """An utterance's first arcs: score, state, and the state they come from. The recording cuts its segment."""
        return [(0.0, self._last_silence, 0), (0.0, self._last_speech, 0)]

    def _endings(self) -> dict[int, float]:
        """Scores of the states in which an utterance may end: all, as the recording cuts its segment."""
        return dict.fromkeys(range(1, self._last_speech + 1), 0.0)

    def _in_pieces(self, ratio: np.ndarray) -> np.ndarray:
        pieces = np.array_split(ratio, -(-len(ratio) // self._piece_frames))
        beginnings, arrivals = [self._beginnings()], []
        for piece in pieces[:-1]:
            scores = self._arrivals(self._lattice(self._graph(beginnings[-1], self._endings()), [piece], _NO_BEAM))
            beginnings.append([(scores[a] - cost, b, a) for a, b, cost in self._transitions if a in scores])
            arrivals.append(scores)
        endings, found = self._endings(), []
        for piece, beginning in zip(pieces[::-1], beginnings[::-1], strict=True):
            lattice = self._lattice(self._graph(beginning, endings), [piece], self._config.k2_beam)
            values, origins = self._read(lattice)[0]
            found.append(self._checked(values, piece))
            if arrivals:
                scores = arrivals.pop()
                endings = {state: weight - scores[state] for state, weight in origins.items()}
        return np.concatenate(found[::-1])

    def _graph(self, beginnings: list[tuple[float, int, int]], endings: dict[int, float]) -> Any:
        """The FSA; its arcs know the state that they come from."""
        final = self._last_speech + 1
        arcs = [(0, state, score, origin) for score, state, origin in beginnings]
        arcs += [(state, to, -cost, state) for state, to, cost in self._transitions]
        arcs += [(state, final, score, state) for state, score in endings.items()]
        arcs.sort(key=lambda arc: (arc[0], arc[1], arc[3]))
        labels = [_FINAL if to == final else int(to > self._last_silence) for _, to, _, _ in arcs]
        lines = [f"{arc[0]} {arc[1]} {label} {arc[2]}" for arc, label in zip(arcs, labels, strict=True)]
        graph = self._k2.Fsa.from_str("\n".join([*lines, str(final)]))
        graph.origin = self._torch.tensor([arc[3] for arc in arcs], dtype=self._torch.int32)
        return self._k2.arc_sort(graph)

    def _lattice(self, graph: Any, ratios: list[np.ndarray], beam: float) -> Any:
        """All paths through each utterance (the longest first) that are within the beam of its best one."""
        torch = self._torch
        scores = torch.zeros(len(ratios), len(ratios[0]), 2)
        for row, ratio in enumerate(ratios):
            scores[row, : len(ratio), _SILENCE] = torch.from_numpy(-np.maximum(ratio, 0)).float()
            scores[row, : len(ratio), _SPEECH] = torch.from_numpy(np.minimum(ratio, 0)).float()
        segments = torch.tensor([[row, 0, len(ratio)] for row, ratio in enumerate(ratios)], dtype=torch.int32)
        lattice = self._k2.intersect_dense(
            self._k2.create_fsa_vec([graph] * len(ratios)), self._k2.DenseFsaVec(scores, segments), beam,
            frame_idx_name="frame",
        )  # fmt: skip
        found = np.diff(lattice.arcs.shape().row_splits(1).numpy())
        if len(found) != len(ratios) or not found.all():
            raise UserError(
                f"k2 found no path through an utterance of {len(ratios[int(np.argmin(found))])} frames; use "
                "--vad-backend viterbi"
            )
        return lattice

    def _arrivals(self, lattice: Any) -> dict[int, float]:
        """The score of each state at the end of the one utterance of a lattice, relative to the best."""
        arcs = lattice.arcs.values()
        final = arcs[:, 2] == _FINAL
        scores = lattice.get_forward_scores(use_double_scores=True, log_semiring=self._log)[arcs[final, 0].long()]
        states = lattice.origin[final].tolist()
        return dict(zip(states, (scores - scores.max()).tolist(), strict=True))

    def _read(self, lattice: Any) -> list[tuple[np.ndarray, dict[int, float]]]:
        """Labels or posteriors of each utterance, and the states before its first frame with their log weights."""
        return self._posteriors(lattice) if self._log else self._best_paths(lattice)

    def _best_paths(self, lattice: Any) -> list[tuple[np.ndarray, dict[int, float]]]:
        best = self._k2.shortest_path(lattice, use_double_scores=True)
        labels, origins = best.labels.contiguous().numpy(), best.origin.contiguous().numpy()
        ends = np.flatnonzero(labels == _FINAL)
        return [
            (labels[begin:end], {int(origins[begin]): 0.0})
            for begin, end in zip([0, *ends[:-1] + 1], ends, strict=True)
        ]

    def _posteriors(self, lattice: Any) -> list[tuple[np.ndarray, dict[int, float]]]:
        shape = lattice.arcs.shape()
        utterance = shape.row_ids(1)[shape.row_ids(2).long()].numpy()
        label, frame, origin = lattice.labels.numpy(), lattice.frame.numpy(), lattice.origin.numpy()
        chances = lattice.get_arc_post(use_double_scores=True, log_semiring=True).exp().numpy()
        lengths = np.zeros(shape.dim0, np.int64)
        lengths[utterance[label == _FINAL]] = frame[label == _FINAL]
        starts = np.cumsum(lengths) - lengths
        speech, first = label == _SPEECH, frame == 0
        values = np.bincount(starts[utterance[speech]] + frame[speech], chances[speech], minlength=lengths.sum())
        weights = np.zeros((shape.dim0, self._last_speech + 1))
        np.add.at(weights, (utterance[first], origin[first]), chances[first])
        return [
            (own, {state: np.log(row[state]) for state in np.flatnonzero(row).tolist()})
            for own, row in zip(np.split(values, starts[1:]), weights, strict=True)
        ]

    def _checked(self, values: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        if len(values) != len(ratio):
            raise UserError(f"k2 gave {len(values)} frames for {len(ratio)}; use --vad-backend viterbi")
        return values


def _import() -> tuple[Any, Any]:
    """k2 and torch, which nothing else here needs."""
    try:
        import k2
        import torch
    except (ImportError, OSError) as error:
        raise UserError(
            f"--vad-backend k2: k2 cannot be imported ({' '.join(str(error).split())}); install a k2 that is built "
            "for your torch (docs/vad.md says how; requirements-k2.txt has one for torch 1.13.1), or leave "
            "--vad-backend viterbi, which finds the same paths"
        ) from None
    return k2, torch
