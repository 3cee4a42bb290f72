"use strict";
// The page of the demo: two recordings that are edited, continued, and whose voice says
// a text. It keeps all state; the server keeps none.

const $ = (id) => document.getElementById(id);
let sound = null; // the AudioContext, made by the first click

function context() {
  sound = sound || new AudioContext();
  sound.resume();
  return sound;
}

function show(text, wrong = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", wrong);
}

// Run what a button does; an error is one line.
async function attempt(doing, work) {
  show(doing + " ...");
  try {
    await work();
    show("");
  } catch (error) {
    show(error.message, true);
  }
}

async function ask(path, body) {
  const form = body instanceof FormData;
  const headers = form ? {} : { "Content-Type": "application/json" };
  const sent = form ? body : JSON.stringify(body);
  const reply = await fetch(path, { method: "POST", headers, body: sent });
  if (!reply.ok) {
    const found = await reply.json().catch(() => ({}));
    throw new Error(found.error ? found.error.message : `error ${reply.status}`);
  }
  return reply;
}

// 16 bit samples with a header, so that every browser plays and the server reads them.
function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, value) => [...value].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((value, i) => {
    view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, value)) * 32767, true);
  });
  return new Blob([view], { type: "audio/wav" });
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}

function give(audio, blob) {
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(blob);
}

async function decoded(blob) {
  const found = await context().decodeAudioData(await blob.arrayBuffer());
  return { samples: found.getChannelData(0), rate: found.sampleRate };
}

// The waveform, its words with durations, and F0 (50 to 400 Hz, bottom to top).
function draw(canvas, samples, found) {
  const width = (canvas.width = 900), height = (canvas.height = 160);
  const pen = canvas.getContext("2d"), x = (seconds) => (seconds / found.seconds) * width;
  pen.fillStyle = "#3b6ea5";
  const step = samples.length / width;
  for (let column = 0; column < width; column++) {
    let peak = 0;
    for (let i = Math.floor(column * step); i < (column + 1) * step; i++) {
      peak = Math.max(peak, Math.abs(samples[i] || 0));
    }
    pen.fillRect(column, 100 - peak * 50, 1, peak * 100 + 1);
  }
  pen.fillStyle = "#000";
  pen.font = "13px sans-serif";
  for (const word of found.timings) {
    pen.fillRect(x(word.start), 4, 1, height);
    pen.fillRect(x(word.start + word.duration), 4, 1, height);
    const lines = [word.word, word.duration.toFixed(2) + " s"];
    if (word.f0) lines.push(word.f0.toFixed(0) + " Hz");
    lines.forEach((line, row) => pen.fillText(line, x(word.start) + 3, 14 + 14 * row));
  }
  pen.fillStyle = "#d98032";
  found.pitch.forEach((hz, frame) => {
    if (hz) pen.fillRect(x(frame / 100), height - ((hz - 50) / 350) * height, 3, 3);
  });
  const words = found.timings.map((word) =>
    `${word.word} ${word.duration.toFixed(2)} s` + (word.f0 ? ` ${word.f0} Hz` : ""));
  canvas.setAttribute("aria-label", words.join(", ") || "waveform");
}

class Recording {
  constructor(name) {
    this.root = $("recording").content.cloneNode(true).firstElementChild;
    this.name = name;
    $("recordings").append(this.root);
    this.find("h2").textContent = `Recording ${name}`;
    this.root.id = name;
    this.find(".file").onchange = (event) => {
      const [file] = event.target.files;
      if (file) attempt("Reading the recording", () => this.load(file));
    };
    this.find(".record").onclick = () => this.record();
    this.find(".speak").onclick = () => attempt("Speaking", () => this.speak("after"));
    this.find(".rendition").onpointerdown = (event) => this.drag(event);
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  async record() {
    if (this.recorder) return this.recorder.stop();
    const button = this.find(".record");
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      const parts = [];
      this.recorder = new MediaRecorder(stream);
      this.recorder.ondataavailable = (event) => parts.push(event.data);
      this.recorder.onstop = () => {
        stream.getTracks().forEach((track) => track.stop());
        this.recorder = null;
        button.textContent = "Record";
        attempt("Reading the recording", () => this.load(new Blob(parts)));
      };
      this.recorder.start();
      button.textContent = "Stop";
    } catch (error) {
      show(`the microphone cannot be used: ${error.message}`, true);
    }
  }

  async load(blob) {
    const { samples, rate } = await decoded(blob).catch(() => {
      throw new Error("the browser cannot read this file as audio");
    });
    const file = wav(samples, rate), form = new FormData();
    form.append("file", file, "recording.wav");
    if (this.find(".text").value.trim()) form.append("text", this.find(".text").value);
    const found = await (await ask("tokenize", form)).json();
    Object.assign(this, { tokens: found.tokens, voice: found.voice, base: null });
    give(this.find(".original"), file);
    this.find(".loaded").hidden = false;
    draw(this.find(".recorded"), samples, found);
    this.makeWords();
    await this.speak("before");
    $("continue").disabled = $("say").disabled = !recordings[0].tokens;
  }

