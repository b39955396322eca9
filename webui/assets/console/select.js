// Selection of PCs: all, a range with Shift, a count, and buttons that need one or some. Live patches (live.js) and lists that
// are fetched again (forms.js) keep the ticks.

export function select(document) {
  selectPending(document);
  const form = document.getElementById("room-form");
  if (!form) return;
  const all = form.querySelector("[data-select=all]");
  const count = form.querySelector("[data-select=count]");
  const boxes = () => [...document.querySelectorAll("#tiles input[name=pc]")];
  let last = null;

  const show = () => {
    const list = boxes();
    const ticked = list.filter((box) => box.checked).length;
    all.checked = list.length > 0 && ticked === list.length;
    all.indeterminate = ticked > 0 && ticked < list.length;
    count.textContent = ticked === 0 ? "None selected" : `${ticked} selected`;
    for (const button of form.querySelectorAll("[data-needs]")) {
      button.disabled = button.dataset.needs === "one" ? ticked !== 1 : ticked === 0;
    }
  };

  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    show();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.matches("#tiles input[name=pc]")) return;
    if (event.shiftKey && last) {
      const list = boxes();
      const from = list.findIndex((box) => box.value === last);
      const to = list.indexOf(event.target);
      for (const box of list.slice(Math.min(from, to), Math.max(from, to) + 1)) box.checked = event.target.checked;
    }
    last = event.target.value;
    show();
  });
  document.addEventListener("htmx:afterSwap", show);
  show();
}

// The pending PCs are few or a whole room: all of them, or one by one. Their form is replaced when a PC arrives.
function selectPending(document) {
  const boxes = () => [...document.querySelectorAll("#pending-form input[name=pc]")];
  const show = () => {
    const all = document.querySelector("#pending-form [data-select=all]");
    if (!all) return;
    const list = boxes();
    const ticked = list.filter((box) => box.checked).length;
    all.checked = ticked === list.length;
    all.indeterminate = ticked > 0 && ticked < list.length;
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("#pending-form [data-select=all]")) {
      for (const box of boxes()) box.checked = event.target.checked;
    } else if (event.target.matches("#pending-form input[name=pc]")) {
      show();
    }
  });
  document.addEventListener("htmx:afterSwap", show);
  show();
}
