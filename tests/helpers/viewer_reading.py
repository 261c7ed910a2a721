"""Using the viewer in a browser and reading what it drew and said."""

import time

SPACE, PLANE = "[data-role=space]", "[data-role=plane]"
# The pixels of a canvas, read from a copy that the browser keeps for reading.
PIXELS = """
  const copy = document.createElement("canvas");
  [copy.width, copy.height] = [canvas.width, canvas.height];
  const context = copy.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, copy.width, copy.height);
"""
COLOURS = f"""(canvas) => {{{PIXELS}
  return new Set(new Uint32Array(data.buffer)).size;
}}"""
# Width and height of what is drawn in ink or nearly, in light colours.
INKED = f"""(canvas) => {{{PIXELS}
  const [xs, ys] = [[], []];
  for (let i = 0; i < data.length; i += 4) {{
    if (data[i + 3] < 200 || Math.max(data[i], data[i + 1], data[i + 2]) > 90) continue;
    xs.push((i / 4) % canvas.width);
    ys.push(Math.floor(i / 4 / canvas.width));
  }}
  return [xs, ys].map((ends) => Math.max(...ends) - Math.min(...ends));
}}"""
# Of the blue (left) or the orange (right) pixels: count, mean x and y, and the y of the
# one furthest to the right.
SIDE = f"""(canvas, side) => {{{PIXELS}
  const found = {{ count: 0, x: 0, y: 0, end: -1, endY: 0 }};
  for (let i = 0; i < data.length; i += 4) {{
    const bluer = data[i + 2] - data[i];
    if (data[i + 3] < 200 || (side === "left" ? bluer : -bluer) < 60) continue;
    const [x, y] = [(i / 4) % canvas.width, Math.floor(i / 4 / canvas.width)];
    found.count += 1;
    found.x += x;
    found.y += y;
    if (x > found.end) [found.end, found.endY] = [x, y];
  }}
  return {{ ...found, x: found.x / found.count, y: found.y / found.count }};
}}"""


def drawn(opened, canvas=SPACE):
    """The picture as text: equal if every pixel is."""
    opened.settle()
    return opened.page.locator(canvas).evaluate("canvas => canvas.toDataURL()")


def side(opened, name):
    """Where the pixels of the left or the right limbs are."""
    opened.settle()
    return opened.page.locator(SPACE).evaluate(SIDE, name)


def until(condition):
    """Waits, at most ten seconds; the page's policy forbids the browser to poll."""
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def said(opened, role):
    opened.settle()
    return opened.page.locator(f"[data-role={role}]").inner_text()


def choose(opened, group, value):
    opened.page.locator(f"[name=viewer-{group}][value={value}] + span").click()


def view(opened, name):
    opened.page.get_by_role("button", name=name, exact=True).click()
