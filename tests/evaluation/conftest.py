"""Small models side by side, made once for all who look at them."""

import pytest

from jaxflow import config, data
from jaxflow.evaluation import comparison
from jaxflow.evaluation.comparison import Entry
from jaxflow.flow import checkpoint
from jaxflow.methods import samplers
from tests.helpers import flows
from tests.helpers.evaluation import TEST, records

SMALL = config.FlowConfig(hidden=8, blocks=2)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Three checkpoints of one architecture."""
    found = []
    for seed in range(3):
        folder = tmp_path_factory.mktemp(f"seed{seed}")
        params = flows.some(SMALL, seed=seed)
        checkpoint.save_params(folder, params, config.TrainConfig(flow=SMALL))
        found.append(str(folder))
    return found


@pytest.fixture(scope="session")
def compared(folders):
    """The full model with two seeds, and another with one."""
    entries = Entry("full", tuple(folders[:2])), Entry("other", (folders[2],))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load_records", lambda *arguments: records())
        return comparison.compare(entries, config.DataConfig(), TEST, samplers.load)
