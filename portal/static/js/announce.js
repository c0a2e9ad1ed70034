// Says a sentence to screen readers; the same sentence twice is said twice.
export function announce(sentence) {
  const region = document.getElementById("announcer");
  if (!region || !sentence) return;
  region.textContent = "";
  setTimeout(() => { region.textContent = sentence.trim(); }, 50);
}
