// Reading the page's JSON: positions in metres, ranks and orders of the hypotheses.

const COORDINATES = 51; // 17 joints times x, y, z
const CHOSEN = -1; // in place of a hypothesis' number, and before the first of them
const BEYOND = 0.02; // of the hypotheses lie beyond each end of the colours' range

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// int16 millimetres in base64 to metres.
function decodePositions(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const metres = new Float32Array(bytes.length / 2);
  for (let i = 0; i < metres.length; i++) {
    metres[i] = view.getInt16(2 * i, true) / 1000;
  }
  return metres;
}

// Numbers of the hypotheses from the smallest key to the largest.
function sortedBy(keys) {
  return Array.from(keys.keys()).sort((a, b) => keys[a] - keys[b] || a - b);
}

// A quantity of the hypotheses: its values, order (best first), ranks, and the range that
// colours show. A few outliers on either side share the colours of its ends.
function quantity(values, bestIsLarge) {
  if (!values) return null;
  const order = sortedBy(bestIsLarge ? values.map((value) => -value) : values);
  const ranks = new Array(values.length);
  order.forEach((hypothesis, rank) => { ranks[hypothesis] = rank + 1; });
  const sorted = order.map((hypothesis) => values[hypothesis]).sort((a, b) => a - b);
  const last = sorted.length - 1;
  const beyond = Math.floor(BEYOND * last);
  const [low, high] = [sorted[beyond], sorted[last - beyond]];
  return { values, order, ranks, low, high, clipped: beyond > 0 };
}

// Where a value lies in its quantity's range, 0 to 1.
function share(values, value) {
  const range = values.high - values.low;
  return range > 0 ? clamp((value - values.low) / range, 0, 1) : 0.5;
}

// The middle of a pose and the radius that holds nearly all its hypotheses.
function extent(mode, hypotheses) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  mode.forEach((value, i) => {
    low[i % 3] = Math.min(low[i % 3], value);
    high[i % 3] = Math.max(high[i % 3], value);
  });
  const centre = low.map((value, axis) => (value + high[axis]) / 2);
  const distances = [];
  for (let i = 0; i < hypotheses.length; i += 3) {
    distances.push(Math.hypot(...centre.map((c, axis) => hypotheses[i + axis] - c)));
  }
  distances.sort((a, b) => a - b);
  const most = distances[Math.floor(0.985 * (distances.length - 1))];
  const own = Math.hypot(...centre.map((c, axis) => high[axis] - c));
  return { centre, radius: Math.max(most, own, 0.3), floor: high[1] };
}

function readPose(source) {
  const hypotheses = decodePositions(source.hypotheses);
  const mode = decodePositions(source.mode);
  const chosen = source.chosen ? decodePositions(source.chosen) : null;
  const picture = source.picture ? new Image() : null;
  if (picture) picture.src = source.picture;
  const count = hypotheses.length / COORDINATES;
  return {
    title: source.title,
    detail: source.detail,
    count,
    several: count > 1,
    leafed: count > 1 || Boolean(chosen), // there is more than one pose to show
    hypotheses,
    mode,
    chosen,
    rule: source.rule,
    // One that the rule chose need not be compared with itself.
    otherMode: source.rule !== "z0",
    otherMean: source.rule !== "mean",
    words: source.words,
    mean: decodePositions(source.mean),
    target: source.target ? decodePositions(source.target) : null,
    error: quantity(source.error, false),
    density: quantity(source.density, true),
    modeError: source.modeError,
    meanError: source.meanError,
    pose2d: source.pose2d,
    ellipses: source.ellipses,
    picture,
    onPicture: Boolean(picture),
    ...extent(chosen ?? mode, hypotheses),
  };
}

// A hypothesis' positions; those of number CHOSEN are the pose that the rule chose.
function hypothesisOf(pose, number) {
  if (number === CHOSEN) return pose.chosen;
  return pose.hypotheses.subarray(number * COORDINATES, (number + 1) * COORDINATES);
}

// The slider's order: as drawn, or the best by density or error first.
function orderOf(pose, by) {
  return pose[by]?.order ?? Array.from({ length: pose.count }, (_, i) => i);
}
