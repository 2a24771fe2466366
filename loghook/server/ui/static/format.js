// Numbers, durations and times as short text. Times are epoch seconds.

const pad = (n, width = 2) => String(n).padStart(width, "0");

// Four digits that matter: 0.3141, 12.35, 100,000, 1.2e-7, and NaN and the infinities by name.
export function number(value, digits = 4) {
  if (typeof value === "string") return value.replace("Infinity", "\u221e");
  if (value === null || value === undefined) return "\u2013";
  if (!Number.isFinite(value)) return String(value).replace("Infinity", "\u221e");
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(digits - 2).replace("e+", "e");
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return size >= 1000
    ? value.toLocaleString("en", { maximumFractionDigits: 1 })
    : String(Number(value.toPrecision(digits)));
}

// A name as it is shown: without what turns the text around it, and with a word where there is none.
export const called = (name) => name.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "") || "(no name)";

export function count(n, one, many = one + "s") {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "\u2013";
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${pad(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${pad(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

export function age(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "";
  const s = Math.max(0, seconds);
  if (s < 10) return "just now";
  if (s < 60) return `${Math.floor(s)} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

export function clock(time, digits = 0) {
  const at = new Date(time * 1000);
  const text = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return digits ? `${text}.${pad(at.getMilliseconds(), 3)}` : text;
}

export function day(time) {
  const at = new Date(time * 1000);
  return `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
}

export const moment = (time) => (Number.isFinite(time) ? `${day(time)} ${clock(time)}` : "\u2013");
