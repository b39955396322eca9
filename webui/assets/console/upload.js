// Sends image files to the appliance in pieces, and goes on where it was after a pause, a cut of the network or a reload of the page.
// The server keeps what has arrived; how far each file has got is always asked of it, never remembered here.

const pieceSize = 8 << 20;
const longestPause = 30_000; // ms between two attempts
const rateOver = 10_000; // ms over which the rate is measured

export function uploads(document) {
  const root = document.getElementById("uploader");
  if (!root) return;
  const part = (id) => document.getElementById(id);
  const drop = part("drop");
  drop.hidden = false;
  let sender = null;

  const begin = async (files) => {
    files = files.filter(({ path }) => !path.split("/").some((name) => name.startsWith("."))); // what file managers leave
    if (sender || files.length === 0) return;
    sender = new Sender(files, view(document));
    part("upload-problem").hidden = true;
    drop.hidden = true;
    part("sending").hidden = false;
    const id = await sender.run();
    sender = null;
    if (id) {
      location.assign("/import/" + id);
      return;
    }
    drop.hidden = false;
    part("sending").hidden = true;
  };

  for (const input of [part("choose-files"), part("choose-folder")]) {
    input.addEventListener("change", () => {
      begin([...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
      input.value = ""; // so that the same choice is a change again
    });
  }
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    begin(await dropped(event.dataTransfer));
  });
  part("sending-pause").addEventListener("click", () => sender?.toggle());
  part("sending-stop").addEventListener("click", () => sender?.discard());
  addEventListener("online", () => sender?.hurry());
  addEventListener("beforeunload", (event) => {
    if (sender?.sending) event.preventDefault();
  });
}

// A Sender sends the files of one upload. run answers its id when all has arrived, or nothing when it was discarded or refused.
class Sender {
  constructor(files, show) {
    this.files = files;
    this.show = show;
    this.total = files.reduce((sum, { file }) => sum + file.size, 0);
    this.marks = []; // [time, bytes sent] of the last seconds
    this.paused = false;
    this.over = false;
  }

  get sending() { return !this.over && !this.paused; }

  async run() {
    this.show.begin(this.title(), this.total);
    while (!this.over) {
      try {
        this.upload = await this.find();
        await this.sendAll();
        this.over = true;
        return this.upload.id;
      } catch (error) {
        if (!await this.recover(error)) return undefined;
      }
    }
    return undefined;
  }

  title() {
    const [{ path }] = this.files;
    const folder = path.includes("/") ? path.split("/")[0] : "";
    if (folder && this.files.every((f) => f.path.startsWith(folder + "/"))) return folder;
    return this.files.length === 1 ? path : `${path} and ${this.files.length - 1} more`;
  }

  // find asks how far the upload has got: the one that is being sent, one of the same files that somebody began, or a new one.
  async find() {
    if (this.upload) return call("GET", "/api/v1/uploads/" + this.upload.id);
    const same = (upload) => upload.files.length === this.files.length &&
      this.files.every(({ path, file }) => upload.files.some((f) => f.path === path && f.size === file.size));
    const begun = (await call("GET", "/api/v1/uploads")).find(same);
    const upload = begun ?? await call("POST", "/api/v1/uploads", { files: this.files.map(({ path, file }) => ({ path, size: file.size })) });
    this.show.known(upload.id);
    return upload;
  }

  async sendAll() {
    const before = this.upload.files.reduce((sum, f) => sum + f.have, 0);
    let sent = before;
    this.marks = [];
    this.failures = 0;
    for (const [n, { path, size, have }] of this.upload.files.entries()) {
      const { file } = this.files.find((f) => f.path === path);
      const base = sent - have;
      this.show.state(this.files.length > 1 ? `File ${n + 1} of ${this.files.length}: ${path}` : "Sending.");
      for (let offset = have; offset < size;) {
        this.check();
        const url = `/api/v1/uploads/${this.upload.id}/files/${n}?offset=${offset}`;
        const arrived = await this.piece(url, file.slice(offset, offset + pieceSize), (bytes) => this.progress(base + offset + bytes));
        offset = arrived.have;
        this.failures = 0;
        this.progress(base + offset);
      }
      sent = base + size;
    }
    this.progress(this.total);
  }

  // piece sends one piece. XMLHttpRequest, because fetch does not tell how much of a body has gone.
  piece(url, blob, progress) {
    return new Promise((resolve, reject) => {
      const request = this.request = new XMLHttpRequest();
      request.open("PATCH", url);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.responseType = "json";
      request.upload.addEventListener("progress", (event) => progress(event.loaded));
      request.addEventListener("load", () => {
        if (request.status === 200) resolve(request.response);
        else reject(new Refusal(request.status, request.response?.detail));
      });
      for (const failed of ["error", "timeout", "abort"]) request.addEventListener(failed, () => reject(new Error(failed)));
      request.send(blob);
    });
  }

  progress(sent) {
    const now = performance.now();
    this.marks.push([now, sent]);
    while (this.marks.length > 2 && now - this.marks[0][0] > rateOver) this.marks.shift();
    const [since, from] = this.marks[0];
    const rate = now - since > 500 ? (sent - from) / (now - since) * 1000 : 0;
    this.show.progress(sent, this.total, rate);
  }

