"""Made-up experiments for tests of the claims: model folders as run.sh leaves them, with a test's own figures."""

import json
import zlib

import numpy as np
import yaml

LISTS = ("dev", "eval", "eval_noisy")
DRAWS = 200
TEACHER_SIZE = 1_000_000
CONCATENATION = ["frame4", "frame", "segment6"]


def write_system(folder, level, config, rate, spread=0.02, key="speakers", rates=None):
    """A model's folder; its EER is ``rate`` percent on dev and, unless ``rates`` has another, on all lists."""
    scores = folder / "scores" / level
    scores.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    # All systems of a seed share what the draws of speakers do to them; spread is what they do not share.
    shared = np.random.default_rng(1).normal(scale=0.1, size=DRAWS)
    own = np.random.default_rng(zlib.crc32(folder.name.encode())).normal(scale=spread, size=DRAWS)
    figures, draws = {}, {}
    for name in LISTS:
        one = (rates or {}).get(name, rate)
        figures[name] = {"plda": {"trials": 1000, "eer_percent": one}}
        draws[name], draws[f"{name}/plda"] = np.array(key), (one / 100 * np.exp(shared + own)).astype(np.float32)
    (scores / "metrics.json").write_text(json.dumps(figures))
    np.savez(scores / "draws.npz", **draws)


def write_teacher(experiment, seed, rate, name="t", **more):
    levels = {"stats": {"size": 8, "parameters": 700_000}}
    config = {"role": "teacher", "loss": "softmax", "seed": seed, "parameters": TEACHER_SIZE, "levels": levels}
    write_system(experiment / f"teacher_{name}_s{seed}", "stats", config, rate, **more)


def write_student(
    experiment, seed, levels, rate, loss="mse", parameters=80_000, name="t", further="", network="w", **more,
):  # fmt: skip
    config = {
        "role": "student", "teacher": f"teacher_{name}_s{seed}", "teacher_parameters": TEACHER_SIZE, "seed": seed,
        "parameters": parameters, "distilled": levels, "loss": loss,
    }  # fmt: skip
    if further:
        config["unlabelled"] = {"sets": [f"distill_{further.removeprefix('+')}"], "utterances": 10}
    called = "+".join(levels) or "label"
    folder = experiment / f"student_{network}_{name}_{called}_{loss}{further}_s{seed}"
    write_system(folder, "embedding", config, rate, **more)


def write_experiment(experiment, seeds=(0, 1, 2), teacher=5.0, name="t", further=None, **rates):
    """A teacher with its students, a seed each; ``rates``: label, frame, segment6, concatenation -> EER in percent."""
    for seed in seeds:
        write_teacher(experiment, seed, teacher, name)
        for called, rate in {"label": 7.0, "frame": 5.0, "segment6": 5.0, "concatenation": 4.5, **rates}.items():
            levels = {"label": [], "concatenation": CONCATENATION}.get(called, [called])
            loss, size = ("mse", 80_000) if levels else ("softmax", 80_000)
            if rate is not None:
                write_student(experiment, seed, levels, rate, loss, size, name)
        if further is not None:
            write_student(experiment, seed, CONCATENATION, further, name=name, further="+more_ab12")
