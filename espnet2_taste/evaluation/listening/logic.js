"use strict";
// What the page decides without looking at the page: order, what is missing, results.
const Logic = {
  // FNV-1a over the UTF-8 bytes, 32 bits.
  hash(text) {
    let value = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(text)) {
      value = Math.imul(value ^ byte, 0x01000193) >>> 0;
    }
    return value;
  },

  // A generator of numbers in [0, 1) that gives the same ones for the same text (mulberry32).
  generator(text) {
    let state = Logic.hash(text);
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  },

  shuffled(items, random) {
    const result = items.slice();
    for (let last = result.length - 1; last > 0; last -= 1) {
      const other = Math.floor(random() * (last + 1));
      [result[last], result[other]] = [result[other], result[last]];
    }
    return result;
  },

  // The trials of one listener in order, the stimuli of each in order.
  plan(study, listener) {
    const random = Logic.generator(`${study.seed}/${listener}`);
    const trials = Logic.shuffled(study.trials, random);
    const count = study.trials_per_listener || trials.length;
    return trials.slice(0, count).map((trial) => ({
      ...trial,
      stimuli: Logic.shuffled(trial.stimuli, random),
    }));
  },

  // What still has to be done before a trial is finished; empty if nothing.
  missing(trial, heard, scores) {
    const recordings = [trial.context, trial.reference].filter(Boolean);
    const sources = recordings.concat(trial.stimuli.map((item) => item.src));
    if (sources.some((source) => !heard[source])) {
      return "Listen to every recording to its end.";
    }
    if (trial.stimuli.some((item) => scores[item.id] === undefined)) {
      return "Rate every recording.";
    }
    return "";
  },

  // Everything that is handed back.
  results(study, listener, plan, state) {
    const ratings = plan.flatMap((trial, place) =>
      trial.stimuli.map((item, position) => ({
        trial: trial.id,
        stimulus: item.id,
        score: state.scores[item.id],
        place,
        position,
        plays: state.plays[item.src] || 0,
        seconds: Math.round(state.seconds[trial.id] || 0),
      })));
    return {
      study: study.id,
      seed: study.seed,
      listener,
      started: state.started,
      finished: state.finished,
      ratings,
    };
  },
};
