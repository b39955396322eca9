// The live stream of a page: patches elements by data-live, has htmx fetch again what changed as a whole, and says when the
// connection is lost.

const silence = 40_000; // ms without a sign of life; the server beats every 15 s

export function listen(document) {
  const body = document.body;
  if (!body.dataset.last) return; // nobody is logged in
  const query = new URLSearchParams({ last: body.dataset.last });
  for (const topic of body.dataset.topics.split(" ").filter(Boolean)) query.append("topic", topic);
  const source = new EventSource("/events?" + query);
  const banner = connection(document);

  const heard = (event) => {
    const message = JSON.parse(event.data);
    banner.heard(message.time);
    return message;
  };
  source.addEventListener("open", () => banner.heard());
  source.addEventListener("beat", heard);
  source.addEventListener("patch", (event) => {
    const message = heard(event);
    for (const item of message.items ?? []) patch(document, item);
    for (const what of message.changed ?? []) body.dispatchEvent(new CustomEvent("aula:" + what));
  });
  source.addEventListener("resync", (event) => {
    heard(event);
    body.dispatchEvent(new CustomEvent("aula:resync"));
  });
  source.addEventListener("end", () => {
    source.close();
    location.reload(); // which leads to the login page
  });
  source.addEventListener("error", () => {
    banner.lost();
    if (source.readyState === EventSource.CLOSED) banner.refused();
  });
  addEventListener("pagehide", () => source.close());
}

// connection shows and hides the banner.
function connection(document) {
  const banner = document.getElementById("lost");
  const clock = document.getElementById("heard");
  let timer;
  const lost = () => { banner.hidden = false; };
  const heard = (time) => {
    banner.hidden = true;
    if (time) clock.textContent = time;
    clearTimeout(timer);
    timer = setTimeout(lost, silence);
  };
  clock.textContent = new Date().toTimeString().slice(0, 8);
  // The server answered, and not with a stream: the login is over, or the server is another one now. Ask it once.
  const refused = () => {
    fetch("/operations", { method: "GET", redirect: "manual" }).then((answer) => {
      if (answer.type === "opaqueredirect") location.reload();
    }, () => {});
  };
  return { heard, lost, refused };
}

function patch(document, item) {
  if (item.fetch) document.body.dispatchEvent(new CustomEvent("aula:" + item.fetch));
  const list = item.into && document.querySelector(`[data-list="${CSS.escape(item.into)}"]`);
  const found = document.querySelectorAll(`[data-live="${CSS.escape(item.key)}"]`);
  if (list) {
    into(list, found[0], item.html);
    return;
  }
  for (const element of found) {
    if (item.html) replace(element, item.html);
    else numbers(element, item);
  }
}

// into puts an element at the head of the list that it belongs to now, or takes it away when the page shows only others there.
function into(list, old, html) {
  const fresh = parse(html);
  const { showRoom, showState } = list.dataset;
  if ((showRoom && showRoom !== fresh.dataset.room) || (showState && showState !== fresh.dataset.state)) {
    old?.remove();
    return;
  }
  if (old && old.parentElement === list) {
    replace(old, html);
    return;
  }
  const focused = old?.contains(document.activeElement);
  old?.remove();
  list.prepend(fresh);
  if (focused) fresh.querySelector("a")?.focus();
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
}

// replace puts new HTML in an element's place and keeps what the reader did to the old one.
function replace(element, html) {
  const fresh = parse(html);
  const ticked = element.querySelector("input[type=checkbox]");
  const box = fresh.querySelector("input[type=checkbox]");
  if (ticked && box) box.checked = ticked.checked;
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  element.replaceWith(fresh);
  if (focused) fresh.querySelector(focused.matches("input") ? "input" : "a")?.focus();
}

function numbers(element, item) {
  for (const [name, text] of Object.entries(item.fields ?? {})) {
    const field = element.matches(`[data-field="${name}"]`) ? element : element.querySelector(`[data-field="${name}"]`);
    if (field && field.textContent !== text) field.textContent = text;
  }
  const bar = element.querySelector("[data-field=bar]");
  if (!bar || item.percent === undefined) return;
  if (item.percent < 0) bar.removeAttribute("value");
  else bar.value = item.percent;
}
