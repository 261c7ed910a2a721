"""Comparisons: figures equal evaluate's, seeds' mean and spread, what they say."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from jaxflow import config, data, methods
from jaxflow.evaluation import comparison, protocol, widened
from jaxflow.evaluation import seed_statistics as statistics
from jaxflow.evaluation.calibrated import Applied
from jaxflow.evaluation.comparison import Comparison, Entry, Member
from jaxflow.evaluation.sampling_cost import SamplingCost
from jaxflow.flow import calibration_file
from jaxflow.methods import samplers
from jaxflow.reporting import comparison as tell
from jaxflow.reporting import tables
from jaxflow.runs.checkpoint import DamagedError
from jaxflow.runs.errors import UserError
from jaxflow.training import presets
from tests.helpers.evaluation import TEST, records


@pytest.mark.slow
def test_figures_are_those_of_evaluate(folders, compared, monkeypatch):
    monkeypatch.setattr(data, "load_records", lambda *arguments: records())
    model = methods.load(folders[1])
    alone = protocol.evaluate(
        protocol.load(model, folders[1], config.DataConfig(), TEST)
    )
    member = compared.members[0]
    assert member.test[1].to_json() == alone.test.to_json()
    assert member.ambiguous[1].to_json() == alone.ambiguous.to_json()


def test_seeds_have_a_mean_and_a_spread(compared):
    """Against NumPy on the evaluations' own JSON; one seed has no spread."""
    document = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    full, other = document["models"]
    best = [
        one["average_over_actions"]["mpjpe_mm"]["best"]
        for one in full["evaluations"]["ambiguous"]
    ]
    got = full["ambiguous"]["MPJPE"]
    assert got["seeds"] == best
    assert got["mean"] == pytest.approx(np.mean(best))
    wanted = abs(best[0] - best[1]) / np.sqrt(2)
    assert got["standard_deviation"] == pytest.approx(wanted)
    assert other["ambiguous"]["MPJPE"]["standard_deviation"] is None
    test, ablations = tell.models(compared), tell.ablations(compared)
    cell = ablations.rows[0].cells[ablations.columns.index("MPJPE")]
    assert str(cell) == f"{np.mean(best):.1f} ± {wanted:.1f}"
    assert "±" not in "".join(test.rows[1].texts)
    assert [row.texts[:2] for row in test.rows] == [("full", "2"), ("other", "1")]
    assert "standard deviation over seeds" in test.note


def test_every_row_is_as_long_as_its_header(compared):
    for table in tell.tables_of(compared).values():
        assert {len(row.cells) for row in table.rows} == {len(table.columns)}


def test_the_paper_s_row_stands_beside_ours(compared):
    ablations = tell.ablations(compared)
    assert ablations.columns[-4:] == (
        "paper MPJPE",
        "paper PA-MPJPE",
        "paper PCK",
        "paper CPS",
    )
    assert ablations.rows[0].texts[-4:] == ("71.0", "54.2", "93.4", "171.0")
    assert ablations.rows[1].texts[-4:] == ("–",) * 4
    assert "Table 4" in ablations.note and "± the standard" in ablations.note
    renamed = Comparison(compared.members[1:])
    assert "paper" not in str(tell.ablations(renamed))


def test_every_ablation_has_the_paper_s_row():
    assert set(tell.PAPER) == set(presets.ABLATIONS)


def test_the_best_model_is_marked(compared):
    """Less error, more PCK and CPS."""
    found = tell.tables_of(compared)
    for table in (found["models"], found["ablations"]):
        marked = tables.best_cells(table)
        values = [row.cells[2].value for row in table.rows]
        assert {row for row, column in marked if column == 2} == {np.argmin(values)}
        signs = {
            name: table.better[table.columns.index(name)] for name in ("CPS", "ECE")
        }
        assert signs == {"CPS": 1, "ECE": -1}
        assert not {column for _, column in marked} & {0, 1}


def test_uncertainty_stands_beside_it(compared):
    """Proper scores are means over seeds; without the response nothing covers."""
    table = tell.tables_of(compared)["uncertainty"]
    full = compared.members[0]
    scores = [one.energy for one in full.uncertainty]
    assert len(scores) == 2
    assert table.rows[0].cells[1].value == pytest.approx(np.mean(scores))
    document = compared.to_json()["models"][0]["evaluations"]
    assert document["uncertainty"][1]["energy_score_mm"] == scores[1]
    silent = [
        one._replace(response=(None,) * len(one.test)) for one in compared.members
    ]
    assert "nan" not in tell.describe(Comparison(tuple(silent)))


