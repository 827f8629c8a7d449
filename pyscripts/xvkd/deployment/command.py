"""Enrols, verifies and identifies speakers with an exported network.

Needs numpy, onnxruntime and soundfile; neither the recipe nor torch. Recordings are of any format, rate and number of
channels (which are averaged); "-" is standard input; m4a needs ffmpeg or PyAV.

  enrol --model student.onnx --name ALICE a.wav b.wav
  verify --name ALICE c.wav
  identify c.wav
  embed *.wav
  list
  remove --name ALICE

Speakers are kept in one file, --store, by default speakers.json in the current folder. It remembers the network, so
that --model is needed for the first enrolment alone, and where the network was moved.

Exit status: 0 done, or accepted; 3 rejected; 1 error, told in one line; 2 wrong usage.

The scores are those of Kaldi's ivector-plda-scoring --num-utts, of the mean of a speaker's recordings (ivector-mean).
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from xvkd import __version__, cli
from xvkd.deployment.decisions import EQUAL_ERRORS
from xvkd.deployment.recordings import called
from xvkd.deployment.store import changing, find_speaker, read_store
from xvkd.deployment.verifier import Decision, Verifier
from xvkd.errors import UserError
from xvkd.kaldi.specifiers import wspecifier
from xvkd.kaldi.writer import open_writer
from xvkd.progress import Progress

STORE = "speakers.json"
REJECTED = 3


def main() -> None:
    args = _arguments()
    args.run(args)


def run() -> None:
    """What the installed command ``xvkd`` calls."""
    cli.run(main)


def _arguments() -> argparse.Namespace:
    parser = cli.parser(__doc__)
    parser.add_argument("--version", action="version", version=f"xvkd {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, what: str, function: object) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("--store", metavar="FILE", default=STORE, help=f"of speakers; default: {STORE}")
        command.set_defaults(run=function)
        return command

    enrol = add("enrol", "enrols a speaker", _enrol)
    enrol.add_argument("--add", action="store_true", help="to someone who is enrolled already")
    verify = add("verify", "is the recording of this speaker?", _verify)
    identify = add("identify", "which of the enrolled speakers is it, if any?", _identify)
    identify.add_argument("--top", type=int, default=10, metavar="N", help="how many are shown; default: 10")
    embed = add("embed", "writes embeddings as a Kaldi table; keys are the files' names without ending", _embed)
    embed.add_argument(
        "--output", type=wspecifier, default="ark,t:-", metavar="WSPECIFIER",
        help="for instance ark,scp:x.ark,x.scp; default: ark,t:-, text on standard output",
    )
    remove = add("remove", "forgets a speaker", _remove)
    for command in (enrol, verify, remove):
        command.add_argument("--name", required=True, help="the speaker's")
    for command in (enrol, verify, identify, embed):
        command.add_argument("--model", metavar="FILE", help="the exported network; default: that of the store")
    for command in (verify, identify):
        command.add_argument(
            "--operating-point", default=EQUAL_ERRORS, metavar="NAME",
            help="where scores are accepted: eer, or a prior of the model card such as 0.01; default: eer",
        )
        command.add_argument(
            "--prior", type=float, metavar="P",
            help="of the probability: that the speaker (identify: one of the enrolled) speaks, before it was heard; "
            "default: that of the operating point, 0.5 for eer",
        )
        command.add_argument("recording", metavar="RECORDING")
    for command in (enrol, embed):
        command.add_argument("recordings", nargs="+", metavar="RECORDING")
    listing = add("list", "who is enrolled, with how many recordings", _list)
    for command in (enrol, verify, identify, listing, remove):
        command.add_argument("--json", action="store_true", help="prints JSON, for programs")
    return parser.parse_args()


def _verifier(args: argparse.Namespace) -> Verifier:
    """The network that was named, or that of the store."""
    model = args.model
    if model is None:
        if not Path(args.store).exists():
            raise UserError(f"{args.store}: no such speaker store, which would tell the network; give --model")
        model = read_store(args.store).model.file
        if not Path(model).exists():
            raise UserError(f"{args.store}: its network {model} is not there any more; give --model")
    point, prior = getattr(args, "operating_point", EQUAL_ERRORS), getattr(args, "prior", None)
    return Verifier(model, args.store, point, prior)


def _enrol(args: argparse.Namespace) -> None:
    number = _verifier(args).enrol(args.name, args.recordings, args.add)
    _tell(args, {"name": args.name, "recordings": number}, f"{args.name}: enrolled with {_recordings(number)}")


def _verify(args: argparse.Namespace) -> None:
    decision = _verifier(args).verify(args.name, args.recording)
    verdict = "is" if decision.accepted else "is not"
    _tell(args, dataclasses.asdict(decision), f"{called(args.recording)} {verdict} {args.name}: {_grounds(decision)}")
    if not decision.accepted:
        sys.exit(REJECTED)


def _identify(args: argparse.Namespace) -> None:
    decisions = _verifier(args).identify(args.recording)
    best = decisions[0]
    who = best.name if best.accepted else "none of those who are enrolled"
    shown = decisions[: max(args.top, 1)]
    table = "".join(
        f"\n{rank:4}  {_percent(one.probability):>8}  {one.score:9.2f}  {one.name}" for rank, one in enumerate(shown, 1)
    )
    content = {
        "name": best.name if best.accepted else None, "enrolled": len(decisions),
        "ranking": [dataclasses.asdict(one) for one in shown],
    }  # fmt: skip
    _tell(args, content, f"{called(args.recording)} is {who}: {_grounds(best)}{table}")
    if not best.accepted:
        sys.exit(REJECTED)


def _embed(args: argparse.Namespace) -> None:
    verifier = _verifier(args)
    files: dict[str, str] = {}
    for name in args.recordings:
        key = Path(name).stem
        if key in files:
            raise UserError(f"{files[key]} and {name} would both be called '{key}': rename one, or embed them apart")
        files[key] = name
    progress = Progress(len(files), "recordings")
    with open_writer(args.output, compress=False) as writer:
        for key, name in files.items():
            writer.write(key, verifier.embed(name))
            if len(files) > 1:
                progress.update()


def _list(args: argparse.Namespace) -> None:
    store = read_store(args.store)
    numbers = {name: speaker.num_utts for name, speaker in sorted(store.speakers.items())}
    lines = [f"{name}: {_recordings(number)}" for name, number in numbers.items()]
    _tell(args, {"model": dataclasses.asdict(store.model), "speakers": numbers}, "\n".join(lines) or "nobody")


def _remove(args: argparse.Namespace) -> None:
    with changing(args.store, None) as speakers:
        find_speaker(args.name, speakers, args.store)
        del speakers[args.name]
    _tell(args, {"name": args.name}, f"{args.name}: removed")


def _tell(args: argparse.Namespace, content: dict[str, object], text: str) -> None:
    print(json.dumps(content, ensure_ascii=False, indent=1) if args.json else text)


def _grounds(decision: Decision) -> str:
    """Why a decision is what it is."""
    relation = "above" if decision.accepted else "not above"
    return (
        f"probability {_percent(decision.probability)} (prior {_percent(decision.prior)}), score {decision.score:.2f}, "
        f"{relation} {decision.threshold:.2f} (operating point {decision.operating_point})"
    )


def _percent(share: float) -> str:
    """A share in percent; never 0 or 100, which nothing that is measured is."""
    if share < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"


def _recordings(number: int) -> str:
    return "1 recording" if number == 1 else f"{number} recordings"
