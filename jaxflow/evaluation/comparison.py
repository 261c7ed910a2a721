"""Several models beside each other, each with as many seeds as there are.

    entries (a name and its checkpoints), data, test -> Comparison

Every model is tested as ``evaluate`` tests it, on the strided test set and on the
ambiguous subset; figures are means over seeds with their standard deviation. A model
may have the better best of M hypotheses and still be surer than it is right, so the
calibration error stands beside every such figure, and `Comparison.trade_offs` finds
where the two disagree.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxflow.config import DataConfig
from jaxflow.evaluation import paired, protocol, sampling_cost, seed_statistics
from jaxflow.evaluation.calibrated import Applied, calibrated
from jaxflow.evaluation.frames import Frames
from jaxflow.evaluation.paired import Differences
from jaxflow.evaluation.response import Response
from jaxflow.evaluation.sampling_cost import SamplingCost
from jaxflow.evaluation.seed_statistics import ABLATION_COLUMNS, BEST, ECE, TEST_COLUMNS
from jaxflow.evaluation.uncertainty import Uncertainty
from jaxflow.flow import calibration_file
from jaxflow.metrics import sums
from jaxflow.metrics.sums import EvaluationResult
from jaxflow.runs import checkpoint
from jaxflow.runs.errors import UserError
from jaxflow.types import Model

# Differences that are worth a sentence: a share of the error, and a calibration error.
_BETTER_BY, _WORSE_BY = 0.005, 0.01
# Other ways to draw from a model, see ``methods.samplers``.
SAMPLERS = re.compile("noise|means|mirrored|steps[1-9][0-9]{0,3}")


class Entry(NamedTuple):
    """What to compare.

    Attributes:
      name: of the model; one of `presets.ABLATIONS` gets the paper's row beside it.
      checkpoints: folders of the same model trained with different seeds.
      temperature: to draw its hypotheses at, as `EvaluationConfig.temperature`;
        default: the test's.
      sampler: as `SAMPLERS` has it, or nothing for the model as it is.
    """

    name: str
    checkpoints: tuple[str, ...]
    temperature: str | None = None
    sampler: str = ""


class Member(NamedTuple):
    """One model's evaluations, a seed each.

    Attributes:
      entry: what was asked for.
      test: on the strided test set.
      ambiguous: on the ambiguous subset; empty where the set has no such frames.
      temperatures: that each seed's hypotheses were drawn at.
      applied: what else of a calibration each seed's were drawn with.
      uncertainty: of the test, a seed each.
      response: to a detection made less sure, a seed each; None where not measured.
      frames: of the test, with what each seed made of them.
      cost: of drawing hypotheses; of the first seed.
      curves: what each seed's calibration found over temperature, by
        `calibration_file`; None where there was none, or of another sampler.
      trained: floating-point operations of the training, a seed each; None where it
        is not known.
    """

    entry: Entry
    test: tuple[EvaluationResult, ...]
    ambiguous: tuple[EvaluationResult, ...]
    temperatures: tuple[float, ...] = (1.0,)
    applied: tuple[Applied, ...] = (Applied(),)
    uncertainty: tuple[Uncertainty, ...] = ()
    response: tuple[Response | None, ...] = ()
    frames: tuple[Frames | None, ...] = ()
    cost: SamplingCost | None = None
    curves: tuple[dict[str, Any] | None, ...] = ()
    trained: tuple[float | None, ...] = ()

    @property
    def pooled(self) -> sums.Means:
        """Figures over all test frames, means over seeds."""
        return sums.average(result.pooled for result in self.test)

    @property
    def sharpness(self) -> tuple[float, float]:
        """Best of M in mm and calibration error, means over seeds."""
        mean = seed_statistics.mean
        return mean(self.test, BEST), mean(self.test, ECE)

    def pays_beside(self, other: Member) -> bool:
        """Whether its best of M is better, but it is worse calibrated."""
        (best, error), (theirs, their_error) = self.sharpness, other.sharpness
        return best < (1 - _BETTER_BY) * theirs and error > their_error + _WORSE_BY


class Comparison(NamedTuple):
    """What a comparison found: the members in the order they were asked for."""

    members: tuple[Member, ...]

    @property
    def has_ambiguous(self) -> bool:
        """Whether the test set has ambiguous frames."""
        return bool(self.members[0].ambiguous)

    def trade_offs(self) -> list[tuple[Member, list[Member]]]:
        """Each model that beats others but is worse calibrated, with those others."""
        paid = (
            (member, [other for other in self.members if member.pays_beside(other)])
            for member in self.members
        )
        return [(member, others) for member, others in paid if others]

    def paired(self) -> tuple[str, dict[str, Differences]] | None:
        """The model of the least energy score, and how far it is below each other one.

        Of the first seeds, by the others' names. None for a single model, or where
        frames were not kept.
        """
        frames = {
            member.entry.name: kept
            for member in self.members
            for kept in member.frames[:1]
            if kept is not None
        }
        if len(frames) < 2 or len(frames) < len(self.members):
            return None
        leader = min(frames, key=lambda name: float(frames[name].energy.mean()))
        ours = frames[leader]
        take = ours.records.takes()
        found = {member.entry.name: member.uncertainty[0] for member in self.members}
        own = found[leader]
        return leader, {
            name: Differences(
                **{
                    figure: paired.difference(
                        getattr(ours, figure), getattr(theirs, figure), take
                    )
                    for figure in Differences._fields
                    if figure != "ece"
                },
                ece=paired.of_draws(
                    *(own.ece, found[name].ece),
                    *(own.ece_draws, found[name].ece_draws),
                    takes=own.takes,
                ),
            )
            for name, theirs in frames.items()
            if name != leader
        }

    def to_json(self) -> dict[str, Any]:
        """The tables' figures per model, and every seed's whole evaluation."""
        return {
            "models": [
                {
                    "name": member.entry.name,
                    "checkpoints": list(member.entry.checkpoints),
                    "sampler": member.entry.sampler,
                    "temperatures": list(member.temperatures),
                    "temperature_spreads": [each.spread for each in member.applied],
                    "limbs_kept": [each.limbs_kept for each in member.applied],
                    "widths": [each.widths for each in member.applied],
                    "cost": member.cost._asdict() if member.cost else None,
                    "training_operations": list(member.trained),
                    "test": seed_statistics.to_json(member.test, TEST_COLUMNS),
                    "ambiguous": seed_statistics.to_json(
                        member.ambiguous, ABLATION_COLUMNS
                    ),
                    "evaluations": {
                        "test": [result.to_json() for result in member.test],
                        "ambiguous": [result.to_json() for result in member.ambiguous],
                        "uncertainty": [each.to_json() for each in member.uncertainty],
                        "response": [
                            each.to_json() if each else None for each in member.response
                        ],
                    },
                }
                for member in self.members
            ]
        }


def parse(text: str) -> Entry:
    """``NAME=[SAMPLER:]DIR[,DIR...][@TEMPERATURE]`` as an entry.

    Raises:
      ValueError: it does not look so.
    """
    name, _, rest = text.partition("=")
    folders, marked, temperature = rest.rpartition("@")
    if not marked:
        folders, temperature = rest, ""
    sampler, mark, others = folders.partition(":")
    if mark and SAMPLERS.fullmatch(sampler):
        folders = others
    else:
        sampler = ""
    checkpoints = tuple(
        os.path.expanduser(folder) for folder in folders.split(",") if folder
    )
    if not (name and checkpoints):
        raise UserError(
            f"expected NAME=[SAMPLER:]DIR[,DIR...][@TEMPERATURE], a folder a seed; got "
            f"{text!r}"
        )
    if temperature:
        calibration_file.check(temperature)
    return Entry(name, checkpoints, temperature or None, sampler)


def compare(
    entries: Sequence[Entry],
    source: DataConfig,
    test: protocol.EvaluationConfig,
    load_model: Callable[..., Model],
    training_cost: Callable[[str], float | None] = lambda folder: None,
) -> Comparison:
    """Evaluates every checkpoint on the same frames with the same noise.

    Args:
      entries: at least one; names that differ, a checkpoint or more each.
      source: the data set, read once.
      test: how to test: frames, hypotheses and noise. Models are compared with each
        other alone, on both sets of frames, whatever it says about that.
      load_model: gives a folder's model, as ``methods.load``, drawn from by
        ``sampler=`` as `SAMPLERS` has it or, where that is empty, as it is.
      training_cost: floating-point operations of the run in a folder, or None.

    Raises:
      ValueError: as `check`, or a data set that is missing; before anything is
        tested.
    """
    check(entries, test, load_model)
    test = dataclasses.replace(
        test, ambiguous=True, mean_pose=False, untrained=False, reductions=False
    )
    first = entries[0].checkpoints[0]
    plain = dataclasses.replace(test, temperature="1")
    shared = protocol.load(load_model(first, sampler=""), first, source, plain)
    members = []
    for entry in entries:
        tested, evaluations = [], []
        for folder in entry.checkpoints:
            model, temperature = _calibrated(load_model, folder, entry, test)
            tested.append(model)
            print(f"testing {folder} at temperature {temperature:g}{Applied.to(model)}")
            loaded = shared.of(model, temperature)
            evaluations.append(protocol.evaluate(loaded))
        member = _member(entry, evaluations)
        members.append(
            member._replace(
                cost=sampling_cost.of_model(tested[0]),
                curves=tuple(_curve(entry, folder) for folder in entry.checkpoints),
                trained=tuple(map(training_cost, entry.checkpoints)),
            )
        )
    return Comparison(tuple(members))


def _member(entry: Entry, evaluations: Sequence[protocol.Evaluation]) -> Member:
    """What the evaluations of an entry's seeds found."""
    return Member(
        entry,
        test=tuple(each.test for each in evaluations),
        ambiguous=tuple(each.ambiguous for each in evaluations if each.ambiguous),
        temperatures=tuple(each.temperature for each in evaluations),
        applied=tuple(each.applied for each in evaluations),
        uncertainty=tuple(each.uncertainty for each in evaluations if each.uncertainty),
        response=tuple(each.response for each in evaluations),
        frames=tuple(each.frames for each in evaluations),
    )


