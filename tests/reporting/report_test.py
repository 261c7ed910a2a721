"""The report: complete, self-contained, the same twice, and safe with odd names."""

import dataclasses
import html.parser
import io
import json
import re
import shutil

import numpy as np
import pytest

from tests.helpers import flows, in_process
from tests.helpers.evaluation import TEST, records

pytest.importorskip("matplotlib", reason="the report needs the extra 'report'")

from jaxflow import config
from jaxflow import report as command
from jaxflow.evaluation import comparison, inference_time, protocol
from jaxflow.methods.flow import FlowModel
from jaxflow.reporting import (
    beside_paper,
    contents,
    drawings,
    published,
    report,
    tables,
)
from jaxflow.reporting import comparison as tell
from jaxflow.reporting.figures import style
from jaxflow.types import PoseRecords

ODD = "<script>alert(1)</script>|*a*"
FULL = dataclasses.replace(TEST, reductions=True)
TIMES = inference_time.InferenceTimes("a CPU", 3, 1.5, {1: 2.5, 200: 3.5, 1000: 4.5})


@pytest.fixture(scope="module")
def loaded():
    frames = records()
    actions = np.where(frames.action == "Eating", ODD, frames.action)
    noise = np.random.default_rng(2).normal(size=frames.pose2d.shape)
    truth = {"pose2d_true": (frames.pose2d + 3 * noise).astype(np.float32)}
    small = config.FlowConfig(hidden=8, blocks=2)
    return protocol.Loaded(
        model=FlowModel.of(flows.some(small), small),
        records=PoseRecords(**{**vars(frames), "action": actions, "extra": truth}),
        train=records(seed=1),
        test=FULL,
    )


@pytest.fixture(scope="module")
def evaluated(loaded):
    return protocol.evaluate(loaded)


@pytest.fixture(scope="module")
def extras(evaluated):
    """Times, and two models of which one is sharper and the other better calibrated."""
    sharp = changed(evaluated.test, mpjpe=0.9, hits=0.5)
    names = "full", "no_condition <b>"
    members = [
        comparison.Member(comparison.Entry(name, ("a", "b")), (one, one), (one, one))
        for name, one in zip(names, (evaluated.test, sharp), strict=True)
    ]
    return contents.Extras(TIMES, comparison.Comparison(tuple(members)))


def changed(result, **factors):
    """An evaluation whose sums are multiplied."""
    totals = {
        action: total._replace(
            sums=total.sums._replace(
                **{name: getattr(total.sums, name) * by for name, by in factors.items()}
            )
        )
        for action, total in result.totals.items()
    }
    return dataclasses.replace(result, totals=totals)


