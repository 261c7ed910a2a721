// Colours: the page's own by their CSS names, and a ramp for quantities.

const RAMP_STEPS = 64;
const CHROMA = 0.11; // nearly all of the ramp can be shown at it

// OKLab, in which equal distances look equally large, to sRGB (Ottosson 2020).
function okLab(lightness, a, b) {
  const [l, m, s] = [
    lightness + 0.3963377774 * a + 0.2158037573 * b,
    lightness - 0.1055613458 * a - 0.0638541728 * b,
    lightness - 0.0894841775 * a - 1.291485548 * b,
  ].map((root) => root ** 3);
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  const channels = linear.map((value) => {
    const inside = clamp(value, 0, 1);
    const encoded =
      inside <= 0.0031308 ? 12.92 * inside : 1.055 * inside ** (1 / 2.4) - 0.055;
    return Math.round(255 * encoded);
  });
  return `rgb(${channels.join(", ")})`;
}

// A helix of even steps: lightness and hue both go evenly, from blue through green to
// yellow, at one chroma. Lightness alone orders it, so no kind of colour vision loses it.
function makeRamp(dark) {
  const [from, to] = dark ? [0.5, 0.92] : [0.36, 0.82];
  return Array.from({ length: RAMP_STEPS }, (_, i) => {
    const t = i / (RAMP_STEPS - 1);
    const hue = ((275 - 170 * t) * Math.PI) / 180;
    return okLab(from + t * (to - from), CHROMA * Math.cos(hue), CHROMA * Math.sin(hue));
  });
}

function readTheme(element) {
  const style = getComputedStyle(element);
  const named = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    ink: named("ink"),
    muted: named("muted"),
    rule: named("rule"),
    stage: named("stage"),
    sides: [named("left"), named("right"), named("middle")],
    mode: named("mode"),
    mean: named("mean"),
    good: named("good"),
    ramp: makeRamp(matchMedia("(prefers-color-scheme: dark)").matches),
  };
}

// The colour of a share of the range, 0 to 1.
function rampColour(theme, t) {
  return theme.ramp[Math.round(t * (RAMP_STEPS - 1))];
}

// One hypothesis' colour by a quantity; null where bones have their sides' colours.
function colourOf(pose, by, number, theme) {
  const values = pose[by];
  return values && number !== CHOSEN ? rampColour(theme, share(values, values.values[number])) : null;
}