def test_without_ambiguous_frames_it_says_so(compared):
    members = tuple(one._replace(ambiguous=()) for one in compared.members)
    found = Comparison(members)
    assert list(tell.tables_of(found)) == ["models", "uncertainty", "paired", "cost"]
    assert "no ambiguous frame" in tell.describe(found)
    assert found.to_json()["models"][0]["ambiguous"] == {}
    assert "no ambiguous frame" not in tell.describe(compared)


def made_up(name, result, scale, shift):
    """A model with other errors and another calibration."""
    totals = {
        action: total._replace(
            sums=total.sums._replace(
                mpjpe=scale * total.sums.mpjpe,
                best_of=scale * total.sums.best_of,
                hits=total.sums.hits + shift * total.frames,
            )
        )
        for action, total in result.totals.items()
    }
    changed = dataclasses.replace(result, totals=totals)
    return Member(Entry(name, ("x",)), (changed,), ())


def test_a_sharper_model_that_is_worse_calibrated_is_named(compared):
    result = compared.members[0].test[0]
    base = made_up("base", result, 1.0, 0.0)
    ece = statistics.ECE.value(base.test[0])
    models = [made_up("sharp", result, 0.5, shift) for shift in (1.0, -1.0)]
    sharp = max(models, key=lambda one: statistics.ECE.value(one.test[0]))
    assert statistics.ECE.value(sharp.test[0]) > ece + 0.01
    for order in ((base, sharp), (sharp, base)):
        (line,) = tell.trade_offs(Comparison(order))
        best = statistics.BEST.value(base.test[0])
        said = f"sharp has a better best of 5 than base ({best:.1f} mm, {ece:.3f}) but"
        assert line.startswith(said + " is worse calibrated")
        assert line in tell.describe(Comparison(order))
    # Better in both is no trade-off, nor is the same.
    assert tell.trade_offs(Comparison((base, made_up("best", result, 0.5, 0.0)))) == []
    assert tell.trade_offs(Comparison((base, base))) == []


def test_figures_are_means_over_seeds(compared):
    choice = pytest.importorskip("jaxflow.reporting.figures.choice")
    result = compared.members[0].test[0]
    seeds = result, *made_up("worse", result, 3.0, 0.0).test
    cost = SamplingCost(1, 0.0, 1e6)
    found = Comparison((Member(Entry("two", ("a", "b")), seeds, (), cost=cost),))
    for figure in (choice.against_number(found), choice.against_operations(found)):
        (axes,) = figure.axes
        drawn = max((line.get_ydata() for line in axes.lines), key=len)
        np.testing.assert_allclose(drawn, 2 * result.pooled.best_of, rtol=1e-5)


def test_no_table_of_an_earlier_comparison_stays(compared, tmp_path):
    earlier = {path.name for path in tell.write(compared, tmp_path)}
    own = tmp_path / "notes.csv"
    own.write_text("a user's")
    alone = tell.write(Comparison(compared.members[:1]), tmp_path)
    assert {*tmp_path.iterdir()} == {own, *alone}
    assert {"paired.csv", "paired.json"} <= earlier - {path.name for path in alone}


def test_files_say_what_the_tables_say(compared, tmp_path):
    names = [path.name for path in tell.write(compared, tmp_path / "new")]
    assert names == [
        "comparison.md",
        "comparison.json",
        "models.csv",
        "models.json",
        "ablations.csv",
        "ablations.json",
        "uncertainty.csv",
        "uncertainty.json",
        "paired.csv",
        "paired.json",
        "cost.csv",
        "cost.json",
        "best_of.png",
        "best_of.svg",
        "operations.png",
        "operations.svg",
    ]
    assert sorted(names) == sorted(one.name for one in (tmp_path / "new").iterdir())
    text = (tmp_path / "new" / "comparison.md").read_text()
    for table in tell.tables_of(compared).values():
        assert tables.to_markdown(table) in text
    assert json.loads((tmp_path / "new" / "comparison.json").read_text())["models"]