@pytest.fixture(scope="module")
def about(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    rows = [
        {"kind": "train", "step": step, "l2d": 1 / step, "gen": -step}
        for step in range(1, 60)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (workdir / "metrics.jsonl").write_text(lines)
    return contents.About(str(workdir / "checkpoints" / "5"), "synthetic_lift", FULL)


@pytest.fixture(scope="module")
def written(loaded, evaluated, about, extras, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    report.write(out, loaded, evaluated, about, extras)
    return out


FIGURES = {
    "hypotheses",
    "hardest",
    "calibration",
    "samples",
    "cps",
    "spread",
    "sigma",
    "response",
    "models-calibration",
    "models-operations",
    "models-samples",
    "training",
}
TABLES = {
    "test",
    "ambiguous-subset",
    "table-1-protocol-1",
    "table-1-protocol-2",
    "table-2",
    "table-5",
    "one-pose-out-of-many",
    "spread-of-the-hypotheses",
    "uncertainty-per-joint",
    "uncertainty-by-sigma",
    "uncertainty-per-person",
    "response-coverage",
    "response-spread",
    "models-models-compared",
    "models-ambiguous-subset",
}


def test_everything_is_there(written, evaluated):
    names = {path.name for path in (written / "figures").iterdir()}
    assert names == {f"{name}.{end}" for name in FIGURES for end in ("png", "svg")}
    for path in (written / "figures").glob("*.png"):
        assert path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 10_000
    stems = {path.name for path in (written / "tables").iterdir()}
    assert {
        f"{name}.{end}" for name in TABLES for end in ("md", "csv", "json")
    } <= stems
    document = json.loads((written / "evaluation.json").read_text())
    assert document["test"] == evaluated.test.to_json()
    assert document["reduced"] == evaluated.reduced.to_json()
    assert document["uncertainty"] == evaluated.uncertainty.to_json()
    assert document["response"] == evaluated.response.to_json()
    assert document["inference_time"]["sample_ms"]["200"] == 3.5
    assert (written / "report.html").stat().st_size < 3_000_000


def test_all_of_an_earlier_report_goes(written, tmp_path):
    out = shutil.copytree(written, tmp_path / "report")
    own = {out / "tables" / "notes.md", out / "figures" / "mine.png"}
    for path in own:
        path.write_text("a user's")
    report.clear(out)
    left = {path for kind in ("tables", "figures") for path in (out / kind).iterdir()}
    assert left == own


def test_captions_tell_what_was_measured(evaluated):
    captions = {one.name: one.caption for one in drawings.plots(evaluated, None)}
    pooled = evaluated.test.pooled
    assert f"{pooled.best_of[-1]:.1f}" in captions["samples"]
    assert f"{pooled.spread_per_axis[2]:.0f} along the depth" in captions["spread"]
    assert "most at feet" not in captions["spread"]


def test_the_baseline_is_as_wide_as_the_joints_that_move(
    loaded, evaluated, monkeypatch
):
    """The hip, which has no spread, does not count."""
    monkeypatch.setattr(protocol, "run", lambda loaded, *_: loaded.model)
    subset = (evaluated.ambiguous or evaluated.test).pooled
    noisy = drawings.noise_baseline(loaded, evaluated)
    assert 1000 * noisy.depth == pytest.approx(17 / 16 * subset.spread_per_axis[2])


def test_the_report_says_what_evaluate_says(loaded, evaluated):
    """To the last bit, though it measures more of the same hypotheses."""
    plain = protocol.evaluate(loaded._replace(test=TEST))
    assert plain.reduced is None
    assert plain.test.to_json() == evaluated.test.to_json()
    assert plain.ambiguous.to_json() == evaluated.ambiguous.to_json()


def test_what_is_printed(evaluated, about, extras):
    text = contents.console(evaluated, about, extras, io.StringIO())
    for words in (
        "Table 2:",
        "Table 5:",
        "One pose out of many",
        "Models compared",
        "worse calibrated",
        "a CPU",
        "mean pose gives",
    ):
        assert words in text
    assert "\x1b" not in text and "<script>" in text


class Checker(html.parser.HTMLParser):
    """Collects tags, addresses, and unclosed elements."""

    VOID = {"meta", "br", "img", "link", "hr", "path", "use", "rect", "input"}

    def __init__(self):
        super().__init__()
        self.tags, self.links, self.ids, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href")]
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(written):
    text = (written / "report.html").read_text()
    checker = Checker()
    checker.feed(text)
    return text, checker


def test_the_page_is_well_formed_and_needs_no_network(page):
    text, checker = page
    assert checker.open == []
    assert all(link.startswith("#") for link in checker.links)
    assert "url(http" not in text and "@import" not in text
    assert checker.tags.count("svg") == len(FIGURES)
    assert {link[1:] for link in checker.links} <= set(checker.ids)
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text


def test_ids_of_the_drawings_do_not_collide(page):
    _, checker = page
    assert len(checker.ids) == len(set(checker.ids))


def test_names_from_data_are_shown_and_not_run(page, written):
    text, checker = page
    assert "<script>alert" not in text and "no_condition <b>" not in text
    assert "&lt;script&gt;alert(1)" in text
    markdown = (written / "tables" / "test.md").read_text()
    assert "<script>" not in markdown and r"\|\*a\*" in markdown


def test_the_drawings_take_the_pages_colours(page):
    text, _ = page
    body = text[text.index("<main>") :]
    assert not any(colour in body for colour in style.CSS_NAMES)
    assert "var(--left)" in body


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(
    written, loaded, evaluated, about, extras, tmp_path
):
    report.write(tmp_path, loaded, evaluated, about, extras)
    paths = sorted(p.relative_to(written) for p in written.rglob("*") if p.is_file())
    assert len(paths) > 15
    for path in paths:
        ours, theirs = (tmp_path / path).read_text("latin-1"), written / path
        dated = re.compile(r"written \d{4}-\d\d-\d\d")
        assert dated.sub("", ours) == dated.sub("", theirs.read_text("latin-1")), path


def test_a_model_of_the_package_has_no_log_of_the_run_that_lies_here(
    tmp_path, monkeypatch
):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "train", "step": 1}\n')
    monkeypatch.chdir(tmp_path)
    assert report.training_log("cmu") == []
    assert report.training_log("checkpoints/7")


def test_a_checkpoint_without_a_log_has_no_training_curves(tmp_path):
    assert report.training_log(str(tmp_path / "model")) == []
    assert drawings.training([]) is None


def test_a_sharper_model_that_is_worse_calibrated_is_said_so(page, extras, evaluated):
    text, _ = page
    (sentence,) = tell.trade_offs(extras.comparison)
    assert sentence.startswith("no_condition <b>") and "worse calibrated" in sentence
    assert sentence in html.unescape(text) and sentence not in text
    marked = tell.models(extras.comparison)
    best, ece = (marked.columns.index(name) for name in ("P1 best", "ECE"))
    assert {(1, best), (0, ece)} <= tables.best_cells(marked)
    assert {(0, best), (1, ece)}.isdisjoint(tables.best_cells(marked))


def test_published_rows_compete_only_on_their_own_actions(evaluated):
    name = "human36m_lift"
    one = next(iter(evaluated.test.totals.values()))
    same = dataclasses.replace(
        evaluated.test, totals={action: one for action in published.ACTIONS}
    )
    assert beside_paper.is_human36m(same, name)
    assert not beside_paper.is_human36m(same, "synthetic_lift")
    assert not beside_paper.is_human36m(same, f"{name},synthetic_lift")
    assert not beside_paper.is_human36m(evaluated.test, name)
    assert beside_paper.is_human36m(same, "human36m_lift/every64")
    for cameras in ("centred", "wild-views2_every64", "studio"):  # not those published
        assert not beside_paper.is_human36m(same, f"human36m_lift/{cameras}")
    for result, groups in ((same, 1), (evaluated.test, 2)):
        table, *_ = beside_paper.beside_published(
            evaluated._replace(test=result, ambiguous=None), name
        )
        assert len(table.groups or (1,)) == groups
        assert "Wehrbein et al., ICCV 2021, Table 1" in table.note
    assert [row.cells[0] for row in table.rows[-2:]] == [
        "This model, z = 0 (M = 1)",
        "This model (M = 5)",
    ]
    cell = table.rows[-1].cells[-1]
    assert cell.value == evaluated.test.average.mpjpe[1]


def test_a_wrong_comparison_is_one_line_and_status_one(tmp_path, capsys):
    flags = "--checkpoint=none", "--compare=x", f"--out={tmp_path}"
    assert in_process.run(command, *flags) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected NAME=[SAMPLER:]DIR" in line and "got 'x'" in line
