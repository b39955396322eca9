// Small help with forms: one that posts is sent once, and what somebody typed into a part of the page outlives that part's being
// fetched again.

export function forms(document) {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
    event.submitter?.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
      delete form.dataset.sent;
      form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
    }
  });

  let kept = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    kept = [...event.detail.target.querySelectorAll("input[name], select[name], textarea[name]")]
      .filter((field) => field.type !== "hidden")
      .map((field) => ({
        find: selector(field), value: field.value, checked: field.checked, focused: field === document.activeElement,
      }));
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const old of kept) {
      const field = document.querySelector(old.find);
      if (!field) continue;
      if (field.matches("[type=checkbox], [type=radio]")) field.checked = old.checked;
      else if (field.tagName !== "SELECT" || [...field.options].some((o) => o.value === old.value)) field.value = old.value;
      if (old.focused) field.focus();
    }
    kept = [];
  });
}

// selector finds the same field again: by name, and by value where several share it.
function selector(field) {
  const name = `[name="${CSS.escape(field.name)}"]`;
  return field.matches("[type=checkbox], [type=radio]") ? `${name}[value="${CSS.escape(field.value)}"]` : name;
}
