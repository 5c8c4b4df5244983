// The tents page changes its address without loading a page, which the chat should notice.
(() => {
  const models = {
    "rev-2": { name: "Rev 2", text: "The one for most nights: up in four minutes, quiet in the wind.", price: "€389", facts: { Sleeps: "two", Weight: "1.6 kg", Seasons: "three" } },
    "vidde-3": { name: "Vidde 3", text: "A tunnel with room for wet boots, pulks and a dog.", price: "€549", facts: { Sleeps: "three", Weight: "2.9 kg", Seasons: "four" } },
    tarp: { name: "Skog tarp", text: "A roof between two trees, and the weather stays outside.", price: "€129", facts: { Covers: "3 × 3 m", Weight: "480 g", Seasons: "two" } },
  };
  const buttons = document.querySelectorAll("[data-model]");
  if (!buttons.length) return;
  const at = (id) => document.getElementById(id);
  const show = (key) => {
    const m = models[key] ?? models["rev-2"];
    for (const b of buttons) b.setAttribute("aria-pressed", String(models[b.dataset.model] === m));
    at("art").setAttribute("href", `${at("art").dataset.base}#${models[key] ? key : "rev-2"}`);
    at("name").textContent = m.name;
    at("text").textContent = m.text;
    at("price").textContent = m.price;
    at("facts").replaceChildren(...Object.entries(m.facts).flatMap(([k, v]) => {
      const dt = document.createElement("dt");
      const dd = document.createElement("dd");
      dt.textContent = k;
      dd.textContent = v;
      return [dt, dd];
    }));
    document.title = `${m.name} · Fjellrev Outdoor`;
  };
  const current = () => new URLSearchParams(location.search).get("model") ?? "rev-2";
  for (const b of buttons) {
    b.addEventListener("click", () => {
      history.pushState(null, "", `?model=${b.dataset.model}`);
      show(b.dataset.model);
    });
  }
  addEventListener("popstate", () => show(current()));
  show(current());
})();
