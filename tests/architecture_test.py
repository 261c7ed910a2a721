"""The house, read from the imports: nothing knows what lies on a floor above it.

Nouns are rooms (folders), verbs are doors (commands). A room is a stage or a service;
what stands at the top of the package are the words that all rooms use.
"""

import ast
import functools
import json
import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
# From the ground up; a room may import its own modules and those of lower floors.
FLOORS = [
    "types config skeleton _version",
    "maths runs",
    "gaussians critic",
    "flow metrics losses data_builders detector",
    "data torch_weights",
    "evaluation",
    "training reporting",
    "methods",
    "prediction",
    "commands __init__",
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}
MOST_ENTRIES, MOST_FLOORS, MOST_NAMES, MOST_LINES = 22, 11, 25, 350


def sources():
    """Module name -> syntax tree, of both packages."""
    found = {}
    for package in ("jaxflow", "data_builders"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts)] = ast.parse(path.read_text(), str(path))
    return found


SOURCES = sources()


@functools.cache
def imported(module, late=True):
    """Full names that a module imports; of ours, down to the module.

    late: also what functions import when called. What only type checkers import does
    not count.
    """
    names, nodes = [], list(SOURCES[module].body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            if not late:
                continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names += [_module(node.module, alias.name) for alias in node.names]
        nodes += list(ast.iter_child_nodes(node))
    return tuple(names)


def _module(package, name):
    """What ``from package import name`` imports of ours, down to the module."""
    full = f"{package}.{name}"
    if full in SOURCES or f"{full}.__init__" in SOURCES:
        return full
    # A command is found at the package's top, too: see jaxflow/__init__.py.
    command = f"jaxflow.commands.{name}"
    return command if package == "jaxflow" and command in SOURCES else package


def room_of(module):
    """The folder or top-level file that a module belongs to."""
    package, _, name = module.partition(".")
    if package == "data_builders":
        # The door to the builders is a command that lies outside.
        return "commands" if name == "build" else package
    return name.split(".")[0] or "__init__"


def is_command(module):
    return room_of(module) == "commands"


def is_ours(name):
    return name.split(".")[0] in ("jaxflow", "data_builders")


# The package's door names the stages, so that users need not; what the door itself
# loads is tested below.
MODULES = [name for name in SOURCES if name != "jaxflow.__init__"]


@pytest.mark.parametrize("module", MODULES)
def test_no_upward_imports(module):
    room = room_of(module)
    upward = [
        name
        for name in set(imported(module))
        if is_ours(name)
        and room_of(name) != room
        and FLOOR[room_of(name)] >= FLOOR[room]
    ]
    assert not upward


BUILDERS_KNOW = "types config skeleton gaussians runs".split()


def test_builders_know_little_of_the_method():
    """Words, Gaussians and whole files; nothing that samples, trains or measures."""
    known = {
        room_of(name)
        for module in MODULES
        if room_of(module) == "data_builders"
        for name in imported(module)
        if name.startswith("jaxflow")
    }
    assert known <= set(BUILDERS_KNOW)


def test_the_house_is_small(record_property):
    """Few entries, few floors, small faces: figures that a reader can check."""
    entries = sorted(
        path.name
        for path in (REPOSITORY / "jaxflow").iterdir()
        if path.name != "__pycache__"
    )
    rooms = {room_of(module) for module in SOURCES}
    faces = {
        module: _face(tree)
        for module, tree in SOURCES.items()
        if module.endswith(".__init__") and module != "jaxflow.__init__"
    }
    largest = max(faces, key=lambda module: len(faces[module]))
    print(f"{len(entries)} entries, {len(FLOORS) + 1} floors with benchmarks,")
    print(f"the largest face {largest} with {len(faces[largest])} names")
    assert rooms == set(FLOOR)
    assert len(entries) <= MOST_ENTRIES
    assert len(FLOORS) + 1 <= MOST_FLOORS
    assert len(faces[largest]) <= MOST_NAMES


def _face(tree):
    """What a package's ``__all__`` lists."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


@pytest.mark.parametrize("module", MODULES)
def test_commands_have_one_name(module):
    """``jaxflow.train``, not ``jaxflow.commands.train``: flags are defined once."""
    for node in ast.walk(SOURCES[module]):
        if isinstance(node, ast.ImportFrom) and node.module == "jaxflow.commands":
            assert all(alias.name.startswith("_") for alias in node.names)


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
    "orbax": {"jaxflow.runs.checkpoint", "jaxflow.runs.checkpointer"},
    "distrax": {"jaxflow.flow.distribution"},
    "tensorboard": {"jaxflow.runs.writer"},
    "torch": {"jaxflow.runs.torch_files"},
    "grain": {"jaxflow.data.source"},
    "imageio_ffmpeg": {"jaxflow.detector.readers.videos"},
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
    allowed = {"jaxflow.data.records"}
    others = {m for m in importers("tensorflow_datasets") if not m.startswith("data_b")}
    assert others <= allowed


def test_flags_are_for_commands():
    for module, tree in SOURCES.items():
        text = ast.unparse(tree)
        if not is_command(module):
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
    if module in ("jaxflow.skeleton", "jaxflow.metrics.errors"):
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


LATE = (
    "grain",
    "orbax",
    "tensorflow_datasets",
    "distrax",
    "tensorboard",
    "matplotlib",
    "torch",
    "tensorflow",
    "PIL",
    "onnxruntime",
    "jaxflow.train",
    "jaxflow.evaluate",
    "jaxflow.commands",
    "data_builders",
)


def test_importing_jaxflow_loads_nothing_heavy():
    program = (
        "import json, sys, jaxflow; loaded = set(sys.modules)\n"
        "import jaxflow.critic, jaxflow.losses, jaxflow.metrics\n"
        "import jaxflow.training.step\n"
        "print(json.dumps([sorted(loaded), sorted(sys.modules)]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
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
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", [m for m in SOURCES if not m.endswith("__init__")])
def test_files_and_functions_are_short(module):
    tree = SOURCES[module]
    path = REPOSITORY / (module.replace(".", "/") + ".py")
    assert len(path.read_text().splitlines()) <= MOST_LINES
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
