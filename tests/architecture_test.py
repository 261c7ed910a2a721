"""The layers, read from the imports: nothing knows what lies above it.

words <- maths <- stages <- training maths <- data and training <- commands

A module that is not listed here belongs to data, training and reporting: it may import
anything but commands, and nothing of the layers below may import it.
"""

import ast
import json
import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
LAYERS = [
    # words
    "__init__ _version types skeleton config presets published",
    # maths
    "checks linalg arctangent geometry mmd keys layers tiling files",
    # stages
    "heatmaps gaussians moments gauss_newton gaussian_fit condition coupling stack "
    "flow drawing kept_blocks sampling distribution procrustes coverage sample_size "
    "metrics kmeans selection sigma_error temperature",
    # training maths
    "critic losses training.noise training.state training.step torch_weights",
    # data, training, reporting
    "",
    # commands
    "commands train evaluate fit report import_torch compare predict export "
    "sample_set train_detector multihost_flags calibrate",
]  # fmt: skip
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names.split()}
OUTER, COMMANDS = 4, 5


def sources():
    """Module name -> syntax tree, of both packages."""
    found = {}
    for package in ("jaxflow", "data_builders"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts)] = ast.parse(path.read_text(), str(path))
    return found


SOURCES = sources()


def imported(module, late=True):
    """Full names that a module imports; of ours, down to the module.

    late: also what functions import when called. What only type checkers import does
    not count.
    """
    nodes = list(SOURCES[module].body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            if not late:
                continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in SOURCES or _is_package(full) else node.module
        nodes += list(ast.iter_child_nodes(node))


def _is_package(name):
    return f"{name}.__init__" in SOURCES


def level_of(module):
    package, _, name = module.partition(".")
    if package == "data_builders":
        return COMMANDS if name == "build" else OUTER
    name = name.removesuffix(".__init__") or "__init__"
    return LEVELS.get(name, OUTER)


def is_ours(name):
    return name.split(".")[0] in ("jaxflow", "data_builders")


# The package's door names the stages, so that users need not; what the door itself
# loads is tested below.
MODULES = [name for name in SOURCES if name != "jaxflow.__init__"]


@pytest.mark.parametrize("module", MODULES)
def test_no_upward_imports(module):
    level = level_of(module)
    upward = [
        name
        for name in set(imported(module))
        if is_ours(name) and name in SOURCES and level_of(name) > level
    ]
    assert not upward


def test_every_listed_module_exists():
    """Or a rule holds a module that was renamed."""
    # Commands that are yet to come may be listed.
    missing = [
        name
        for name, level in LEVELS.items()
        if f"jaxflow.{name}" not in SOURCES and level != COMMANDS
    ]
    assert not missing


def test_imports_have_no_circles():
    graph = {
        module: {n for n in imported(module, late=False) if n in SOURCES and is_ours(n)}
        for module in MODULES
    }
    done, under_way = set(), []

    def visit(module):
        assert module not in under_way, [*under_way, module]
        if module in done:
            return
        under_way.append(module)
        for name in graph.get(module, ()):
            visit(name)
        done.add(under_way.pop())

    for module in graph:
        visit(module)


OWNERS = {
    "orbax": {"jaxflow.training.checkpoint", "jaxflow.training.checkpointer"},
    "distrax": {"jaxflow.distribution"},
    "tensorboard": {"jaxflow.training.writer"},
    "torch": {"jaxflow.torch_checkpoint"},
    "imageio_ffmpeg": {"jaxflow.detector.videos"},
    "pickle": {"data_builders.restricted_pickle"},
}
FORBIDDEN = ("tensorflow", "clu", "haiku", "equinox")


def importers(library):
    return {
        module
        for module in SOURCES
        for name in imported(module)
        if name.split(".")[0] == library
    }


@pytest.mark.parametrize("library", OWNERS)
def test_libraries_have_one_owner(library):
    assert importers(library) == OWNERS[library]


@pytest.mark.parametrize("library", FORBIDDEN)
def test_libraries_that_nothing_needs(library):
    assert not importers(library)


def test_tfds_is_for_data():
    allowed = {"jaxflow.data"}
    others = {m for m in importers("tensorflow_datasets") if not m.startswith("data_b")}
    assert others <= allowed


def test_flags_are_for_commands():
    for module, tree in SOURCES.items():
        text = ast.unparse(tree)
        if level_of(module) != COMMANDS:
            assert "absl" not in {n.split(".")[0] for n in imported(module)}, module
            assert "FLAGS" not in text.replace("XLA_FLAGS", ""), module


def test_pmap_has_one_owner():
    users = {
        module
        for module, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "pmap"
    }
    assert users == {"jaxflow.training.parallel"}


def test_no_global_statements():
    for module, tree in SOURCES.items():
        kinds = {type(node) for node in ast.walk(tree)}
        assert ast.Global not in kinds, module


@pytest.mark.parametrize("module", MODULES)
def test_joint_numbers_are_the_skeleton_s(module):
    """Lists of small integers that could be joints live in skeleton alone.

    Five or more different whole numbers from 0 to 16 in one literal are taken for
    joints, unless they only count up.
    """
    # The latter's are numbers of hypotheses.
    if module in ("jaxflow.skeleton", "jaxflow.sample_size"):
        return
    for node in ast.walk(SOURCES[module]):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            values = [
                element.value
                for element in node.elts
                if isinstance(element, ast.Constant) and type(element.value) is int
            ]
            joints = len(values) == len(node.elts) and len(set(values)) >= 5
            joints &= all(0 <= value <= 16 for value in values)
            counts = sorted(values) == list(range(len(values)))
            assert not joints or counts, f"line {node.lineno}: {ast.unparse(node)}"


LATE = ("orbax", "tensorflow_datasets", "distrax", "tensorboard", "matplotlib", "torch",
        "tensorflow", "PIL", "onnxruntime", "jaxflow.train", "jaxflow.evaluate",
        "jaxflow.commands", "data_builders")  # fmt: skip


def test_importing_jaxflow_loads_nothing_heavy():
    program = (
        "import json, sys, jaxflow; loaded = set(sys.modules)\n"
        "import jaxflow.critic, jaxflow.losses, jaxflow.metrics\n"
        "import jaxflow.training.step\n"
        "print(json.dumps([sorted(loaded), sorted(sys.modules)]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    for loaded in json.loads(result.stdout):
        assert not set(LATE) & set(loaded)


def test_importing_jaxflow_defines_no_flags():
    program = (
        "import sys, jaxflow\n"
        "flags = sys.modules.get('absl.flags')\n"
        "if flags:\n"
        "    ours = [m for m in flags.FLAGS.flags_by_module_dict() if 'jaxflow' in m]\n"
        "    sys.exit(f'{ours}' if ours else 0)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", [m for m in SOURCES if not m.endswith("__init__")])
def test_files_and_functions_are_short(module):
    tree = SOURCES[module]
    path = REPOSITORY / (module.replace(".", "/") + ".py")
    assert len(path.read_text().splitlines()) <= 350
    assert module == "jaxflow._version" or ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            lines = node.end_lineno - node.lineno + 1 - len(docstring.splitlines())
            assert lines <= 60, f"{module}.{node.name} has {lines} lines"


TEST_FILES = sorted((REPOSITORY / "tests").rglob("*.py"))


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 350
