"""How far an estimator's joints are from a Kinect's on the same film, and whether one model says the same of both.

python benchmarks/estimator_against_kinect.py FILM.avi FILM.skeleton --model MODEL.onnx --out kinect_twin.json

Both are put on the middle of their hips at every instant, because the estimator's world begins there. Then one rotation
and one scale for the whole clip lay the estimator on the Kinect (least squares); a second figure does so at every
instant anew, which forgives a wrong size and direction. Compared are the joints that both layouts have by name. The
Kinect is not the truth: it has errors of its own, most of all at hands and feet. Films of a Kinect are mirror
images and its skeletons are not, so the film is looked at twice, as it is and flipped.
"""

import argparse
import json
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amr_edge.data import readers
from amr_edge.data.recording import Recording
from amr_edge.runtime.inference.session import open_session
from amr_edge.runtime.pipeline.recognizer import recognize
from amr_edge.runtime.pose.open_pose import open_pose
from amr_edge.runtime.record.visibility import RecordingBuilder, visibility_facts
from amr_edge.runtime.sources.video import VideoFile

Points = NDArray[np.float64]  # (..., V, 3)
LIMBS = tuple(
    f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
LAGS = range(-5, 6)


def estimated(film: Path, pose: str, *, flipped: bool) -> tuple[Recording, dict[str, Any], str]:
    """What the estimator sees of the person who moves most, how much of them, and the estimator's name."""
    with VideoFile(film) as pictures, closing(open_pose(pose, people=1, environ=os.environ)) as estimator:
        builder = RecordingBuilder(estimator.layout, estimator.units)
        for picture in pictures:
            image = np.ascontiguousarray(picture.image[:, ::-1]) if flipped else picture.image
            builder.add(estimator(replace(picture, image=image)))
        recording, seen = builder.finish(who="most", label=None, subject=None, source=film.name)
        return recording, visibility_facts(seen), estimator.title


def joints(recording: Recording, names: tuple[str, ...]) -> Points:
    """(T, V, 3) of the first person's joints by name, from the middle of the hips."""
    at = recording.skeleton.index
    poses = recording.poses[0].astype(np.float64)
    middle = (poses[:, at("left_hip")] + poses[:, at("right_hip")]) / 2  # (T, 3)
    return poses[:, [at(name) for name in names]] - middle[:, None]


def laid_on(moving: Points, still: Points, *, centerd: bool) -> Points:
    """`moving` (..., 3) turned and scaled, and shifted if not `centred`, so that it lies best on `still`.

    Source:
        Umeyama, TPAMI 1991.
    """
    here = np.isfinite(moving).all(axis=-1) & np.isfinite(still).all(axis=-1)
    a, b = moving[here], still[here]  # (points, 3)
    from_, to = (np.zeros(3), np.zeros(3)) if centerd else (a.mean(axis=0), b.mean(axis=0))
    a, b = a - from_, b - to
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])  # a mirror is no rotation
    scale = (s * np.diag(flip)).sum() / (a**2).sum()
    return np.asarray((moving - from_) @ (scale * u @ flip @ vt).T + to)


def errors(moving: Points, still: Points) -> tuple[Points, Points]:
    """(T, V) distances after one alignment for the clip, and after one for each instant."""
    whole = np.linalg.norm(laid_on(moving, still, centerd=True) - still, axis=-1)
    each = np.stack([laid_on(m, s, centerd=False) - s for m, s in zip(moving, still, strict=True)])
    return whole, np.asarray(np.linalg.norm(each, axis=-1))


def shifted(moving: Points, still: Points, lag: int) -> tuple[Points, Points]:
    """Both where instant t of one is compared with instant t + lag of the other."""
    T = len(still)
    return moving[max(lag, 0) : T + min(lag, 0)], still[max(-lag, 0) : T - max(lag, 0)]


def millimetres(distances: Points) -> float:
    """Their mean, joints that one of both has not left out."""
    return round(1000 * float(np.nanmean(distances)), 1)


def compared(seen: Recording, kinect: Recording) -> dict[str, Any]:
    """Errors in millimetres."""
    assert len(kinect.times_s) == len(seen.times_s), (len(kinect.times_s), len(seen.times_s))
    names = tuple(name for name in kinect.skeleton.joints if name in seen.skeleton.joints)
    moving, still = joints(seen, names), joints(kinect, names)
    whole, each = errors(moving, still)
    limbs = [names.index(name) for name in LIMBS]
    limbs_whole, limbs_each = errors(moving[:, limbs], still[:, limbs])
    by_lag = {lag: errors(*shifted(moving[:, limbs], still[:, limbs], lag))[0] for lag in LAGS}
    return {
        "joints": names,
        "limbs": LIMBS,
        "mean_error_mm": {
            "limbs, aligned once": millimetres(limbs_whole),
            "limbs, aligned at every instant": millimetres(limbs_each),
            "all of the same name, aligned once": millimetres(whole),
            "all of the same name, aligned at every instant": millimetres(each),
        },
        "median_error_mm_limbs_aligned_once": round(1000 * float(np.nanmedian(limbs_whole)), 1),
        "error_mm_of_each_joint_aligned_once": {name: millimetres(whole[:, at]) for at, name in enumerate(names)},
        "error_mm_of_limbs_by_lag_frames": {lag: millimetres(each) for lag, each in by_lag.items()},
    }


def answers(recording: Recording, session: Any) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """What a model says, by the mean of its answers."""
    given = recognize(recording, session)
    probs = np.mean([answer.probs for answer in given], axis=0)
    best = np.argsort(-probs)[:5]
    visibility_facts = {
        "answers": len(given),
        "label": session.card.classes[int(best[0])],
        "top5": {session.card.classes[k]: round(float(probs[k]), 4) for k in best.tolist()},
    }
    return visibility_facts, np.asarray(probs, dtype=np.float64)


def main() -> None:
    """Compare and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("skeleton", type=Path)
    parser.add_argument("--model", type=Path, help="an exported model whose layout both can fill")
    parser.add_argument("--pose", default="full")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    kinect = next(readers.read(options.skeleton))
    session = None if options.model is None else open_session(options.model, threads=1)
    result: dict[str, Any] = {"film": options.film.name, "skeleton": options.skeleton.name}
    if session is not None:
        result["model"] = {"name": session.card.name, "layout": session.card.prepare.layout, "data": session.card.data}
        result["model"]["kinect"], kinect_probs = answers(kinect, session)
    for how, flipped in (("as it is", False), ("flipped", True)):
        seen, about, title = estimated(options.film, options.pose, flipped=flipped)
        result["estimator"] = title
        result[f"film {how}"] = compared(seen, kinect) | {"seen": about}
        if session is not None:
            result[f"film {how}"]["model"], probs = answers(seen, session)
            result[f"film {how}"]["model"]["total_variation"] = round(float(np.abs(probs - kinect_probs).sum() / 2), 4)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
