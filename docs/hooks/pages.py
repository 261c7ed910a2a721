"""Pages that are not written by hand: of the flags, the notebooks, and other folders.

The site shows what lies elsewhere in the repository under an address of its own, and
links between files become links between pages; what has no page is named only.
"""

import base64
import importlib
import json
import pathlib
import posixpath
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Page of the site -> file of the repository.
ELSEWHERE = {
    **{
        f"data/{name}.md": f"data_builders/{name}/README.md"
        for name in (
            "synthetic_lift",
            "cmu_mocap_lift",
            "human36m_lift",
            "mpi_inf_3dhp_lift",
        )
    },
    "detector.md": "jaxflow/detector/README.md",
    "scripts.md": "launch/README.md",
    "changes.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "conduct.md": "CODE_OF_CONDUCT.md",
}
ADDRESS = {source: page for page, source in ELSEWHERE.items()}
ADDRESS["README.md"] = "index.md"
ADDRESS["jaxflow/commands"] = "reference/commands.md"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
SHORT = re.compile(r"<code>([^<\n]{1,28})</code>")
FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made."""
    made = {page: (ROOT / source).read_text() for page, source in ELSEWHERE.items()}
    made["reference/commands.md"] = commands_page()
    for path in sorted((ROOT / "docs/tutorials").glob("*.ipynb")):
        text, pictures = notebook_page(path)
        made[f"tutorials/{path.stem}.md"] = text
        for name, content in pictures.items():
            files.append(File.generated(config, f"tutorials/{name}", content=content))
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Links to files of the repository become links to their pages."""
    here = page.file.src_uri
    place = posixpath.dirname(ELSEWHERE.get(here, f"docs/{here}"))

    def moved(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2], link[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        source = posixpath.normpath(posixpath.join(place, target))
        goal = ADDRESS.get(source, source.removeprefix("docs/"))
        goal = re.sub(r"\.ipynb$", ".md", goal)  # of a notebook: its page
        if files.get_file_from_path(goal) is None:
            return words if (ROOT / source).exists() else link[0]
        away = posixpath.relpath(goal, posixpath.dirname(here) or ".")
        return f"[{words}]({away}{anchor})"

    parts = FENCE.split(markdown)
    return "".join(
        part if part.startswith("```") else LINK.sub(moved, part) for part in parts
    )


def on_page_content(content: str, **_: Any) -> str:
    """Short names and flags in a sentence or a table stay whole."""
    return SHORT.sub(r'<code class="whole">\1</code>', content)


def commands_page() -> str:
    """Every command and flag, from the flags themselves."""
    from jaxflow.commands import __main__ as door
    from jaxflow.commands import _help

    lines = [
        "# Commands",
        "",
        "Each is `jaxflow NAME` or `python -m jaxflow.NAME`; `--help` says the same. "
        "Flags may be kept in a file, one a line, and taken from there: "
        "`--flagfile=FILE`. Of every command: `--debug` (where in the code an error "
        "arose), `--compilation_cache=FOLDER`, `--precision=default|high|highest`.",
        "",
    ]
    for name in door.names():
        module = importlib.import_module(f"jaxflow.{name}")
        about, example = _help.parts(module.__doc__ or "")
        flags = module.flags.FLAGS
        own = [flags[flag] for flag in flags]
        lines += [f"## {name}", "", about.replace("    ", ""), ""]
        lines += ["```", example, "```", ""]
        for heading, group in _help.groups(own, module.flags.required).items():
            lines += [f"**{heading}**", ""]
            lines += [f"- `{_help.spelled(f)}`: {plain(_help.told(f))}" for f in group]
            lines.append("")
    return "\n".join(lines)


def plain(text: str) -> str:
    """A text whose signs are no Markdown."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)


def notebook_page(path: pathlib.Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, with what its cells printed and drew.

    Returns:
      The page, and its pictures by name.
    """
    cells = json.loads(path.read_text())["cells"]
    lines, pictures = [], {}
    for number, each in enumerate(cells):
        source = "".join(each["source"])
        if each["cell_type"] == "markdown":
            lines += [source, ""]
            continue
        lines += ["```python", source, "```", ""]
        for output in each["outputs"]:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}-{number}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                lines += [f"![{each['metadata']['alt']}]({name})", ""]
            elif text := "".join(output.get("text", data.get("text/plain", ""))):
                lines += ["```text", text.rstrip(), "```", ""]
    lines += [f"*This page is the notebook `docs/tutorials/{path.name}`.*", ""]
    return "\n".join(lines), pictures
