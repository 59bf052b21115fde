"""From answers to what evaluation.json says. Shapes: N images of a set, n of them that count."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from deit.assessment.measuring import Answers
from deit.assessment.sets import ImageSet
from deit.assessment.subjects import Subject
from deit.evaluation.answers import HeadAnswers
from deit.evaluation.baselines import majority_accuracy, spread, wilson_interval
from deit.evaluation.calibration import expected_calibration_error, reliability
from deit.evaluation.confusion import class_accuracy, confusion
from deit.evaluation.disagreement import disagreement, mcnemar
from deit.evaluation.heads import chosen_head
from deit.models.class_names import readable

LABEL = "ground truth"
HEADS = {"class": "class head", "distill": "distillation head", "fused": "both heads", "fused_logits": "both heads"}
"""As the paper's Table 4 calls them."""

Record = dict[str, object]


def answering_head(subject: Subject) -> str:
    """The head to compare a network by: the fusion that it chose where there are two."""
    return chosen_head(subject.trained.student.two_heads, subject.trained.fusion)


def set_record(images: ImageSet, subjects: Sequence[Subject], answers: Sequence[Answers]) -> Record:
    """What all networks make of a set, each by itself and against each other."""
    seen = answers[0].seen
    assert all(np.array_equal(one.seen, seen) for one in answers), "whether an image can be read depends on no network"
    truth = _Truth(images, seen)
    networks = [
        network_record(images, truth, answer.heads, answering_head(subject))
        for subject, answer in zip(subjects, answers, strict=True)
    ]
    labelled = np.bincount(images.split.labels, minlength=len(images.classes))
    return {
        "name": images.name,
        "title": images.title,
        "origin": images.origin,
        "images": int(truth.counts.sum()),
        "of": len(images.split),
        "num_classes": images.num_classes,
        "classes_with_images": int((labelled > 0).sum()),
        "majority_acc1": truth.majority_accuracy(),
        "networks": networks,
        "comparison": compared(truth, subjects, answers),
    }


class _Truth:
    """What is right for the images that were seen."""

    def __init__(self, images: ImageSet, seen: NDArray[np.int64]) -> None:
        self.labels = images.split.labels[seen]
        self.allowed = None if images.allowed is None else [images.allowed[int(place)] for place in seen]
        is_labelled = [True] * len(seen) if self.allowed is None else [bool(one) for one in self.allowed]
        self.counts = np.array(is_labelled, dtype=np.bool_)
        """(N,) whether an image counts: without a ReaL label it does not."""

    def majority_accuracy(self) -> float:
        """Accuracy in percent of always naming the class that is right most often."""
        if self.allowed is None:
            return majority_accuracy(self.labels)
        votes = np.bincount([label for allowed in self.allowed for label in allowed])
        return 100 * float(votes.max(initial=0)) / max(1, int(self.counts.sum()))

    def hits(self, best: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n, k) whether each of the (N, k) decisions is right, of the images that count."""
        if self.allowed is None:
            return best == self.labels[:, None]
        rows = zip(best[self.counts].tolist(), (one for one in self.allowed if one), strict=True)
        return np.array([[decided in allowed for decided in row] for row, allowed in rows], dtype=np.bool_)


def network_record(images: ImageSet, truth: _Truth, heads: Mapping[str, HeadAnswers], answer: str) -> Record:
    """Figures of each head, and of the answering one what every class comes to."""
    record: Record = {"heads": {name: _head_record(truth, head) for name, head in heads.items()}}
    if truth.allowed is None:
        matrix = confusion(truth.labels, heads[answer].decisions, len(images.classes))
        record["class_acc1"] = [None if np.isnan(share) else share for share in class_accuracy(matrix).tolist()]
        found = spread(truth.labels, heads[answer].decisions)
        record["classes_predicted"], record["collapsed"] = found.predicted, found.is_collapsed
        places = np.argwhere(matrix).tolist()
        record["confusion"] = [[row, column, int(matrix[row, column])] for row, column in places]
    return record


def _head_record(truth: _Truth, head: HeadAnswers) -> Record:
    hits = truth.hits(head.best)
    bins = reliability(head.confidence[truth.counts], hits[:, 0])
    return {
        "acc1": float(hits[:, 0].mean() * 100),
        "acc1_interval": list(wilson_interval(int(hits[:, 0].sum()), len(hits))),
        "acc5": float(hits.any(axis=1).mean() * 100),
        "ece": expected_calibration_error(bins),
        "nll": float(head.nll.mean()) if truth.allowed is None else None,  # of several right classes there is none
        "reliability": {name: values.tolist() for name, values in bins._asdict().items()},
    }


def compared(truth: _Truth, subjects: Sequence[Subject], answers: Sequence[Answers]) -> Record:
    """Who decides differently from whom, as the paper's Table 4 has it, and whether one is better than another."""
    deciders: dict[str, HeadAnswers] = {}
    for subject, answer in zip(subjects, answers, strict=True):
        chosen = answering_head(subject)
        for name in answer.heads if chosen == "class" else ("class", "distill", chosen):
            own = f"{subject.name}, {HEADS[name]}" if len(subjects) > 1 else HEADS[name]
            deciders[subject.name if chosen == "class" else own] = answer.heads[name]
    decisions = np.stack([head.decisions[truth.counts] for head in deciders.values()])
    right = {name: truth.hits(head.best[:, :1])[:, 0] for name, head in deciders.items()}
    matrix = disagreement(torch.from_numpy(decisions)).tolist()
    errors = [float((~hits).mean() * 100) for hits in right.values()]
    pairs = [{"one": a, "other": b} | mcnemar(right[a], right[b])._asdict() for a, b in combinations(deciders, 2)]
    return {
        "names": [LABEL, *deciders],
        "disagreement": [[0.0, *errors], *([error, *row] for error, row in zip(errors, matrix, strict=True))],
        "mcnemar": pairs,
    }


def subject_record(subject: Subject, *, crop: float, token_cosine: Sequence[float]) -> Record:
    """What a network is."""
    trained = subject.trained
    return {
        "name": subject.name,
        "checkpoint": subject.source,
        "weights": subject.weights,
        "answer": answering_head(subject),
        "parameters": sum(parameter.numel() for parameter in trained.student.parameters()),
        "image_size": trained.image_size,
        "crop": crop,
        "mean": list(trained.inputs.mean),
        "std": list(trained.inputs.std),
        "token_cosine": list(token_cosine),
    }


def class_names(classes: Sequence[str]) -> list[str]:
    """What a person calls them."""
    return list(map(readable, classes))
