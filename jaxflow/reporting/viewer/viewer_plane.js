// The 2D panel: the detection, its Gaussians, and the hypotheses seen by the camera.

const CROP = 256; // pixels

// The part of the crop to show: all of it with a picture, else the pose's surroundings.
function frameOf(pose) {
  if (pose.onPicture) return { x: CROP / 2, y: CROP / 2, reach: CROP / 2 };
  const [xs, ys] = [0, 1].map((axis) => pose.pose2d.map((joint) => joint[axis]));
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  const reach = 0.6 * Math.max(right - left, bottom - top, 1);
  return { x: (left + right) / 2, y: (top + bottom) / 2, reach };
}

// The scale and shift that bring a hypothesis' x and y onto the detection, sure joints
// first: least squares weighted by the Gaussians' widths. Joints in the 2D order.
function reproject(pose, hypothesis, joint3dOf2d) {
  const joints = joint3dOf2d.map((j) => [hypothesis[3 * j], hypothesis[3 * j + 1]]);
  const weights = pose.ellipses.map(([, , a, b]) => 1 / Math.max(a * a + b * b, 1e-3));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = (points, axis) =>
    points.reduce((sum, point, i) => sum + weights[i] * point[axis], 0) / total;
  const [from, to] = [joints, pose.pose2d].map((points) => [0, 1].map((axis) =>
    mean(points, axis)));
  let [product, square] = [0, 0];
  joints.forEach((joint, i) => [0, 1].forEach((axis) => {
    const centred = joint[axis] - from[axis];
    product += weights[i] * centred * (pose.pose2d[i][axis] - to[axis]);
    square += weights[i] * centred * centred;
  }));
  const scale = Math.max(product / Math.max(square, 1e-9), 0);
  return joints.map((joint) => joint.map((value, axis) =>
    to[axis] + scale * (value - from[axis])));
}

// The hypotheses as the camera sees them, faintly, where they are drawn in 3D, too.
function drawProjections(context, pose, state, place, skeleton, theme) {
  if (state.show === "one" || pose.count < 2) return;
  const step = Math.ceil(pose.count / PROJECTED);
  pose.projections ??= Array.from({ length: Math.ceil(pose.count / step) }, (_, i) =>
    reproject(pose, hypothesisOf(pose, i * step), skeleton.joint3dOf2d));
  const strength = state.show === "all" ? 0.3 : 0.12;
  context.globalAlpha = strength * Math.sqrt(PROJECTED / pose.projections.length);
  for (const joints of pose.projections) {
    drawFlat(context, joints, skeleton.bones2d, place, theme.sides, 1);
  }
  context.globalAlpha = 1;
}

function drawEllipses(context, pose, place, scale, theme, strength) {
  context.fillStyle = theme.good;
  context.strokeStyle = theme.good;
  context.lineWidth = 0.9;
  for (const [deviations, fill, line] of [[2, 0.12, 0.4], [1, 0.2, 0.65]]) {
    for (const [x, y, longer, shorter, angle] of pose.ellipses) {
      const [px, py] = place([x, y]);
      const size = deviations * scale;
      context.beginPath();
      context.ellipse(px, py, longer * size, shorter * size, angle, 0, 2 * Math.PI);
      context.globalAlpha = strength * fill;
      context.fill();
      context.globalAlpha = Math.min(1, strength * line);
      context.stroke();
    }
  }
  context.globalAlpha = 1;
}

function drawFlat(context, joints, bones, place, colours, width) {
  context.lineWidth = width;
  for (const [start, end, side] of bones) {
    context.beginPath();
    context.moveTo(...place(joints[start]));
    context.lineTo(...place(joints[end]));
    context.strokeStyle = colours[side];
    context.stroke();
  }
}

// What lies beneath the 2D panel: the crop, or its part of the whole picture.
function drawBeneath(context, pose, scene, square, place, scale) {
  const ready = (picture) => picture?.complete && picture.naturalWidth;
  context.globalAlpha = 0.8; // the drawing stands out
  if (ready(pose.picture)) {
    context.drawImage(pose.picture, ...place([0, 0]), CROP * scale, CROP * scale);
  } else if (!pose.picture && ready(scene?.picture)) {
    const [left, top, wide, high] = scene.bounds;
    const [x, y, side] = square;
    const size = (CROP / side) * scale;
    const corner = place([left - x, top - y].map((v) => (v * CROP) / side + CROP / 2));
    context.drawImage(scene.picture, ...corner, wide * size, high * size);
  }
  context.globalAlpha = 1;
}

function drawPlane(canvas, pose, state, skeleton, theme, scene, square) {
  const { context, width, height } = beginDrawing(canvas);
  if (!width || !height) return;
  const frame = frameOf(pose);
  const scale = Math.min(width, height) / (2 * frame.reach);
  const place = ([x, y]) => [
    width / 2 + scale * (x - frame.x),
    height / 2 + scale * (y - frame.y),
  ];
  drawBeneath(context, pose, scene, square, place, scale);
  const strength = pose.onPicture ? 2.2 : 1; // to be seen on a picture
  drawEllipses(context, pose, place, scale, theme, strength);
  drawProjections(context, pose, state, place, skeleton, theme);
  drawFlat(context, pose.pose2d, skeleton.bones2d, place, theme.sides, 4);
  const hypothesis = hypothesisOf(pose, state.hypothesis);
  const seen = reproject(pose, hypothesis, skeleton.joint3dOf2d);
  const rim = theme.sides.map(() => theme.stage);
  const ink = theme.sides.map(() => theme.ink);
  drawFlat(context, seen, skeleton.bones2d, place, rim, 2.8);
  drawFlat(context, seen, skeleton.bones2d, place, ink, 1.4);
}
