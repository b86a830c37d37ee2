// The live demonstration on the first page, and a copy button beside each command.

const SHOWN_BYTES = 64;
const SHOWN_TEXT = 700;
const BYTES_IN_A_ROW = 8;

function element(name, text, className) {
  const node = document.createElement(name);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}

function addCopyButtons() {
  if (!navigator.clipboard) return; // only offered on https and localhost
  for (const command of document.querySelectorAll(".command")) {
    const button = element("button", "Copy", "copy");
    button.type = "button";
    button.setAttribute("aria-label", `Copy: ${command.querySelector("p").textContent}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1600);
    });
    command.append(button);
  }
}

// Fetch gives names in lower case; shown as RFC 9110 writes them.
function asWritten(name) {
  return name === "etag" ? "ETag" : name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

function hexDump(bytes) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += BYTES_IN_A_ROW) {
    const row = [...bytes.subarray(at, at + BYTES_IN_A_ROW)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(3 * BYTES_IN_A_ROW);
    const text = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${hex} ${text}`);
  }
  return rows.join("\n");
}

function describeBody(bytes, type) {
  if (bytes.length === 0) return "(no body)";
  if (/^(multipart|text)\//.test(type)) {
    const text = new TextDecoder("latin1").decode(bytes.subarray(0, SHOWN_TEXT));
    return text.replaceAll("\r", "").replace(/[^\n -~]/g, ".").trimEnd();
  }
  if (bytes.length <= SHOWN_BYTES) return hexDump(bytes);
  return `(${bytes.length.toLocaleString("en")} bytes)`;
}

function remarkOn(status, sent, count) {
  const number = count ? ` It is number ${count} for this file.` : " Its number is on the server’s console; start the server with --count-header to see it here.";
  if (status === 200 && sent.method === "HEAD") return "The same fields as a GET, no body. A HEAD is no access and gets no number.";
  if (status === 200 && sent.headers.Range) return "This server ignores ranges: it answered with the whole file.";
  if (status === 200) return `The whole file: an access.${number}`;
  if (status === 304) return `Not modified: the file was asked for and is shown, so this is an access, too.${number}`;
  if (status === 206 && sent.resumed) return "A part that begins later in the file: a download resumed, not a new access. No number.";
  if (status === 206) return `A part that has the first byte in it: an access.${number}`;
  if (status === 416) return "Nothing of the file lies in that range. Content-Range says how long the file is. No number.";
  return "";
}

class Demonstration {
  constructor(root) {
    this.target = new URL(root.dataset.target, document.baseURI);
    this.request = root.querySelector("[data-request]");
    this.response = root.querySelector("[data-response]");
    this.remark = root.querySelector("[data-remark]");
    this.buttons = [...root.querySelectorAll("button[data-ask]")];
    for (const button of this.buttons) button.addEventListener("click", () => this.ask(button));
    root.hidden = false;
  }

  async ask(button) {
    for (const other of this.buttons) other.setAttribute("aria-pressed", String(other === button));
    try {
      if (button.dataset.times) await this.askAtOnce(Number(button.dataset.times));
      else await this.askOnce(button.dataset);
    } catch {
      this.response.replaceChildren("No answer: is the server still running?");
      this.remark.textContent = "";
    }
  }

  fetch(sent) {
    return fetch(this.target, { method: sent.method, headers: sent.headers, cache: "no-store" });
  }

  showRequest(sent, times = "") {
    const fields = Object.entries(sent.headers).map(([name, value]) => `${name}: ${value}`);
    this.request.textContent = [`${times}${sent.method} ${this.target.pathname} HTTP/1.1`, `Host: ${this.target.host}`, ...fields].join("\n");
  }

  async askOnce({ method = "GET", range, condition, resumed }) {
    const sent = { method, headers: {}, resumed };
    if (range) sent.headers.Range = `bytes=${range}`;
    if (condition) {
      const known = await this.fetch({ method: "HEAD", headers: {} });
      sent.headers["If-None-Match"] = known.headers.get("ETag") ?? "*";
    }
    this.showRequest(sent);
    const answer = await this.fetch(sent);
    const body = new Uint8Array(await answer.arrayBuffer());
    const parts = [element("span", `HTTP/1.1 ${answer.status} ${answer.statusText}\n`, "status")];
    for (const [name, value] of answer.headers) {
      if (name === "tally-count") parts.push(element("mark", `Tally-Count: ${value}`), "\n");
      else parts.push(element("span", `${asWritten(name)}: `, "name"), `${value}\n`);
    }
    parts.push(`\n${describeBody(body, answer.headers.get("Content-Type") ?? "")}`);
    this.response.replaceChildren(...parts);
    this.remark.textContent = remarkOn(answer.status, sent, answer.headers.get("Tally-Count"));
  }

  async askAtOnce(times) {
    const sent = { method: "GET", headers: {} };
    this.showRequest(sent, `${times} × `);
    const arrivals = [];
    const started = performance.now();
    await Promise.all(Array.from({ length: times }, async () => {
      const answer = await this.fetch(sent);
      await answer.arrayBuffer();
      arrivals.push({ status: answer.status, count: answer.headers.get("Tally-Count"), after: performance.now() - started });
    }));
    const lines = arrivals.flatMap(({ status, count, after }) => [
      element("span", `${after.toFixed(1).padStart(7)} ms  ${status}  `, "name"),
      count ? element("mark", `Tally-Count: ${count}`) : "",
      "\n",
    ]);
    this.response.replaceChildren(element("span", "In the order of arrival\n", "status"), ...lines);
    this.remark.textContent = this.remarkOnNumbers(arrivals.map(({ count }) => count));
  }

  remarkOnNumbers(counts) {
    if (counts.includes(null)) return "Each got its number: they are on the server’s console. Start the server with --count-header to see them here.";
    const numbers = counts.map(Number).sort((a, b) => a - b);
    const [first, last] = [numbers[0], numbers[numbers.length - 1]];
    if (new Set(numbers).size < numbers.length) return "A number came twice. That is a bug: please report it.";
    if (last - first === numbers.length - 1) return `${first} to ${last}: none missing, none twice, whatever the order of arrival.`;
    return `From ${first} to ${last}, none twice; the numbers between them went to other clients.`;
  }
}

addCopyButtons();
for (const root of document.querySelectorAll("[data-target]")) new Demonstration(root);
