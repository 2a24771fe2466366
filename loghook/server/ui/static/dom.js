// Elements out of plain values. Text only ever becomes a text node, so nothing logged can become markup.

const SVG = "http://www.w3.org/2000/svg";

// An element: `props` are properties, except class, role, aria-* and data-*, which are attributes, and on*, listeners.
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

// Sets a text only where it changed: a live region speaks, and a selection is lost, on every write.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Makes `parent` hold exactly `wanted`, in order, moving as few of them as needed. What is moved keeps the focus.
export function arrange(parent, wanted) {
  const active = document.activeElement;
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  let at = parent.firstElementChild;
  for (const child of wanted) {
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  if (active !== document.activeElement && parent.contains(active)) active.focus({ preventScroll: true });
}

// Calls `work` once, `ms` after the last of a row of calls.
export function settle(ms, work) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), ms);
  };
}

export const narrow = matchMedia("(max-width: 899px)");

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1).replace(/\.?$/, ".");

// The bar that says that the server does not answer, and when it is asked again.
export function troubleBar(element, retry) {
  const text = h("span");
  element.replaceChildren(text, h("button", { type: "button", class: "quiet", onclick: () => retry() }, "Retry now"));
  return (error, wait) => {
    element.hidden = error === null;
    if (error === null) return say(text, "");
    const why = error.status ? sentence(error.message) : "Not connected to the server.";
    say(text, `${why} Retrying in ${Math.round(wait / 1000)} s.`);
  };
}
