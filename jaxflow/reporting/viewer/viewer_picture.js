// The whole picture with everyone in it. A click picks the nearest person; each also has
// a button around them, for the keyboard.

const ELSEWHERE = 0.75; // strength of those who are not picked
const NEAR = 28; // CSS pixels from a skeleton that still mean its owner
const LEAST = 24; // CSS pixels of a button, to be hit by a finger
const PROJECTED = 60; // hypotheses that are drawn over a picture, at most

// From the crop of a person to the picture: squares are middle x, middle y, side.
function inPicture([x, y], [middleX, middleY, side]) {
  const scale = side / CROP;
  return [middleX + scale * (x - CROP / 2), middleY + scale * (y - CROP / 2)];
}

// A scene of the page as it is drawn: who is in it, and their joints in its pixels.
function readScene(scene, number, sources) {
  const people = [];
  sources.forEach((source, index) => {
    if (source.scene !== number) return;
    const joints = source.pose2d.map((joint) => inPicture(joint, source.square));
    people.push({ index, joints, title: source.title });
  });
  const picture = scene.picture ? new Image() : null;
  if (picture) picture.src = scene.picture;
  return { bounds: scene.bounds, others: scene.others, people, picture };
}

// How the scene lies in its panel: all of it, in the middle.
function layScene({ bounds: [left, top, wide, high] }, width, height) {
  const scale = Math.min(width / wide, height / high);
  const [x0, y0] = [(width - scale * wide) / 2, (height - scale * high) / 2];
  const place = ([x, y]) => [x0 + scale * (x - left), y0 + scale * (y - top)];
  return { scale, place, size: [scale * wide, scale * high], corner: [x0, y0] };
}

function distanceToBone([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const along = ((x - ax) * dx + (y - ay) * dy) / Math.max(dx * dx + dy * dy, 1e-9);
  const t = clamp(along, 0, 1);
  return Math.hypot(x - ax - t * dx, y - ay - t * dy);
}

// The person whose skeleton is nearest to a point of the panel, if any is near.
function nearestPerson(scene, place, bones, point) {
  let found = { index: null, distance: NEAR };
  for (const { index, joints } of scene.people) {
    for (const [start, end] of bones) {
      const ends = [place(joints[start]), place(joints[end])];
      const distance = distanceToBone(point, ...ends);
      if (distance < found.distance) found = { index, distance };
    }
  }
  return found.index;
}

// Buttons around the people, small ones above large ones.
function placeButtons(viewer, scene, place) {
  const { people, spot } = viewer.parts;
  if (viewer.buttonsOf !== scene) {
    viewer.buttonsOf = scene;
    people.replaceChildren(...scene.people.map(({ index, title }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.person = index;
      button.setAttribute("aria-label", title);
      button.title = title;
      return button;
    }));
  }
  scene.people.forEach(({ index, joints }, i) => {
    const button = people.children[i];
    const points = joints.map(place);
    const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
    const [left, top] = [Math.min(...xs) - 6, Math.min(...ys) - 6];
    const wide = Math.max(Math.max(...xs) + 6 - left, LEAST);
    const high = Math.max(Math.max(...ys) + 6 - top, LEAST);
    const style = { left, top, width: wide, height: high };
    for (const [name, value] of Object.entries(style)) button.style[name] = `${value}px`;
    button.style.zIndex = String(Math.max(1, Math.round(1e5 - Math.sqrt(wide * high))));
    button.setAttribute("aria-pressed", String(index === viewer.number));
  });
  spot.hidden = scene.people.length < 2;
}

function drawScenePicture(viewer) {
  const { parts, pose, state, skeleton, theme, sources } = viewer;
  const scene = viewer.sceneOf(sources[viewer.number]);
  parts.scene.hidden = !scene;
  if (!scene) return;
  const [, , wide, high] = scene.bounds;
  parts.scene.style.aspectRatio = `${wide} / ${high}`;
  const { context, width, height } = beginDrawing(parts.picture);
  if (!width || !height) return;
  const { place, scale, size, corner } = layScene(scene, width, height);
  if (scene.picture?.complete && scene.picture.naturalWidth) {
    context.drawImage(scene.picture, ...corner, ...size);
  } else {
    context.fillStyle = theme.rule;
    context.fillRect(...corner, ...size);
  }
  const dark = theme.sides.map(() => theme.stage);
  const muted = theme.sides.map(() => theme.muted);
  const { bones2d } = skeleton;
  context.globalAlpha = ELSEWHERE;
  for (const joints of scene.others) {
    drawFlat(context, joints, bones2d, place, muted, 1.5);
  }
  for (const { index, joints } of scene.people) {
    if (index === viewer.number) continue;
    drawFlat(context, joints, bones2d, place, dark, 4);
    drawFlat(context, joints, bones2d, place, theme.sides, 2);
  }
  context.globalAlpha = 1;
  const { square } = sources[viewer.number];
  const own = (point) => place(inPicture(point, square));
  drawEllipses(context, pose, own, (scale * square[2]) / CROP, theme, 1);
  drawProjections(context, pose, state, own, skeleton, theme);
  drawFlat(context, pose.pose2d, bones2d, own, dark, 5);
  drawFlat(context, pose.pose2d, bones2d, own, theme.sides, 3);
  placeButtons(viewer, scene, place);
}

function listenToPicture(viewer) {
  const { scene: stage } = viewer.parts;
  stage.addEventListener("click", (event) => {
    const button = event.target.closest("[data-person]");
    const scene = viewer.sceneOf(viewer.sources[viewer.number]);
    const box = stage.getBoundingClientRect();
    const { place } = layScene(scene, box.width, box.height);
    const point = [event.clientX - box.left, event.clientY - box.top];
    // A key's click is the button's own; a mouse's may lie where two overlap.
    const pointed = event.detail ? nearestPerson(
      scene, place, viewer.skeleton.bones2d, point) : null;
    const picked = pointed ?? (button ? Number(button.dataset.person) : null);
    if (picked !== null) viewer.showPose(picked);
  });
}
