"use strict";
// The page itself: shows one trial after the other and hands the ratings back.
(() => {
  const study = JSON.parse(document.getElementById("study").textContent);
  const at = (id) => document.getElementById(id);
  let listener = "";
  let plan = [];
  let shown = 0;
  let since = 0;
  let state = null;
  let playing = null;

  const element = (tag, attributes = {}, text = "") => {
    const made = document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    made.textContent = text;
    return made;
  };

  const show = (name) => {
    for (const section of ["welcome", "trial", "end"]) at(section).hidden = section !== name;
    window.scrollTo(0, 0);
  };

  const complain = (text) => {
    at("message").textContent = text;
    at("message").hidden = !text;
  };

  // A reload goes on where the listener was; a browser without storage starts anew.
  const place = () => `listening/${study.id}/${listener}`;
  const save = () => {
    try {
      localStorage.setItem(place(), JSON.stringify({ shown, state }));
    } catch (error) { /* ratings stay on the page */ }
  };
  const restore = () => {
    try {
      return JSON.parse(localStorage.getItem(place()));
    } catch (error) {
      return null;
    }
  };

  const check = () => {
    const missing = Logic.missing(plan[shown], state.heard, state.scores);
    at("missing").textContent = missing;
    at("next").disabled = missing !== "";
  };

  const stop = () => {
    if (playing) playing.stop();
    playing = null;
  };

  // A row with a button that plays one recording.
  const player = (name, source) => {
    const row = element("div", { class: "row", "data-src": source });
    row.append(element("span", { class: "name" }, name), " ");
    const button = element("button", { type: "button", class: "play" }, "Play");
    const audio = element("audio", { preload: "auto", src: source });
    const rest = () => {
      audio.pause();
      audio.currentTime = 0;
      button.textContent = "Play";
      row.classList.remove("playing");
    };
    button.addEventListener("click", () => {
      const own = playing && playing.audio === audio;
      stop();
      if (own) return;
      playing = { audio, stop: rest };
      state.plays[source] = (state.plays[source] || 0) + 1;
      button.textContent = "Stop";
      row.classList.add("playing");
      audio.play().catch((error) => {
        if (error.name !== "AbortError") complain(`${source} cannot be played (${error.message}).`);
      });
    });
    audio.addEventListener("ended", () => {
      state.heard[source] = true;
      row.classList.add("heard");
      stop();
      save();
      check();
    });
    audio.addEventListener("error", () => complain(
      `${source} cannot be read. Keep the folder "audio" beside this page, or try another browser.`));
    if (state.heard[source]) row.classList.add("heard");
    row.append(button, audio);
    return row;
  };

  const rate = (id, score) => {
    state.scores[id] = score;
    save();
    check();
  };

  // One button a value.
  const choices = (item, name) => {
    const group = element("div", { class: "choices", role: "radiogroup", "aria-label": name });
    study.scale.choices.forEach(({ score, label }) => {
      const input = element("input", { type: "radio", name: item.id, value: score });
      input.checked = state.scores[item.id] === score;
      input.addEventListener("change", () => rate(item.id, score));
      const line = element("label");
      line.append(input, ` ${score} ${label}`);
      group.append(line);
    });
    return group;
  };

  // A slider; it counts as rated once it was touched.
  const slider = (item, name) => {
    const { low, high, bands } = study.scale;
    const box = element("div");
    const value = element("span", { class: "value" }, "not rated");
    const input = element("input", {
      type: "range", class: "slider", min: low, max: high, step: 1, "aria-label": name,
    });
    if (state.scores[item.id] !== undefined) {
      input.value = state.scores[item.id];
      value.textContent = input.value;
    }
    const touched = () => {
      value.textContent = input.value;
      rate(item.id, Number(input.value));
    };
    input.addEventListener("input", touched);
    input.addEventListener("click", touched);
    const line = element("div", { class: "bands" });
    bands.forEach((label) => line.append(element("span", {}, label)));
    box.append(line, input, value);
    return box;
  };

  const open = () => {
    stop();
    complain("");
    const trial = plan[shown];
    since = Date.now();
    at("progress").textContent = `${shown + 1} of ${plan.length}`;
    at("back").disabled = shown === 0;
    at("given").replaceChildren();
    at("stimuli").replaceChildren();
    if (trial.context) at("given").append(player(study.words.context, trial.context));
    if (trial.reference) at("given").append(player(study.words.reference, trial.reference));
    trial.stimuli.forEach((item, number) => {
      const name = trial.stimuli.length > 1 ? `Recording ${number + 1}` : "Recording";
      const row = player(name, item.src);
      row.classList.add("stimulus");
      row.dataset.stimulus = item.id;
      row.append((study.scale.choices ? choices : slider)(item, name));
      at("stimuli").append(row);
    });
    check();
    show("trial");
  };

  const leave = (step) => {
    const trial = plan[shown];
    stop();
    state.seconds[trial.id] = (state.seconds[trial.id] || 0) + (Date.now() - since) / 1000;
    shown += step;
    if (shown === plan.length) {
      state.finished = state.finished || new Date().toISOString();
      finish();
    } else {
      open();
    }
    save();
  };

  const text = () => `${JSON.stringify(Logic.results(study, listener, plan, state), null, 1)}\n`;

  const finish = () => {
    at("results").value = text();
    show("end");
  };

  at("begin").addEventListener("submit", (event) => {
    event.preventDefault();
    listener = at("listener").value.trim();
    plan = Logic.plan(study, listener);
    const kept = restore();
    shown = kept ? kept.shown : 0;
    state = kept ? kept.state
      : { scores: {}, heard: {}, plays: {}, seconds: {}, started: new Date().toISOString() };
    if (shown === plan.length) finish();
    else open();
  });
  at("next").addEventListener("click", () => leave(1));
  at("back").addEventListener("click", () => leave(-1));
  at("download").addEventListener("click", () => {
    const link = element("a", {
      href: URL.createObjectURL(new Blob([text()], { type: "application/json" })),
      download: `ratings_${study.id}_${listener}.json`,
    });
    document.body.append(link);
    link.click();
    link.remove();
  });

  study.instructions.forEach((line) => at("instructions").append(element("p", {}, line)));
  at("listener").value = new URLSearchParams(location.search).get("listener") || "";
})();
