// A form is sent once; its button shows a busy state after 0.3 s and says so after 1 s.
import { announce } from "./announce.js";

const BUSY_AFTER = 300;
const WORDS_AFTER = 1000;
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
        button.textContent = document.body.dataset.working;
      }
      announce(document.body.dataset.working);
    }, WORDS_AFTER),
  ]);
});

// A page that Back restores can send its forms again; so can one whose answer is a download.
window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach(reset));
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt instanceof HTMLFormElement) reset(event.detail.elt);
});

function reset(form) {
  for (const timer of sent.get(form) ?? []) clearTimeout(timer);
  sent.delete(form);
  for (const button of form.querySelectorAll("[aria-busy]")) {
    button.removeAttribute("aria-busy");
    if (button.dataset.label) button.textContent = button.dataset.label;
  }
}

document.querySelector("[data-error-summary]")?.focus();
