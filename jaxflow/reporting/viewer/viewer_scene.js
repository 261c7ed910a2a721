// The 3D panel: skeletons turned about their middle, seen from a distance.

const DISTANCE = 7; // of the eye, in radii of the scene
const GRID = 0.25; // metres between the floor's lines
const FRAME = 1.17; // radii from the middle to the panel's edge
const RAISED = 0.045; // of the panel's height, so that the floor has its place

// A drawing context whose unit is a CSS pixel, cleared, as large as its element.
function beginDrawing(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide) canvas.width = wide;
  if (canvas.height !== high) canvas.height = high;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineCap = "round";
  context.lineJoin = "round";
  return { context, width, height };
}

// The camera frame (x right, y down, z away) to the panel. At yaw 0 and pitch 0 one
// sees what the camera saw; yaw walks to the right round the body, pitch rises above.
function makeProjection(pose, view, width, height) {
  const [cosYaw, sinYaw] = [Math.cos(view.yaw), Math.sin(view.yaw)];
  const [cosPitch, sinPitch] = [Math.cos(view.pitch), Math.sin(view.pitch)];
  const scale = (view.zoom * Math.min(width, height)) / (2 * FRAME * pose.radius);
  const eye = DISTANCE * pose.radius;
  const [cx, cy, cz] = pose.centre;
  return (x, y, z) => {
    const across = cosYaw * (x - cx) + sinYaw * (z - cz);
    const away = cosYaw * (z - cz) - sinYaw * (x - cx);
    const down = cosPitch * (y - cy) - sinPitch * away;
    const depth = sinPitch * (y - cy) + cosPitch * away;
    const size = eye / Math.max(eye + depth, 0.1 * eye);
    return {
      x: width / 2 + scale * size * across,
      y: (0.5 - RAISED) * height + scale * size * down,
      depth: depth / pose.radius,
      size,
    };
  };
}

function projectPose(points, project) {
  const joints = [];
  for (let i = 0; i < points.length; i += 3) {
    joints.push(project(points[i], points[i + 1], points[i + 2]));
  }
  return joints;
}

// Lines on the ground below the feet, and the side on which the camera stands.
function drawFloor(context, pose, project, theme) {
  const [cx, , cz] = pose.centre;
  const reach = GRID * Math.ceil((0.5 * pose.radius) / GRID);
  const line = (x0, z0, x1, z1) => {
    const [a, b] = [project(x0, pose.floor, z0), project(x1, pose.floor, z1)];
    context.moveTo(a.x, a.y);
    context.lineTo(b.x, b.y);
  };
  context.beginPath();
  for (let step = -reach; step <= reach + 1e-6; step += GRID) {
    line(cx + step, cz - reach, cx + step, cz + reach);
    line(cx - reach, cz + step, cx + reach, cz + step);
  }
  context.strokeStyle = theme.rule;
  context.lineWidth = 1;
  context.stroke();
  const corners = [[0, 0.14], [-0.06, 0], [0.06, 0]].map(([x, z]) =>
    project(cx + x, pose.floor, cz - reach - 0.2 + z));
  context.beginPath();
  corners.forEach((corner) => context.lineTo(corner.x, corner.y));
  context.closePath();
  context.fillStyle = theme.muted;
  context.fill();
  const [tip, left, right] = corners;
  const tail = { x: (left.x + right.x) / 2, y: (left.y + right.y) / 2 };
  const length = Math.hypot(tail.x - tip.x, tail.y - tip.y) || 1;
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const beside = [(30 * (tail.x - tip.x)) / length, (14 * (tail.y - tip.y)) / length];
  context.fillText("camera", tail.x + beside[0], tail.y + beside[1]);
}

// Thin skeletons, one after the other: many together show where they are dense.
function drawCloud(context, skeletons, bones, theme, opacity, width) {
  context.lineWidth = width;
  context.globalAlpha = opacity;
  for (const { joints, colour } of skeletons) {
    for (let side = 0; side < theme.sides.length; side++) {
      context.beginPath();
      for (const [start, end, ofSide] of bones) {
        if (ofSide !== side) continue;
        context.moveTo(joints[start].x, joints[start].y);
        context.lineTo(joints[end].x, joints[end].y);
      }
      context.strokeStyle = colour ?? theme.sides[side];
      context.stroke();
    }
  }
  context.globalAlpha = 1;
}

