"""MPI-INF-3DHP's protocol against a slow reference, and its rules one by one."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxflow import data, flow
from jaxflow.config import FlowConfig
from jaxflow.evaluation import measuring
from jaxflow.evaluation import mpi_inf_3dhp as settings_protocol
from jaxflow.evaluation.measuring import Draw
from jaxflow.methods.flow import FlowModel
from jaxflow.reporting import result_tables, tables
from jaxflow.reporting.tables import best_cells
from jaxflow.skeleton import PCK_JOINTS
from jaxflow.types import PoseRecords
from tests.oracles import mpi_inf_3dhp as oracle

SMALL = FlowConfig(blocks=2, hidden=16)
FRAMES, HYPOTHESES = 23, 6
# Unequal parts, so that a mean of settings is not the mean of frames.
SETTINGS = np.array(["Studio GS"] * 11 + ["Studio no GS"] * 4 + ["Outdoor"] * 8)


def made_records(seed=0):
    """Frames of three settings, every fourth not valid."""
    rng = np.random.default_rng(seed)
    fit = np.ones((FRAMES, 16, 7), np.float32)
    fit[..., 1:3] = rng.uniform(20, 40, (FRAMES, 16, 2))
    fit[..., [3, 5]] = 2
    text = np.full(FRAMES, "TS1")
    pose = rng.normal(size=(2, FRAMES, 17, 3)) * 200 + 4000
    return PoseRecords(
        pose3d=pose[0].astype(np.float32),
        pose2d=rng.uniform(0, 256, (FRAMES, 16, 2)).astype(np.float32),
        gaussfit=fit,
        subject=text,
        action=text,
        subaction=text,
        camera=text,
        frame=np.arange(1, FRAMES + 1, dtype=np.int32),
        extra={
            "pose3d_universal": pose[1].astype(np.float32),
            "setting": SETTINGS,
            "valid": np.arange(FRAMES) % 4 != 2,
        },
    )


def poses_of(drawn):
    """The measure that keeps everything."""
    return drawn.hypotheses, drawn.mode


def drawn_by(model, records, key):
    """Hypotheses and z = 0 poses of some frames."""
    parts = measuring.stream(
        model,
        data.to_batch(records),
        data.targets_of(records),
        key,
        (poses_of,),
        Draw(HYPOTHESES, batch_size=5),
    )
    found = [arrays for _, (arrays,) in parts]
    return tuple(np.concatenate(arrays) for arrays in zip(*found, strict=True))


@pytest.fixture(scope="module")
def case():
    """A random flow, and frames whose truth is about one of its hypotheses."""
    params, key = flow.init(jax.random.key(3), SMALL), jax.random.key(5)
    model = FlowModel.of(params, SMALL)
    records = made_records()
    valid = records.extra["valid"]
    hypotheses, mode = drawn_by(model, records.take(valid), key)
    rng = np.random.default_rng(1)
    scale = rng.uniform(20, 160, (valid.sum(), 1, 1))
    truth = 1000 * hypotheses[:, 0] + scale * rng.normal(size=(valid.sum(), 17, 3))
    records.extra["pose3d_universal"][valid] = truth + 4000
    return model, records, key, hypotheses, mode


def run(case, batch_size=5, **options):
    model, records, key, _, _ = case
    model = options.pop("model", model)
    records = options.pop("records", records)
    draw = Draw(HYPOTHESES, batch_size=batch_size)
    return settings_protocol.evaluate_settings(model, records, key, draw, **options)


@pytest.fixture(scope="module")
def result(case):
    return run(case)


def expected(case, target="pose3d_universal"):
    _, records, _, hypotheses, mode = case
    valid = records.extra["valid"]
    poses = {**records.extra, "pose3d": records.pose3d}[target].astype(np.float64)
    targets = ((poses - poses[:, :1]) / 1000)[valid]
    frames = [
        oracle.frame_figures(*one)
        for one in zip(hypotheses, mode, targets, strict=True)
    ]
    return oracle.table(frames, SETTINGS[valid], np.ones(len(frames), bool))


def assert_equal(result, want):
    assert list(result.figures) == ["Studio GS", "Studio no GS", "Outdoor", "All"]
    for name, got in result.figures.items():
        assert got.frames == want[name]["frames"]
        np.testing.assert_allclose(got.mpjpe, want[name]["mpjpe"], rtol=1e-5)
        np.testing.assert_allclose(got.pck, want[name]["pck"], atol=1e-12)
        # A float32 error may fall on the other side of one threshold of 31.
        np.testing.assert_allclose(got.auc, want[name]["auc"], atol=1e-3)


def test_a_random_flow_equals_the_slow_reference(case, result):
    want = expected(case)
    assert_equal(result, want)
    assert 0.2 < want["All"]["pck"][0] < 0.95  # the comparison means something
    assert result.not_valid == 6 and result.figures["All"].frames == 17


def test_the_camera_s_target(case, result):
    camera = run(case, target="camera")
    assert_equal(camera, expected(case, "pose3d"))
    assert not np.allclose(camera.figures["All"].mpjpe, result.figures["All"].mpjpe)
    with pytest.raises(ValueError, match="universal, camera; got 'root'"):
        run(case, target="root")


def test_batch_size_changes_nothing(case, result):
    again = run(case, batch_size=64)
    for name, got in again.figures.items():
        for value, want in zip(got, result.figures[name], strict=True):
            np.testing.assert_allclose(value, want, rtol=1e-6)


def test_figures_pool_frames_not_settings(result):
    figures = result.figures
    names = ("Studio GS", "Studio no GS", "Outdoor")
    weights = [figures[name].frames for name in names]
    for figure in ("pck", "auc", "mpjpe"):
        parts = [getattr(figures[name], figure) for name in names]
        pooled = np.average(parts, axis=0, weights=weights)
        np.testing.assert_allclose(getattr(figures["All"], figure), pooled)
        assert not np.allclose(pooled, np.mean(parts, axis=0), rtol=1e-3)


def test_frames_that_are_not_valid_do_not_count(case, result):
    _, records, _, _, _ = case
    bad = ~records.extra["valid"]
    changed = {
        name: np.where(bad.reshape(-1, *[1] * (array.ndim - 1)), 0, array)
        for name, array in records.columns().items()
        if array.dtype.kind == "f"
    }
    extra = {**records.extra, "pose3d_universal": changed.pop("pose3d_universal")}
    other = dataclasses.replace(records, **changed, extra=extra)
    for name, got in run(case, records=other).figures.items():
        np.testing.assert_array_equal(got.mpjpe, result.figures[name].mpjpe)
    extra = {**records.extra, "valid": np.zeros(FRAMES, bool)}
    with pytest.raises(ValueError, match=f"none of {FRAMES} is"):
        run(case, records=dataclasses.replace(records, extra=extra))
    with pytest.raises(ValueError, match="have no setting, valid, pose3d_universal"):
        run(case, records=dataclasses.replace(records, extra={}))


def measured(offsets):
    """Figures of one frame; ``offsets`` (1 + M, 17) mm off along x, z0 first."""
    target = np.zeros((17, 3), np.float32)
    poses = np.zeros((len(offsets), 17, 3), np.float32)
    poses[..., 0] = np.asarray(offsets) / 1000
    drawn = measuring.Drawn(
        jnp.asarray(poses[None, 1:]),
        jnp.asarray(poses[None, 0]),
        jnp.asarray(target[None]),
        jax.random.key(0)[None],
        None,
    )
    return jax.tree.map(
        lambda leaf: np.asarray(leaf)[0], settings_protocol.measure(drawn)
    )


def test_thresholds_are_strict():
    for millimetres, near, thresholds in (
        (0.0, 14, 30),
        (150.0, 0, 0),
        (149.99, 14, 1),
        (150.01, 0, 0),
        (5.0, 14, 29),
        (4.99, 14, 30),
        (75.0, 14, 15),
        (1000.0, 0, 0),
    ):
        found = measured(np.full((3, 17), millimetres))
        assert list(found.near) == [near, near], millimetres
        assert list(found.near_any) == [14 * thresholds] * 2, millimetres


def test_only_fourteen_joints_count():
    offsets = np.full((2, 17), 1000.0)
    offsets[:, list(PCK_JOINTS)] = 0
    found = measured(offsets)
    assert list(found.near) == [14, 14]
    np.testing.assert_allclose(found.mpjpe, 3000 / 17, rtol=1e-5)


def test_the_best_is_chosen_for_each_figure():
    steady = np.full(17, 149.0)  # every joint just near enough
    sharp = np.full(17, 10.0)  # nearer in the mean, but one joint is far
    sharp[3] = 400
    found = measured([np.full(17, 149.5), steady, sharp])
    assert list(found.near) == [14, 14]
    assert list(found.near_any) == [13 * 28, 14]
    np.testing.assert_allclose(found.mpjpe, [(160 + 400) / 17, 149.5], rtol=1e-5)


def test_a_perfect_prediction(case):
    _, records, _, _, _ = case
    valid = records.extra["valid"]
    truth = jnp.asarray(settings_protocol.targets_of(records.take(valid), "universal"))
    poses2d = data.to_batch(records.take(valid)).pose2d

    @jax.tree_util.register_static
    class Perfect:
        def sample(self, pose2d, cond, key, *, num_hypotheses, temperature=1.0):
            row = jnp.argmin(jnp.sum((pose2d[:, None] - poses2d) ** 2, axis=-1), axis=1)
            return jnp.repeat(truth[row][:, None], num_hypotheses, axis=1)

    result = run(case, model=Perfect())
    for figures in result.figures.values():
        np.testing.assert_array_equal(figures.pck, 1)
        np.testing.assert_array_equal(figures.auc, 30 / 31)  # 0 < 0 does not hold
        np.testing.assert_array_equal(figures.mpjpe, 0)
    shown = tables.to_console(result_tables.by_setting(result))
    assert "100.0  96.8  96.8" in shown


def test_tables_stand_beside_the_paper_s(result):
    by_setting = result_tables.by_setting(result)
    beside = result_tables.settings_beside(result)
    assert by_setting.title == (
        "MPI-INF-3DHP: 17 valid frames (6 more are not valid), 6 hypotheses each, "
        "target univ_annot3"
    )
    assert [row.texts[:2] for row in by_setting.rows] == [
        ("Studio GS", "8"),
        ("Studio no GS", "3"),
        ("Outdoor", "6"),
        ("All", "17"),
    ]
    assert beside.columns == ("Method", "Studio GS", "Studio no GS", "Outdoor", "All")
    rows = {row.texts[0]: row.texts[1:] for row in beside.rows}
    assert rows["Wehrbein et al., ICCV 2021"] == ("86.6", "82.8", "82.5", "84.3")
    assert rows["This model, best of 6"] == tuple(
        row.texts[2] for row in by_setting.rows
    )
    assert rows["This model, z0"] == tuple(row.texts[3] for row in by_setting.rows)
    assert rows["Frames counted"] == ("8", "3", "6", "17")
    assert "Li and Lee, CVPR 2019: given the true 2D joints" in beside.note
    # The table is of the best hypothesis: of these one is best, and no count of frames.
    assert {row for row, _ in best_cells(beside)} <= {0, 1, 2, 3}
    assert {column for _, column in best_cells(beside)} == {1, 2, 3, 4}
    assert "Table 3" in beside.title and "strictly" in result_tables.SETTINGS_LEGEND


def test_json_is_plain(result):
    found = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert list(found["settings"]) == ["Studio GS", "Studio no GS", "Outdoor"]
    assert found["all_frames"]["frames"] == 17 and found["frames_not_valid"] == 6
    best = found["settings"]["Outdoor"]["pck150_share"]["best"]
    np.testing.assert_allclose(best, result.figures["Outdoor"].pck[0])


def test_a_part_of_the_set_has_the_settings_it_has(case):
    _, records, _, _, _ = case
    part = run(case, records=records.take(slice(0, 13)))
    assert list(part.figures) == ["Studio GS", "Studio no GS", "All"]
    assert result_tables.settings_beside(part).rows[2].texts[1:] == (
        "86.6",
        "82.8",
        "84.3",
    )


def test_annotated_2d_joints_are_named(result):
    assert "this model" not in result_tables.settings_beside(result).note
    annotated = dataclasses.replace(result, annotated_2d=True)
    assert (
        "this model: given the true 2D joints."
        in result_tables.settings_beside(annotated).note
    )
    assert annotated.to_json()["annotated_2d"] and not result.to_json()["annotated_2d"]


def test_fits_without_error_are_annotated_joints(case):
    _, records, _, _, _ = case
    fits = records.gaussfit.copy()
    fits[..., 6] = 0
    exact = dataclasses.replace(records, gaussfit=fits)
    assert run(case, records=exact).annotated_2d and not run(case).annotated_2d
