// What every page has. Nothing here is needed: each part improves what works without it.
const words = document.body.dataset;
const BUSY_AFTER = 300;
const WORDS_AFTER = 1000;

// Says a sentence to screen readers; the same sentence twice is said twice.
function announce(sentence) {
  const region = document.getElementById("announcer");
  if (!region || !sentence) return;
  region.textContent = "";
  setTimeout(() => { region.textContent = sentence.trim(); }, 50);
}

// A form is sent once; its button shows a busy state after 0.3 s and says so after 1 s.
const sent = new WeakMap();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post") return;
  if (sent.has(form)) {
    event.preventDefault();
    return;
  }
  const button = event.submitter;
  sent.set(form, [
    setTimeout(() => button?.setAttribute("aria-busy", "true"), BUSY_AFTER),
    setTimeout(() => {
      if (button?.classList.contains("button")) {
        button.dataset.label = button.textContent;
        button.textContent = words.working;
      }
      announce(words.working);
    }, WORDS_AFTER),
  ]);
});

function allowAgain(form) {
  for (const timer of sent.get(form) ?? []) clearTimeout(timer);
  sent.delete(form);
  for (const button of form.querySelectorAll("[aria-busy]")) {
    button.removeAttribute("aria-busy");
    if (button.dataset.label) button.textContent = button.dataset.label;
  }
}

// A page that Back restores can send its forms again.
window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach(allowAgain));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt instanceof HTMLFormElement) allowAgain(event.detail.elt);
});

document.querySelector("[data-error-summary]")?.focus();

// Menus are <details>; a click elsewhere or Escape closes them.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.("[data-menu][open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// Theme: the server renders the choice from a cookie; here it changes without a reload.
for (const form of document.querySelectorAll("[data-theme-form]")) {
  form.addEventListener("submit", (event) => {
    const theme = event.submitter?.value;
    if (!theme) return;
    event.preventDefault();
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
    for (const button of form.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.value === theme));
    }
  });
}

// Copy buttons name an element (data-copy="id") or carry the text (data-copy-text).
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const source = button.dataset.copyText ?? document.getElementById(button.dataset.copy)?.innerText;
  try {
    await navigator.clipboard.writeText(source.trim());
    announce(words.copied);
    button.dataset.label ??= button.lastChild.textContent;
    button.lastChild.textContent = words.copied;
    setTimeout(() => { button.lastChild.textContent = button.dataset.label; }, 2000);
  } catch {
    announce(words.copyFailed);
    window.getSelection().selectAllChildren(document.getElementById(button.dataset.copy) ?? button.previousElementSibling);
  }
});

// Confirmations can be put away.
for (const message of document.querySelectorAll(".messages .notice")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button-quiet button-small";
  button.textContent = words.close;
  button.addEventListener("click", () => message.remove());
  message.append(button);
}

// After an htmx swap the heading is focused, if what had the focus went with the swap, and the count
// announced; a poll that changes nothing says nothing.
let saidLast = "";
const within = (element, selector) =>
  element.matches(selector) ? element : element.querySelector(selector);

document.addEventListener("htmx:afterSettle", (event) => {
  if (document.activeElement === document.body) {
    within(event.detail.elt, "[data-swap-focus]")?.focus();
  }
  const note = within(event.detail.elt, "[data-announce]");
  const sentence = note && (note.dataset.announce || note.textContent).trim();
  if (!sentence || sentence === saidLast) return;
  saidLast = sentence;
  announce(sentence);
});

if (document.querySelector("[data-dialog]")) import("./dialogs.js");