  // check ends what is under way when somebody pressed a button.
  check() {
    if (this.over || this.paused) throw new Error("stopped");
  }

  // recover waits after an error until it is worth another attempt. It answers false when there is none.
  async recover(error) {
    if (this.over) return false;
    if (this.paused) {
      this.show.state("Paused. What has arrived is kept for a week.");
      await new Promise((resume) => { this.resume = resume; });
      return !this.over;
    }
    if (error instanceof Refusal && error.status === 401) location.reload();
    if (error instanceof Refusal && !error.passing) {
      this.over = !this.upload;
      if (this.over || error.status === 404) {
        this.over = true;
        this.show.problem(error.message);
        return false;
      }
      this.show.problem(error.message); // a full disk, say: it may go on when somebody has made room
      this.pause();
      return this.recover(error);
    }
    this.failures = (this.failures ?? 0) + 1;
    const pause = Math.min(longestPause, 500 * 2 ** this.failures);
    if (!(error instanceof Refusal && error.status === 409)) {
      this.show.state(`The connection is lost. Trying again in ${Math.round(pause / 1000)} s; nothing that has arrived is lost.`);
    }
    await new Promise((resume) => {
      this.resume = resume;
      setTimeout(resume, pause);
    });
    return !this.over;
  }

  hurry() {
    if (!this.paused) this.resume?.();
  }

  toggle() {
    if (this.paused) {
      this.paused = false;
      this.show.paused(false);
      this.resume?.();
    } else {
      this.pause();
    }
  }

  pause() {
    this.paused = true;
    this.show.paused(true);
    this.request?.abort();
    this.resume?.();
  }

  async discard() {
    if (!confirm("Discard what has arrived?")) return;
    this.over = true;
    this.request?.abort();
    this.resume?.();
    if (this.upload) await call("DELETE", "/api/v1/uploads/" + this.upload.id).catch(() => {});
  }
}

// A Refusal is an answer that is no success.
class Refusal extends Error {
  constructor(status, detail) {
    super(detail || `The appliance answered ${status}.`);
    this.status = status;
  }

  // passing tells whether it may be otherwise in a moment.
  get passing() { return this.status >= 502 && this.status <= 504 || [408, 409, 429].includes(this.status); }
}

async function call(method, url, body) {
  const answer = await fetch(url, {
    method, headers: body ? { "Content-Type": "application/json" } : {}, body: body ? JSON.stringify(body) : undefined,
  });
  const data = answer.status === 204 ? undefined : await answer.json().catch(() => undefined);
  if (!answer.ok) throw new Refusal(answer.status, data?.detail);
  return data;
}

// dropped lists the files that were dropped, also those of folders.
async function dropped(transfer) {
  const files = [];
  const walk = async (entry, path) => {
    if (entry.isFile) {
      files.push({ path: path + entry.name, file: await new Promise((done, failed) => entry.file(done, failed)) });
      return;
    }
    const reader = entry.createReader();
    for (let batch; (batch = await new Promise((done, failed) => reader.readEntries(done, failed))).length > 0;) {
      for (const child of batch) await walk(child, path + entry.name + "/");
    }
  };
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean); // before anything is awaited
  for (const entry of entries) await walk(entry, "");
  return files;
}

// view is the part of the page that shows how an upload stands.
function view(document) {
  const part = (id) => document.getElementById(id);
  const text = (id, value) => { part(id).textContent = value; };
  return {
    begin(what) {
      text("sending-what", what);
      for (const id of ["sending-percent", "sending-amount", "sending-rate", "sending-left", "sending-state"]) text(id, "");
      part("sending-bar").value = 0;
      text("sending-pause", "Pause");
    },
    known(id) {
      for (const row of document.querySelectorAll("[data-upload]")) row.hidden = row.dataset.upload === id;
    },
    progress(sent, total, rate) {
      part("sending-bar").value = total > 0 ? Math.floor(sent / total * 1000) : 1000;
      text("sending-percent", `${total > 0 ? Math.floor(sent / total * 100) : 100} %`);
      text("sending-amount", `${size(sent)} of ${size(total)}`);
      text("sending-rate", rate > 0 ? size(rate) + "/s" : "");
      text("sending-left", rate > 0 ? left((total - sent) / rate) : "");
    },
    state(value) { text("sending-state", value); },
    paused(is) {
      text("sending-pause", is ? "Resume" : "Pause");
      text("sending-rate", "");
      text("sending-left", "");
    },
    problem(value) {
      const box = part("upload-problem");
      box.hidden = false;
      box.querySelector("span").textContent = value;
    },
  };
}

// size and left write numbers as the server does.
function size(n) {
  let unit = 0;
  for (; n >= 999.5 && unit < 5; unit++) n /= 1000;
  return `${n.toFixed(unit > 0 && n < 9.95 ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB", "PB"][unit]}`;
}

function left(seconds) {
  if (seconds < 10) return "a few seconds left";
  if (seconds < 60) return `${Math.floor(seconds / 10) * 10} s left`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min left`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min left`;
}
