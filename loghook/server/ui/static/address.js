// What is shown, kept in the address: a link to it opens the same view.

// The parameters of the address, over `defaults`.
export function read(defaults) {
  const given = new URLSearchParams(location.search);
  const state = {};
  for (const [name, value] of Object.entries(defaults)) state[name] = given.get(name) ?? value;
  return state;
}

// Puts `state` into the address without a new page in the history; what is as by default is left out.
export function write(state, defaults) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(state)) {
    if (value === defaults[name] || value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  if (url.href !== location.href) history.replaceState(null, "", url);
}
