// Terminal text as styled pieces: SGR colours and weights, carriage returns and backspaces done as a terminal does them,
// every other escape sequence taken out.

const ESCAPE = new RegExp(
  "(?:\\x1b\\[|\\x9b)([0-?]*)[ -/]*([@-~])" + // control sequence: parameters, final byte
    "|(?:\\x1b[\\]PX^_]|[\\x9d\\x90\\x98\\x9e\\x9f])[^\\x07\\x1b\\x9c]*(?:\\x07|\\x1b\\\\|\\x9c|$)" + // strings: titles, links
    "|\\x1b[ -/]*[0-~]?" +
    "|([\\x00-\\x08\\x0b\\x0c\\x0e-\\x1a\\x1c-\\x1f\\x7f-\\x9f\\r])",
  "g",
);
const SPECIAL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/;
const PLAIN = {};

// Pieces [{text, style}] of `text`; a style has fg, bg (0-15 or "rgb(...)"), bold, dim, italic, underline, inverse, strike.
export function pieces(text) {
  if (!SPECIAL.test(text)) return text ? [{ text, style: PLAIN }] : [];
  const found = [];
  let style = PLAIN;
  for (const line of text.replaceAll("\r\n", "\n").split("\n")) {
    if (found.length) push(found, "\n", PLAIN);
    const screen = new Line(style);
    feed(screen, line);
    style = screen.style;
    for (const cell of screen.cells) push(found, cell.text, cell.style);
    if (!found.length) push(found, "", PLAIN);
  }
  return found;
}

// The text alone, as it would be read on a terminal.
export const plain = (text) => pieces(text).map((piece) => piece.text).join("");

class Line {
  cells = [];
  at = 0;

  constructor(style) {
    this.style = style;
  }

  put(character) {
    while (this.cells.length < this.at) this.cells.push({ text: " ", style: PLAIN });
    this.cells[this.at++] = { text: character, style: this.style };
  }

  control(character) {
    if (character === "\r") this.at = 0;
    else if (character === "\b") this.at = Math.max(0, this.at - 1);
    else if (character === "\x7f") this.put("\u2421");
    else if (character < " " && character !== "\x07") this.put(String.fromCharCode(0x2400 + character.charCodeAt(0)));
  }

  erase(mode) {
    if (mode === "" || mode === "0") this.cells.length = Math.min(this.cells.length, this.at);
    else if (mode === "2") this.cells.length = 0;
  }
}

function feed(screen, line) {
  let from = 0;
  for (const match of line.matchAll(ESCAPE)) {
    for (const character of line.slice(from, match.index)) screen.put(character);
    from = match.index + match[0].length;
    if (match[3] !== undefined) screen.control(match[3]);
    else if (match[2] === "m") screen.style = graphic(screen.style, match[1]);
    else if (match[2] === "K") screen.erase(match[1]);
  }
  for (const character of line.slice(from)) screen.put(character);
}

function push(found, text, style) {
  const last = found.at(-1);
  if (last && last.style === style) last.text += text;
  else found.push({ text, style });
}

const ON = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
const OFF = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"], 39: ["fg"], 49: ["bg"] };

function graphic(old, parameters) {
  const codes = parameters.replaceAll("2::", "2;").replaceAll(":", ";").split(";").map((code) => Number(code || 0));
  let style = { ...old };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) style = {};
    else if (ON[code]) style[ON[code]] = true;
    else if (OFF[code]) for (const name of OFF[code]) delete style[name];
    else if (code >= 30 && code <= 37) style.fg = code - 30;
    else if (code >= 40 && code <= 47) style.bg = code - 40;
    else if (code >= 90 && code <= 97) style.fg = code - 82;
    else if (code >= 100 && code <= 107) style.bg = code - 92;
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes, i + 1);
      if (colour !== null) style[code === 38 ? "fg" : "bg"] = colour;
      i += used;
    }
  }
  return Object.keys(style).length ? style : PLAIN;
}

// The colour after 38 or 48, and how many codes it takes.
function extended(codes, at) {
  const byte = (n) => Number.isInteger(n) && n >= 0 && n <= 255;
  if (codes[at] === 5) return [byte(codes[at + 1]) ? indexed(codes[at + 1]) : null, 2];
  if (codes[at] !== 2) return [null, 1];
  const rgb = codes.slice(at + 1, at + 4);
  return [rgb.length === 3 && rgb.every(byte) ? `rgb(${rgb.join(",")})` : null, 4];
}

function indexed(n) {
  if (n < 16) return n;
  if (n >= 232) return `rgb(${[0, 0, 0].map(() => 8 + 10 * (n - 232)).join(",")})`;
  const level = (i) => (i ? 55 + 40 * i : 0);
  const m = n - 16;
  return `rgb(${level(Math.floor(m / 36))},${level(Math.floor(m / 6) % 6)},${level(m % 6)})`;
}
