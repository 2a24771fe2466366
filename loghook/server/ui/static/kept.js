// Small texts that this browser keeps for us, where it lets us; one that keeps nothing still shows everything.

export function keep(name, text) {
  try {
    localStorage.setItem(name, text);
  } catch {
    // Storage may be full, or shut.
  }
}

// What was kept, or "".
export function kept(name) {
  try {
    return localStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}
