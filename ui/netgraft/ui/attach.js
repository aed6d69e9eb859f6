// Upload a model's file that is dropped anywhere on the page, or chosen with the button beside
// the text field: send it to /upload, then say the sentence that shows the model.
(() => {
  const labels = () => netgraft.labels[navigator.language.startsWith("zh") ? "zh" : "en"];

  const report = (text, problem = false) => {
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
      request.onerror = () => reject(new Error(labels().attach_lost));
      request.send(file);
    });

  // The sentence does not go through the text field, so what is being typed there is kept.
  const waiting = [];
  netgraft.sayFile = () => void netgraft.say(waiting.shift());
  const say = (text) => {
    waiting.push(text);
    document.querySelector("#say-file").click();
  };

  // Too many uploads may be in progress: try again for some minutes.
  const postWithRetries = async (file, progress, tries = 20) => {
    try {
      return await post(file, progress);
    } catch (error) {
      if (!error.again || !tries) throw error;
      report(`${file.name}: ${labels().attach_waiting}`);
      await new Promise((go) => setTimeout(go, 1000 * error.again));
      return postWithRetries(file, progress, tries - 1);
    }
  };

  const send = async (file) => {
    try {
      const done = await postWithRetries(file, (share) =>
        report(`${file.name}: ${share < 1 ? `${Math.round(100 * share)} %` : labels().attach_opening}`),
      );
      report("");
      say(done.say);
    } catch (error) {
      report(error.message, true);
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