// The bones of bold skeletons as segments with depths.
function segmentsOf(skeletons, bones, theme) {
  return skeletons.flatMap((skeleton, layer) =>
    bones.map(([start, end, side]) => {
      const [a, b] = [skeleton.joints[start], skeleton.joints[end]];
      return {
        ...skeleton, a, b, layer,
        depth: (a.depth + b.depth) / 2,
        colour: skeleton.colour ?? theme.sides[side],
        size: (a.size + b.size) / 2,
      };
    }));
}

// Far bones first, each with a rim of the ground's colour that cuts what it hides.
function drawBold(context, skeletons, bones, theme) {
  const segments = segmentsOf(skeletons, bones, theme);
  segments.sort((p, q) => q.depth - p.depth || p.layer - q.layer);
  for (const { a, b, width, size, colour, dash, depth } of segments) {
    const path = (lineWidth, style) => {
      context.beginPath();
      context.moveTo(a.x, a.y);
      context.lineTo(b.x, b.y);
      context.lineWidth = lineWidth;
      context.strokeStyle = style;
      context.stroke();
    };
    if (!dash) path(size * width + 3, theme.stage);
    context.setLineDash(dash ?? []);
    context.globalAlpha = clamp(0.8 - 0.35 * depth, 0.45, 1);
    path(size * width, colour);
    context.globalAlpha = 1;
    context.setLineDash([]);
  }
}

function drawJoints(context, skeletons, theme) {
  for (const { joints, width, dots } of skeletons) {
    if (!dots) continue;
    for (const joint of joints) {
      context.beginPath();
      context.arc(joint.x, joint.y, 0.62 * width * joint.size, 0, 2 * Math.PI);
      context.fillStyle = theme.stage;
      context.fill();
      context.lineWidth = 1.2;
      context.strokeStyle = theme.ink;
      context.stroke();
    }
  }
}

// The skeletons to be drawn boldly: the chosen hypothesis and what is switched on.
function boldSkeletons(pose, state, theme, project) {
  const bold = [{
    points: hypothesisOf(pose, state.hypothesis),
    colour: colourOf(pose, state.colour, state.hypothesis, theme),
    width: 5, dots: true,
  }];
  if (state.chosen && pose.chosen && state.hypothesis !== CHOSEN) {
    bold.push({ points: pose.chosen, colour: theme.good, width: 2.6 });
  }
  if (state.mode && pose.otherMode) bold.push({ points: pose.mode, colour: theme.mode, width: 2.6 });
  if (state.mean && pose.otherMean) {
    bold.push({ points: pose.mean, colour: theme.mean, width: 2.8, dash: [1, 5] });
  }
  if (state.truth && pose.target) {
    bold.push({ points: pose.target, colour: theme.ink, width: 2.6, dash: [8, 5] });
  }
  return bold.map((one) => ({ ...one, joints: projectPose(one.points, project) }));
}

function drawScene(canvas, pose, state, bones, theme) {
  const { context, width, height } = beginDrawing(canvas);
  if (!width || !height) return;
  const project = makeProjection(pose, state, width, height);
  drawFloor(context, pose, project, theme);
  if (state.show !== "one") {
    // In the slider's order, backwards: what it leads to first lies on top.
    const cloud = [...orderOf(pose, state.sort)].reverse().map((number) => ({
      joints: projectPose(hypothesisOf(pose, number), project),
      colour: colourOf(pose, state.colour, number, theme),
    }));
    const many = Math.sqrt(200 / Math.max(pose.count, 20));
    const [opacity, line] = state.show === "all" ? [0.42, 1.3] : [0.13, 1];
    drawCloud(context, cloud, bones, theme, Math.min(0.9, opacity * many), line);
  }
  const bold = boldSkeletons(pose, state, theme, project);
  drawBold(context, bold, bones, theme);
  drawJoints(context, bold, theme);
}
