// The results page: sorting, pictures in a dialog, the card, and news while the job runs.
// Without this script every link leads to a page of its own.
(() => {
  const NEWS_SECONDS = 3;
  const dialog = document.querySelector("dialog");
  const read = async (address) => {
    const reply = await fetch(address, { headers: { accept: "text/html" } });
    return new DOMParser().parseFromString(await reply.text(), "text/html");
  };

  // Pictures of a cell. Text from elsewhere stays text: the server has escaped it.
  const show = async (address) => {
    const page = await read(address);
    const place = dialog.querySelector("div");
    place.replaceChildren(...page.querySelector("main").childNodes);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-pictures]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      show(link.href).catch(() => { location = link.href; });
    }
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });

  // Sorting
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  const sort = (head, column, up) => {
    const body = head.closest("table").tBodies[0];
    const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column)));
    body.append(...(up ? rows : rows.reverse()));
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  };
  const makeSortable = () => {
    for (const head of document.querySelectorAll(".sortable thead th")) {
      const button = document.createElement("button");
      button.textContent = head.textContent;
      button.onclick = () =>
        sort(head, head.cellIndex, head.getAttribute("aria-sort") !== "ascending");
      head.replaceChildren(button);
    }
  };

  // The card
  const readCard = () => {
    const card = document.querySelector("#card");
    card?.addEventListener("toggle", async () => {
      const place = card.querySelector("pre");
      if (!card.open || place.dataset.read) return;
      place.dataset.read = "yes";
      const reply = await fetch(card.dataset.source);
      if (reply.ok) place.textContent = await reply.text();
    });
  };

  // While the job runs, the page is read again; what is open stays open.
  const main = () => document.querySelector("main");
  const renew = async () => {
    const page = await read(location.href);
    const fresh = page.querySelector("main");
    if (!fresh || dialog.open || main().contains(document.activeElement)) return;
    const open = [...document.querySelectorAll("details")].map((each) => each.open);
    main().replaceWith(document.adoptNode(fresh));
    document.querySelectorAll("details").forEach((each, at) => { each.open = open[at] ?? false; });
    ready();
  };
  const follow = () => {
    if (!("live" in main().dataset)) return;
    setTimeout(() => renew().catch(() => {}).finally(follow), 1000 * NEWS_SECONDS);
  };
  const ready = () => { makeSortable(); readCard(); };
  ready();
  follow();
})();