@pytest.fixture
def calibrated_folder(folders, tmp_path):
    """The first checkpoint, with all that can be fitted."""
    folder = shutil.copytree(folders[0], tmp_path / "fitted")
    content = {
        "temperature": 1.4,
        "temperature_spread": 0.2,
        "limbs_kept": 0.3,
        "widths": {"factors": np.full(widened.SHAPE, 1.2).tolist()},
    }
    calibration_file.save(folder, content)
    return str(folder)


def test_cost_and_curve_are_of_what_was_tested(
    compared, calibrated_folder, monkeypatch
):
    """With all that was fitted, which says nothing of another sampler."""
    found = protocol.Evaluation(compared.members[0].test[0], None, None)
    monkeypatch.setattr(protocol, "evaluate", lambda loaded: found)
    monkeypatch.setattr(data, "load_records", lambda *arguments: records())
    asked = [
        Entry("fitted", (calibrated_folder,), "fitted"),
        Entry("plain", (calibrated_folder,), "1"),
        Entry("noise", (calibrated_folder,), "1", "noise"),
    ]
    fitted, plain, noise = comparison.compare(
        asked, config.DataConfig(), TEST, samplers.load
    ).members
    assert fitted.cost.parameters == plain.cost.parameters + 13 * 5 + 2
    assert fitted.cost.pose > plain.cost.pose
    assert fitted.cost.hypothesis > plain.cost.hypothesis
    assert plain.curves[0]["temperature"] == 1.4 and noise.curves == (None,)


def test_what_cannot_be_drawn_from_is_refused_before_anything_is_tested(
    folders, calibrated_folder, monkeypatch
):
    place = calibration_file.place(calibrated_folder) / calibration_file.NAME
    good = json.loads(place.read_text())
    whole = Entry("whole", (folders[1],))
    monkeypatch.setattr(protocol, "load", lambda *arguments: pytest.fail("too late"))
    for damage in (
        {"temperature_spread": "much"},
        {"limbs_kept": 2},
        {"widths": {"factors": [1]}},
    ):
        place.write_text(json.dumps({**good, **damage}))
        entries = whole, Entry("other", (calibrated_folder,), "fitted")
        with pytest.raises(DamagedError, match="damaged"):
            comparison.compare(entries, config.DataConfig(), TEST, samplers.load)
    entries = whole, Entry("means", (folders[2],), None, "means")
    with pytest.raises(UserError, match="no components"):
        comparison.compare(entries, config.DataConfig(), TEST, samplers.load)


@pytest.mark.parametrize("text", ["", "full", "full=", "=runs/a", "full=,"])
def test_malformed_entries_are_quoted(text):
    with pytest.raises(ValueError, match=re.escape(f"got {text!r}")):
        comparison.parse(text)


def test_temperatures_are_told(compared):
    assert tell.notes(compared) == []
    first, second = compared.members
    warm = compared._replace(
        members=(
            first._replace(temperatures=(1.35, 1.37)),
            second._replace(applied=(Applied(0.25, True),)),
        )
    )
    assert tell.notes(warm) == [
        "full is drawn at temperature 1.35, 1.37.",
        "other is drawn at temperature 1, with tails (spread 0.25) and widths.",
    ]
    assert "temperature 1.35, 1.37." in tell.describe(warm)
    assert warm.to_json()["models"][0]["temperatures"] == [1.35, 1.37]


def test_entries():
    assert comparison.parse("a=x,y=1") == Entry("a", ("x", "y=1"))
    assert comparison.parse("a=x,y@1.3") == Entry("a", ("x", "y"), "1.3")
    assert comparison.parse("a=x@y@fitted") == Entry("a", ("x@y",), "fitted")
    assert comparison.parse("a=x@") == Entry("a", ("x",))
    with pytest.raises(
        ValueError, match="number of at least 0, 'fitted' or 'auto'; got 'y'"
    ):
        comparison.parse("a=x@y")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "at least one model"),
        ([Entry("a", ("x",)), Entry("a", ("y",))], "a is named more than once"),
        ([Entry("a", ())], "a has no checkpoint"),
        ([Entry("a", ("nowhere",))], "nowhere does not exist"),
    ],
)
def test_bad_entries_are_refused_before_anything_is_tested(entries, message):
    with pytest.raises(ValueError, match=message):
        comparison.compare(entries, config.DataConfig(), TEST, samplers.load)