def _curve(entry: Entry, folder: str) -> dict[str, Any] | None:
    """What calibration found of the entry; of another sampler nothing is known."""
    return None if entry.sampler else calibration_file.load(folder)


def _calibrated(
    load_model: Callable[..., Model],
    folder: str,
    entry: Entry,
    test: protocol.EvaluationConfig,
) -> tuple[Model, float]:
    """What a folder's model is tested as.

    Another sampler takes the temperature alone; the rest is fitted for the model's.
    """
    model = load_model(folder, sampler=entry.sampler)
    wanted = entry.temperature or test.temperature
    if entry.sampler:
        return model, calibration_file.resolve(folder, wanted)
    return calibrated(model, folder, wanted)


def check(
    entries: Sequence[Entry],
    test: protocol.EvaluationConfig,
    load_model: Callable[..., Model],
) -> None:
    """Refuses what could only fail after others have been tested.

    Args:
      entries: as of `compare`, as the rest.
      test: for its temperature.
      load_model: by which every model is loaded once, and forgotten.

    Raises:
      ValueError: no entries, a name twice, an entry without checkpoints, a checkpoint
        that is missing, or one that cannot be drawn from as asked.
    """
    if not entries:
        raise UserError("expected at least one model to compare")
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"{', '.join(twice)} is named more than once; give all seeds of a model "
            "together, their folders divided by commas"
        )
    for entry in entries:
        if not entry.checkpoints:
            raise UserError(f"{entry.name} has no checkpoint")
        for folder in entry.checkpoints:
            checkpoint.find(folder)
    for entry in entries:
        for folder in entry.checkpoints:
            _calibrated(load_model, folder, entry, test)
            _curve(entry, folder)
