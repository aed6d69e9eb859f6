// A page whose server has gone says so, keeps what is typed, and loads again when it is back.
// Without this an idle page would only notice at the next click, and lose the sentence.
(() => {
  const CHECK_MS = 4000;
  const RETRY_MS = 1000;
  const ANSWER_MS = 8000;
  const DRAFT = "netgraft-draft";
  const labels = () => netgraft.labels[navigator.language.startsWith("zh") ? "zh" : "en"];
  const box = () => document.querySelector("#message-box textarea");
  const keep = (text) => {
    try { sessionStorage.setItem(DRAFT, text); } catch { /* it lasts as long as the page */ }
  };
  const kept = () => { try { return sessionStorage.getItem(DRAFT) ?? ""; } catch { return ""; } };

  let gone = false;
  let sent = ""; // since the last sign of life: it may not have arrived
  const banner = (shown) => {
    const place = document.querySelector("#server-gone");
    if (!place) return;
    place.textContent = shown ? labels().server_gone : "";
    place.hidden = !shown;
  };

  document.addEventListener("input", (event) => {
    if (event.target === box()) keep(event.target.value);
  });
  const say = netgraft.say;
  netgraft.say = (text) => {
    if (gone) return text; // stays where it was typed
    sent = text;
    keep("");
    return say(text);
  };

  const restore = () => {
    const place = box();
    if (!place) return void setTimeout(restore, 200);
    const text = kept();
    if (!text || place.value) return;
    place.value = text;
    place.dispatchEvent(new Event("input", { bubbles: true }));
  };

  const answers = async () => {
    try {
      const reply = await fetch("healthz", { signal: AbortSignal.timeout(ANSWER_MS), cache: "no-store" });
      return reply.ok;
    } catch {
      return false;
    }
  };
  const check = async () => {
    const here = await answers();
    if (here && gone) return location.reload(); // its streams ended with the server
    if (here) sent = "";
    if (!here && !gone) {
      gone = true;
      keep(box()?.value || sent);
    }
    banner(gone);
    setTimeout(check, gone ? RETRY_MS : CHECK_MS);
  };
  restore();
  setTimeout(check, CHECK_MS);
})();
