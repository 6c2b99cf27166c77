"use strict";

const byId = (id) => document.getElementById(id);
const audio = byId("audio");
const track = byId("track");
const scroller = byId("scroller");

// -- zoom: everything on the track is placed by --s, the pixels of a second

const pixelsPerSecond = () => parseFloat(getComputedStyle(track).getPropertyValue("--s"));

function zoom(factor) {
  const middleS = (scroller.scrollLeft + scroller.clientWidth / 2) / pixelsPerSecond();
  const pixels = Math.min(400, Math.max(2, pixelsPerSecond() * factor));
  track.style.setProperty("--s", `${pixels}px`);
  scroller.scrollLeft = middleS * pixels - scroller.clientWidth / 2;
}

byId("closer").addEventListener("click", () => zoom(1.5));
byId("farther").addEventListener("click", () => zoom(1 / 1.5));

// -- sound: the call's clock is the audio's, which begins with the caller's first frame

const play = byId("play");
const slider = byId("position");
const playhead = byId("playhead");
const beginsS = parseFloat(track.dataset.begins);
const spoken = [...document.querySelectorAll("[data-from]")].map((said) => ({
  said, from: Number(said.dataset.from), to: Number(said.dataset.to),
}));

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function show(follow) {
  const atS = audio.currentTime + beginsS;
  playhead.style.setProperty("--a", atS);
  slider.value = audio.currentTime;
  slider.setAttribute("aria-valuetext", clock(audio.currentTime));
  byId("clock").textContent = clock(audio.currentTime);
  for (const { said, from, to } of spoken) said.classList.toggle("now", atS >= from && atS < to);
  const x = atS * pixelsPerSecond() - scroller.scrollLeft;
  if (follow && (x < 0 || x > scroller.clientWidth * 0.9)) {
    scroller.scrollLeft += x - scroller.clientWidth * 0.1;
  }
}

function seek(atS) {
  audio.currentTime = Math.min(Math.max(atS - beginsS, 0), audio.duration || 0);
  show(true);
}

function run() {
  show(true);
  if (!audio.paused) requestAnimationFrame(run);
}

if (audio) {
  playhead.hidden = false;
  track.dataset.plays = "";
  play.addEventListener("click", () => (audio.paused ? audio.play() : audio.pause()));
  for (const name of ["play", "pause", "ended"]) {
    audio.addEventListener(name, () => {
      play.textContent = audio.paused ? "Play" : "Pause";
      run();
    });
  }
  slider.addEventListener("input", () => seek(Number(slider.value) + beginsS));
  track.addEventListener("click", (click) => {
    if (click.target.closest("a")) return;
    seek((click.clientX - track.getBoundingClientRect().left) / pixelsPerSecond());
  });
}

// -- every time on the page is a link to that moment: #at-12.345

function go() {
  const found = /^#at-([0-9.]+)$/.exec(location.hash);
  if (!found) return;
  const atS = Number(found[1]);
  if (audio) seek(atS);
  else scroller.scrollLeft = atS * pixelsPerSecond() - scroller.clientWidth / 2;
}

addEventListener("hashchange", go);
if (audio) audio.addEventListener("loadedmetadata", go, { once: true });
else go();

// -- the list of events

const search = byId("search");
const kinds = [...document.querySelectorAll("[data-kind-shown]")];

function filter() {
  const shown = new Set(kinds.filter((box) => box.checked).map((box) => box.dataset.kindShown));
  const words = search.value.toLowerCase();
  let count = 0;
  for (const row of document.querySelectorAll("tr[data-kind]")) {
    row.hidden = !shown.has(row.dataset.kind) || !row.textContent.toLowerCase().includes(words);
    count += row.hidden ? 0 : 1;
  }
  byId("shown").textContent = `${count} shown`;
}

for (const box of kinds) box.addEventListener("change", filter);
search.addEventListener("input", filter);
filter();
