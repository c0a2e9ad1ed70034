// Stacked code samples become tabs; the language chosen last is remembered.
const STORED = "code-language";

for (const [index, group] of document.querySelectorAll("[data-code-tabs]:not([role])").entries()) {
  const panels = [...group.querySelectorAll(":scope > .code")];
  if (panels.length < 2) continue;
  group.setAttribute("role", "group");
  const list = document.createElement("div");
  list.className = "tablist";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", group.getAttribute("aria-label"));
  const tabs = panels.map((panel) => {
    const tab = document.createElement("button");
    const heading = panel.querySelector(".code-name");
    tab.type = "button";
    tab.textContent = heading.textContent;
    tab.id = `${panel.id}-tab-${index}`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    return tab;
  });
  const select = (chosen, { focus = false, store = true } = {}) => {
    tabs.forEach((tab, position) => {
      const selected = tab === chosen;
      tab.setAttribute("aria-selected", String(selected));
      tab.tabIndex = selected ? 0 : -1;
      panels[position].hidden = !selected;
    });
    if (focus) chosen.focus();
    if (store) localStorage.setItem(STORED, chosen.textContent);
  };
  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) select(tab);
  });
  list.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select(tabs.at(to % tabs.length), { focus: true });
  });
  list.append(...tabs);
  group.prepend(list);
  const remembered = tabs.find((tab) => tab.textContent === localStorage.getItem(STORED));
  select(remembered ?? tabs[0], { store: false });
}