  makeWords() {
    this.find(".words").replaceChildren(...this.tokens.words.map((word) => {
      const box = document.createElement("div");
      box.className = "word";
      const slider = Object.assign(document.createElement("input"), {
        type: "range", min: -1, max: 1, step: 0.05, value: 0, className: "tempo",
      });
      slider.setAttribute("aria-label", `duration of ${word}, from half to double`);
      const reading = Object.assign(document.createElement("input"), {
        type: "range", min: 0, max: 1, step: 0.05, value: 0, className: "reading",
      });
      reading.setAttribute("aria-label", `reading of ${word}, from this recording to the other`);
      const label = document.createElement("label");
      label.append(Object.assign(document.createElement("input"), {
        type: "checkbox", className: "exchange",
      }), " other codes");
      const title = document.createElement("b");
      title.textContent = word;
      box.append(title, slider, reading, label);
      return box;
    }));
  }

  // Words whose box is ticked take the codes of the same place of the other recording.
  edited() {
    const other = recordings.find((one) => one !== this), words = this.tokens.words;
    const ticks = [...this.root.querySelectorAll(".exchange")].map((tick) => tick.checked);
    if (ticks.some(Boolean)) this.needOther();
    const codes = this.tokens.codes.map((row, i) => (ticks[i] ? other.tokens.codes[i] : row));
    return { words, codes, model: this.tokens.model };
  }

  needOther() {
    const other = recordings.find((one) => one !== this).tokens;
    if (!other || other.words.length !== this.tokens.words.length) {
      throw new Error("this edit needs two recordings with as many words");
    }
    return other;
  }

  // Words whose reading is moved lie between this recording and the other one.
  between() {
    const weights = [...this.root.querySelectorAll(".reading")].map((s) => +s.value);
    return weights.some(Boolean) ? { other: this.needOther(), weights } : {};
  }

  // When each word is said: as before, longer and shorter words moving those behind.
  times(timings) {
    const factors = [...this.root.querySelectorAll(".tempo")].map((s) => 2 ** s.value);
    let end = 0, before = 0;
    return timings.map((word, i) => {
      const start = end + word.start - before, duration = word.duration * factors[i];
      before = word.start + word.duration;
      end = start + duration;
      return { start, duration };
    });
  }

  async speak(which) {
    const request = { tokens: this.edited(), voice: this.voice, ...this.between() };
    let found = await (await ask("speak", request)).json();
    const moved = [...this.root.querySelectorAll(".tempo")].some((s) => s.value != 0);
    if (moved && found.timings.length) {
      request.timings = this.times(found.timings);
      found = await (await ask("speak", request)).json();
    }
    const file = new Blob([bytes(found.audio)], { type: "audio/wav" });
    give(this.find("." + which), file);
    this.shown = found;
    draw(this.find(".rendition"), (await decoded(file)).samples, found);
    const known = found.timings.length > 0;
    this.root.querySelectorAll(".tempo").forEach((slider) => (slider.hidden = !known));
  }

  drag(event) {
    const canvas = event.target, box = canvas.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * this.shown.seconds;
    const index = this.shown.timings.findIndex(
      (word) => at >= word.start && at < word.start + word.duration);
    if (index < 0) return;
    const slider = this.root.querySelectorAll(".tempo")[index], value = +slider.value;
    canvas.setPointerCapture(event.pointerId);
    canvas.onpointermove = (move) => {
      slider.value = value + (move.clientX - event.clientX) / 100;
    };
    canvas.onpointerup = () => {
      canvas.onpointermove = canvas.onpointerup = null;
      if (+slider.value !== value) attempt("Speaking", () => this.speak("after"));
    };
  }
}

// Play lines of JSON as they come; the audio element gets the whole at the end.
async function play(reply, audio, words) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  const parts = [];
  let rest = "", start = 0, rate = 0;
  const take = (line) => {
    const piece = JSON.parse(line), ints = new Int16Array(bytes(piece.pcm).buffer);
    rate = piece.sample_rate;
    words(piece.words);
    if (!ints.length) return;
    const buffer = context().createBuffer(1, ints.length, rate);
    const samples = buffer.getChannelData(0);
    ints.forEach((value, i) => (samples[i] = value / 32768));
    parts.push(samples);
    const source = context().createBufferSource();
    source.buffer = buffer;
    source.connect(context().destination);
    start = Math.max(start, context().currentTime + 0.05);
    source.start(start);
    start += buffer.duration;
  };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    lines.forEach(take);
  }
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  give(audio, wav(all, rate));
}

const recordings = ["A", "B"].map((name) => new Recording(name));
const seed = () => Math.floor(Math.random() * 2 ** 31);

$("continue").onclick = () => attempt("Continuing", async () => {
  const { tokens, voice } = recordings[0];
  const request = { tokens, voice, response_format: "jsonl", seed: seed() };
  $("added").textContent = "... ";
  const add = (words) => ($("added").textContent += words.map((word) => word + " ").join(""));
  await play(await ask("continue", request), $("continued"), add);
});

$("say").onclick = () => attempt("Saying", async () => {
  const { tokens, voice } = recordings[0];
  const request = { input: $("input").value, voice, response_format: "jsonl", seed: seed() };
  if ($("style").checked) request.style = tokens;
  await play(await ask("v1/audio/speech", request), $("said"), () => {});
});
