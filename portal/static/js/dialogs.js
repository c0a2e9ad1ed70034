// A link to a small page (data-dialog) opens that page's [data-dialog-content] in a dialog.
// Its form still posts to the page, which answers whole: errors are shown there.
for (const link of document.querySelectorAll("a[data-dialog]")) {
  link.addEventListener("click", async (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
    event.preventDefault();
    try {
      const answer = await fetch(link.href, { headers: { "X-Requested-With": "dialog" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const content = page.querySelector("[data-dialog-content]");
      if (!answer.ok || !content) throw new Error("no dialog in the page");
      open(content, page.querySelector("h1")?.textContent ?? link.textContent, link);
    } catch {
      location.assign(link.href);
    }
  });
}

function open(content, title, link) {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button button-quiet button-small dialog-close";
  close.textContent = document.body.dataset.close;
  close.addEventListener("click", () => dialog.close());
  const heading = document.createElement("h2");
  heading.id = "dialog-title";
  heading.tabIndex = -1;
  heading.textContent = title.trim();
  dialog.setAttribute("aria-labelledby", heading.id);
  for (const form of content.querySelectorAll("form:not([action])")) form.action = link.href;
  for (const cancel of content.querySelectorAll("[data-dialog-cancel]")) {
    cancel.addEventListener("click", (event) => { event.preventDefault(); dialog.close(); });
  }
  dialog.append(close, heading, document.importNode(content, true));
  dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
  document.body.append(dialog);
  dialog.showModal();
  heading.focus();
}
