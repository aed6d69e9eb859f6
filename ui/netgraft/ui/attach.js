// A model's file, dropped anywhere on the page or chosen with the button beside the text field:
// it is sent to /upload, and the sentence that shows it is said.
(() => {
  const words = () => netgraft.words[navigator.language.startsWith("zh") ? "zh" : "en"];

  const tell = (text, problem = false) => {
    const place = document.querySelector("#attach-state");
    place.textContent = text;
    place.hidden = !text;
    place.classList.toggle("problem", problem);
    place.setAttribute("role", problem ? "alert" : "status");
  };

  const post = (file, progress) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", `upload?name=${encodeURIComponent(file.name)}`);
      request.responseType = "json";
      request.upload.onprogress = (event) => progress(event.loaded / (event.total || 1));
      request.onload = () => {
        if (request.status === 200) return resolve(request.response);
        const error = new Error(request.response?.message ?? request.statusText);
        error.again = request.status === 429 && Number(request.getResponseHeader("retry-after"));
        reject(error);
      };
      request.onerror = () => reject(new Error(words().attach_lost));
      request.send(file);
    });

  // Said past the text field: what somebody is typing there meanwhile stays theirs.
  const waiting = [];
  netgraft.sayFile = () => void netgraft.say(waiting.shift());
  const say = (text) => {
    waiting.push(text);
    document.querySelector("#say-file").click();
  };

  // All places may be taken: then again and again, for some minutes.
  const patiently = async (file, progress, tries = 20) => {
    try {
      return await post(file, progress);
    } catch (error) {
      if (!error.again || !tries) throw error;
      tell(`${file.name}: ${words().attach_waiting}`);
      await new Promise((go) => setTimeout(go, 1000 * error.again));
      return patiently(file, progress, tries - 1);
    }
  };

  const send = async (file) => {
    try {
      const done = await patiently(file, (share) =>
        tell(`${file.name}: ${share < 1 ? `${Math.round(100 * share)} %` : words().attach_opening}`),
      );
      tell("");
      say(done.say);
    } catch (error) {
      tell(error.message, true);
    }
  };

  const sendAll = async (files) => {
    for (const file of files) await send(file);
  };

  netgraft.attach = () => {
    const input = Object.assign(document.createElement("input"), { type: "file" });
    input.onchange = () => sendAll([...input.files]);
    input.click();
  };

  const carriesFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const mark = (on) => document.documentElement.classList.toggle("ng-drop", on);
  addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) mark(false);
  });
  addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    mark(false);
    sendAll([...event.dataTransfer.files]);
  });
})();
