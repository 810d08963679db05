// Numbers with units, for people.

const SPACE = "\u202f";
const NOTHING = "–";

function digits(value) {
  const size = Math.abs(value);
  if (size === 0 || size >= 100) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2);
}

function scaled(value, step, units) {
  let unit = 0;
  while (Math.abs(value) >= step * 0.9995 && unit < units.length - 1) {
    value /= step;
    unit += 1;
  }
  return [value, units[unit]];
}

/** A count: 0, 999, 12.3k, 4.56M. */
export function count(value) {
  if (value === null || value === undefined) return NOTHING;
  if (Math.abs(value) < 1000) return String(Math.round(value));
  const [number, unit] = scaled(value, 1000, ["", "k", "M", "G", "T"]);
  return digits(number) + unit;
}

/** A rate per second. */
export function rate(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value === 0) return "0/s";
  if (value < 0.1) return "<0.1/s";
  if (value < 10) return `${value.toFixed(1)}/s`;
  return `${count(value)}/s`;
}

export function bytes(value) {
  if (value === null || value === undefined) return NOTHING;
  const [number, unit] = scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
  return `${unit === "B" ? number : digits(number)}${SPACE}${unit}`;
}

/** A share of one: never 100 % or 0 % unless it is exactly that. */
export function percent(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return NOTHING;
  let number = value * 100;
  if (number > 99.9 && number < 100) number = 99.9;
  if (number > 0 && number < 0.1) number = 0.1;
  return `${number === 0 || number === 100 ? number : number.toFixed(1)}${SPACE}%`;
}

/** A short time in milliseconds. */
export function milliseconds(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value === 0) return `0${SPACE}ms`;
  if (value < 1) return `${digits(value * 1000)}${SPACE}µs`;
  if (value < 1000) return `${digits(value)}${SPACE}ms`;
  return duration(value / 1000);
}

/** A time in seconds: two units at most. */
export function duration(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value < 0) return `-${duration(-value)}`;
  if (value < 1) return value === 0 ? `0${SPACE}s` : milliseconds(value * 1000);
  if (value < 10) return `${Number(value.toFixed(1))}${SPACE}s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let left = Math.round(value);
  const first = units.findIndex(([, size]) => left >= size);
  const parts = [];
  for (const [unit, size] of units.slice(first, first + 2)) {
    const number = Math.floor(left / size);
    left -= number * size;
    if (number > 0) parts.push(`${number}${SPACE}${unit}`);
  }
  return parts.join(" ");
}

/** How long ago something was, in whole seconds. */
export function ago(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  return seconds < 1 ? "just now" : `${duration(Math.floor(seconds))} ago`;
}

/** One or many of something. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
