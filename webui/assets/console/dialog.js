// Links and buttons with data-dialog open the page they lead to in a dialog; without this script they just lead there.

export function dialogs(document) {
  const dialog = document.getElementById("dialog");

  const open = async (url) => {
    const answer = await fetch(url);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const sheet = page.querySelector("[data-sheet]");
    if (!answer.ok || !sheet) {
      location.assign(url);
      return;
    }
    dialog.replaceChildren(sheet);
    dialog.showModal();
    dialog.focus(); // not its first button: the key that opened it, held a moment longer, must confirm nothing
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      open(link.href);
    } else if (event.target.closest("dialog [data-close]")) {
      event.preventDefault();
      dialog.close();
    }
  });
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button?.matches("[data-dialog]")) return;
    event.preventDefault();
    const query = new URLSearchParams(new FormData(event.target, button));
    open(button.formAction + "?" + query);
  });
}
