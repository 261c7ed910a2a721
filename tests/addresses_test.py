"""Every module is tested where its path says, or where this list says."""

import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Test file -> modules that it tests and that have none of their own name.
COVERED = """
commands/build_data
    data_builders.build
    jaxflow.reporting.figures.data_card
    jaxflow.reporting.inventory
commands/compare
    jaxflow.reporting.choice_tables
    jaxflow.reporting.figures.choice
commands/calibrate
    jaxflow.evaluation.calibrating
    jaxflow.flow.calibration_file
    jaxflow.reporting.calibration
    jaxflow.reporting.figures.temperature
    jaxflow.training.frames
commands/evaluate
    jaxflow.evaluation.protocol
commands/completion
    jaxflow.commands._completion
commands/fit
    jaxflow.prediction.fits
    jaxflow.reporting.figures.fits
commands/flags
    jaxflow.commands._flags
commands/help
    jaxflow.commands.__main__
    jaxflow.commands._help
commands/import_torch
    jaxflow.runs.torch_files
commands/train_detector
    jaxflow.detector.learning.loop
    jaxflow.detector.learning.step
    jaxflow.detector.network.checkpoint
config
    jaxflow.config.architecture
    jaxflow.config.options
    jaxflow.config.running
    jaxflow.config.training
    jaxflow.runs.plain_config
critic
    jaxflow.maths.layers
data/records
    data_builders.features
    jaxflow.data.subsets
data/source
    jaxflow.data.examples
data_builders/cmu_mocap
    data_builders.cmu_mocap_lift.amc
    data_builders.cmu_mocap_lift.asf
    data_builders.cmu_mocap_lift.kinematics
data_builders/cmu_mocap_lift
    data_builders.cmu_mocap_lift.cmu_mocap_lift_dataset_builder
    data_builders.cmu_mocap_lift.generation
    data_builders.cmu_mocap_lift.recordings
    data_builders.simulation.cameras
    data_builders.simulation.studio
data_builders/cmu_mocap_source
    data_builders.cmu_mocap_lift.download
    data_builders.cmu_mocap_lift.source
    data_builders.registry
data_builders/cmu_mocap_wild
    data_builders.cmu_mocap_lift.configurations
    data_builders.simulation.pictures
    data_builders.simulation.proportions
    data_builders.simulation.snapshots
    data_builders.simulation.two_detectors
data_builders/human36m_cdf
    data_builders.human36m_lift.cdf
    data_builders.human36m_lift.cdf_child
data_builders/human36m_configurations
    data_builders.human36m_lift.configurations
data_builders/human36m_lift
    data_builders.human36m_lift.human36m_lift_dataset_builder
data_builders/human36m_sources
    data_builders.files
    data_builders.human36m_lift.fits
    data_builders.human36m_lift.forms
    data_builders.human36m_lift.parse
    data_builders.human36m_lift.positions
    data_builders.human36m_lift.recordings
    data_builders.human36m_lift.sources
data_builders/human36m_refilmed
    data_builders.human36m_lift.refilmed
data_builders/mpi_inf_3dhp
    data_builders.mpi_inf_3dhp_lift.mpi_inf_3dhp_lift_dataset_builder
    data_builders.mpi_inf_3dhp_lift.parse
    data_builders.mpi_inf_3dhp_lift.raw
data_builders/synthetic_lift
    data_builders.simulation.bodies
    data_builders.simulation.detector
    data_builders.simulation.families
    data_builders.simulation.motion
    data_builders.simulation.occlusion
    data_builders.simulation.views
    data_builders.synthetic_lift.generation
    data_builders.synthetic_lift.synthetic_lift_dataset_builder
detector/learning/examples
    jaxflow.detector.learning.labels
detector/network/hrnet
    jaxflow.detector.network.blocks
detector/readers/people
    jaxflow.detector.readers.keypoint_tables
evaluation/comparison
    jaxflow.evaluation.seed_statistics
    jaxflow.reporting.comparison
evaluation/measuring
    jaxflow.metrics.sums
evaluation/temperature
    jaxflow.metrics.coverage
evaluation/uncertainty
    jaxflow.evaluation.response
    jaxflow.reporting.uncertainty_tables
flow/checkpoint
    jaxflow.runs.checkpoint
flow/exported
    jaxflow.commands.export
    jaxflow.flow.onnx_graph
gaussians/fitting
    jaxflow.gaussians.gauss_newton
gaussians/keypoints
    jaxflow.gaussians.skeletons
methods/members
    jaxflow.methods.flow
methods/weights
    jaxflow.runs.released
prediction/exports
    jaxflow.prediction.export_bvh
    jaxflow.prediction.export_tables
prediction/lifter
    jaxflow.prediction.lifting
prediction/looking
    jaxflow.detector.blazepose.detector
prediction/maps
    jaxflow.gaussians.scales
prediction/path_run
    jaxflow.prediction.motions
prediction/predict
    jaxflow.detector.readers.records
    jaxflow.prediction.document
    jaxflow.prediction.in_memory
    jaxflow.prediction.inputs
    jaxflow.prediction.page
    jaxflow.prediction.pictures
    jaxflow.prediction.records
    jaxflow.prediction.sources
    jaxflow.prediction.stream
    jaxflow.reporting.figures.overlay
prediction/predict_faults
    jaxflow.prediction.unfinished
prediction/sets
    jaxflow.commands.sample_set
    jaxflow.prediction.set_files
    jaxflow.prediction.set_sampling
public_interface
    jaxflow.commands.predict
    jaxflow.types
reporting/figures
    jaxflow.reporting.figures.idea
    jaxflow.reporting.figures.poses
    jaxflow.reporting.figures.style
reporting/report
    jaxflow.commands.report
    jaxflow.evaluation.baselines
    jaxflow.reporting.beside_paper
    jaxflow.reporting.chosen_frames
    jaxflow.reporting.contents
    jaxflow.reporting.drawings
    jaxflow.reporting.figures.curves
    jaxflow.reporting.figures.response
    jaxflow.reporting.figures.sigma
    jaxflow.reporting.result_tables
reporting/viewer
    jaxflow.reporting.viewer.viewer
methods/samplers
    jaxflow.evaluation.sampling_cost
    jaxflow.methods.training_cost
methods/supervised
    jaxflow.methods.net_model
methods/toy
    jaxflow.methods.cvae
    jaxflow.methods.denoiser
    jaxflow.methods.diffusion
    jaxflow.methods.gaussian_nll
    jaxflow.methods.generator
    jaxflow.methods.mdn
    jaxflow.methods.regression
methods/whitening
    jaxflow.methods.ridge
runs/multihost
    jaxflow.commands._multihost
training/faults
    jaxflow.runs.checkpointer
    jaxflow.runs.errors
    jaxflow.runs.files
    jaxflow.runs.run
    jaxflow.runs.trees
    jaxflow.training.dispatch
training/health
    jaxflow.runs.progress
training/loop
    jaxflow.runs.window
    jaxflow.runs.writer
    jaxflow.training.method
    jaxflow.training.validation
training/parallel
    jaxflow.training.epochs
training/step
    jaxflow.training.objective
    jaxflow.training.state
    jaxflow.training.updates
training/streamed
    jaxflow.training.supply
    jaxflow.training.survey
"""


def covered():
    """Module -> the test file that the list gives it."""
    places, place = {}, ""
    for line in COVERED.strip().splitlines():
        if line.startswith(" "):
            places[line.strip()] = place
        else:
            place = f"tests/{line}_test.py"
    return places


def test_the_list_names_no_module_that_is_gone():
    files = [f"{name.replace('.', '/')}.py" for name in covered()]
    assert not [file for file in files if not (ROOT / file).exists()]


MODULES = [
    path.relative_to(ROOT)
    for package in ("jaxflow", "data_builders")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name not in ("__init__.py", "_version.py")
]


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_every_module_has_a_test_file(path):
    room = path.relative_to("jaxflow") if path.parts[0] == "jaxflow" else path
    place = ROOT / "tests" / room.with_name(f"{path.stem}_test.py")
    if not place.exists():
        place = ROOT / covered()[".".join(path.with_suffix("").parts)]
    assert "def test_" in place.read_text()
